//! `minikctl status`: the processes of the node and what the API server says of it, and whether all is well.

use std::fs;
use std::io::{self, Write};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::cluster::{Cluster, Readiness, readiness};
use super::instance::Instance;
use super::progress::shown;
use super::supervisor::control::{self, ProgramStatus};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Everything that `status` shows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    instance: String,
    running: bool,
    version: String,
    server: String,
    server_version: Option<String>,
    node: Option<NodeReport>,
    /// Why the API server could not be asked.
    problem: Option<String>,
    pods: Option<PodCounts>,
    programs: Vec<ProgramReport>,
    pss_bytes: u64,
    data_dir: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeReport {
    name: String,
    ready: bool,
    message: String,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct PodCounts {
    total: usize,
    running: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgramReport {
    name: String,
    state: String,
    pid: Option<u32>,
    uptime_millis: Option<u64>,
    restarts: u32,
    /// Proportional set size: private memory, and its share of what is shared.
    pss_bytes: Option<u64>,
    listens: String,
    last_failure: Option<String>,
}

/// Asks the supervisor and the API server.
pub(super) async fn gather(instance: &Instance) -> anyhow::Result<Report> {
    let socket = instance.supervisor_socket();
    let status = control::status(&socket).await?;
    let Some(status) = status else {
        return Ok(Report::down(instance));
    };
    let instance = &status.instance;
    let mut programs = vec![supervisor_report(&status, &socket.display().to_string())];
    programs.extend(status.programs.iter().map(|program| report(program, instance)));
    let mut report = Report {
        running: true,
        version: status.version.clone(),
        pss_bytes: programs.iter().filter_map(|program| program.pss_bytes).sum(),
        programs,
        ..Report::down(instance)
    };
    // A server that hangs is a finding, too.
    let asked = tokio::time::timeout(Duration::from_secs(5), ask(instance, &mut report)).await;
    match asked {
        Ok(Ok(())) => {}
        Ok(Err(error)) => report.problem = Some(format!("{:#}", anyhow::Error::from(error))),
        Err(_) => report.problem = Some("the API server did not answer within 5 s".to_owned()),
    }
    Ok(report)
}

async fn ask(instance: &Instance, report: &mut Report) -> Result<(), super::cluster::ClusterError> {
    let cluster = Cluster::open(instance).await?;
    report.server_version = Some(cluster.version().await?);
    report.node = cluster.node().await?.map(|node| match readiness(&node) {
        Readiness::Ready => NodeReport {
            name: instance.node_name.clone(),
            ready: true,
            message: String::new(),
        },
        Readiness::NotReady(message) => NodeReport {
            name: instance.node_name.clone(),
            ready: false,
            message,
        },
    });
    let pods = cluster.pods().await?;
    let phase = |pod: &k8s_openapi::api::core::v1::Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
    report.pods = Some(PodCounts {
        total: pods.len(),
        running: pods
            .iter()
            .filter(|pod| phase(pod).as_deref() == Some("Running"))
            .count(),
    });
    Ok(())
}

impl Report {
    fn down(instance: &Instance) -> Self {
        Self {
            instance: instance.name.clone(),
            running: false,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            server: instance.server_url(),
            server_version: None,
            node: None,
            problem: None,
            pods: None,
            programs: Vec::new(),
            pss_bytes: 0,
            data_dir: instance.data_dir.display().to_string(),
        }
    }

    /// All programs serve and the node is Ready.
    pub(super) fn is_well(&self) -> bool {
        self.running
            && self.problem.is_none()
            && self.programs.iter().all(|program| program.state == "ready")
            && self.node.as_ref().is_some_and(|node| node.ready)
    }
}

fn supervisor_report(status: &control::Status, socket: &str) -> ProgramReport {
    ProgramReport {
        name: "supervisor".to_owned(),
        state: "ready".to_owned(),
        pid: Some(status.pid),
        uptime_millis: Some(status.uptime_millis),
        restarts: 0,
        pss_bytes: pss_bytes(status.pid),
        listens: socket.to_owned(),
        last_failure: None,
    }
}

fn report(program: &ProgramStatus, instance: &Instance) -> ProgramReport {
    ProgramReport {
        name: program.name.clone(),
        state: program.state.clone(),
        pid: program.pid,
        uptime_millis: program.uptime_millis,
        restarts: program.restarts,
        pss_bytes: program.pid.and_then(pss_bytes),
        listens: match program.name.as_str() {
            "apiserver" => format!("127.0.0.1:{0}, [::1]:{0}", instance.api_port),
            "kubelet" => format!(":{}", instance.kubelet_port),
            "runtime" => instance.runtime_socket().display().to_string(),
            _ => String::new(),
        },
        last_failure: program.last_failure.clone(),
    }
}

fn pss_bytes(pid: u32) -> Option<u64> {
    parse_pss(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

fn parse_pss(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

/// Prints the report.
pub(super) fn show(report: &Report, json: bool) -> io::Result<()> {
    if json {
        let mut out = io::stdout().lock();
        serde_json::to_writer_pretty(&mut out, report)?;
        return writeln!(out);
    }
    let mut out = anstream::stdout().lock();
    if !report.running {
        return writeln!(
            out,
            "The node {:?} is not up. To start it: sudo minikctl up",
            report.instance
        );
    }
    summary(&mut out, report)?;
    writeln!(out)?;
    table(&mut out, &report.programs)
}

fn summary(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let row = |out: &mut dyn Write, name: &str, value: String| writeln!(out, "{name:<10} {value}");
    let node = match (&report.node, &report.problem) {
        (Some(node), _) if node.ready => format!("{} {GOOD}Ready{GOOD:#}", node.name),
        (Some(node), _) => format!("{} {BAD}NotReady{BAD:#} {}", node.name, node.message),
        (None, Some(problem)) => format!("{BAD}unknown{BAD:#}: {problem}"),
        (None, None) => format!("{BAD}not registered{BAD:#}"),
    };
    row(out, "Node", node)?;
    let server_version = report.server_version.as_deref().unwrap_or("no answer");
    row(out, "Server", format!("{} ({server_version})", report.server))?;
    if let Some(pods) = &report.pods {
        row(out, "Pods", format!("{} of {} running", pods.running, pods.total))?;
    }
    row(
        out,
        "Memory",
        format!("{} for all programs", mebibytes(report.pss_bytes)),
    )?;
    row(out, "Data", report.data_dir.clone())?;
    row(out, "Version", report.version.clone())
}

fn table(out: &mut impl Write, programs: &[ProgramReport]) -> io::Result<()> {
    writeln!(
        out,
        "{:<11} {:<12} {:>7} {:>9} {:>8} {:>9}  LISTENS",
        "PROGRAM", "STATE", "PID", "UPTIME", "RESTARTS", "MEMORY"
    )?;
    for program in programs {
        let style = if program.state == "ready" { GOOD } else { BAD };
        let dash = || "-".to_owned();
        writeln!(
            out,
            "{:<11} {style}{:<12}{style:#} {:>7} {:>9} {:>8} {:>9}  {}",
            program.name,
            program.state,
            program.pid.map_or_else(dash, |pid| pid.to_string()),
            program
                .uptime_millis
                .map_or_else(dash, |millis| shown(Duration::from_millis(millis))),
            program.restarts,
            program.pss_bytes.map_or_else(dash, mebibytes),
            program.listens
        )?;
        if let Some(failure) = program.last_failure.as_ref().filter(|_| program.state != "ready") {
            writeln!(out, "{:<11} {failure}", "")?;
        }
    }
    Ok(())
}

fn mebibytes(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pss_is_read_from_the_rollup() {
        let rollup =
            "55d0-7ffe ---p 00000000 00:00 0    [rollup]\nRss:     9000 kB\nPss:     4321 kB\nPss_Dirty: 100 kB\n";
        assert_eq!(parse_pss(rollup), Some(4321 << 10));
        assert_eq!(parse_pss(""), None);
        assert_eq!(mebibytes(1_677_721), "1.5 MiB");
    }
}

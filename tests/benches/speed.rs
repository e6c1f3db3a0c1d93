//! How fast and how small a node is: figures for the README, run by hand as root.
//!
//! `cargo bench -p minik-tests --bench speed [NAME…]` prints min, median and max of each figure; `MINIKCTL=PATH` names another
//! executable than this tree's. Nothing here asserts a time.

#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeSet;
use std::fs;
use std::future::Future;
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, ResourceExt};
use minik_api::cri;
use minik_api::cri::runtime_service_client::RuntimeServiceClient;
use minik_tests::{World, executable, images};
use serde_json::json;

const PAUSE: &str = "bench/pause:1";

type Watch = futures::stream::BoxStream<'static, Result<WatchEvent<Pod>, kube::Error>>;

fn main() {
    let asked: BTreeSet<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let figures: [(&str, fn()); 6] = [
        ("up", up),
        ("apply", apply),
        ("many", many),
        ("delete", delete),
        ("cri", three_calls),
        ("idle", idle),
    ];
    println!("{}", machine());
    for (name, figure) in figures {
        if asked.is_empty() || asked.contains(name) {
            // A thread each, since a world enters a network namespace with its thread.
            std::thread::spawn(figure).join().expect("the benchmark ran");
        }
    }
}

/// `minikctl up` to node Ready, on a fresh instance each time.
fn up() {
    let mut taken = Vec::new();
    for _ in 0..5 {
        let world = World::new();
        let start = Instant::now();
        world.start();
        taken.push(start.elapsed());
    }
    report("minikctl up to node Ready", &mut taken);
    let size = fs::metadata(executable::minikctl()).expect("it was built").len();
    println!("{:<44} {:.1} MB", "size of the executable", megabytes(size));
}

/// From the start of `minikctl apply` to the watch event that says Running, then from `delete` to gone.
fn apply() {
    let world = world();
    let mut taken = Vec::new();
    for number in 0..20 {
        let name = format!("p{number}");
        block_on(async {
            let pods = pods(&world).await;
            let events = watch(&pods).await;
            let start = Instant::now();
            let apply = tokio::task::spawn_blocking({
                let run = world.minikctl(["apply", "-f", "-"]).stdin(&manifest(&name));
                move || run.ok()
            });
            running(events, 1).await;
            taken.push(start.elapsed());
            let _ = apply.await.expect("apply ran");
        });
    }
    report("apply to Running, one pod", &mut taken);
}

/// Twenty pods in one manifest, until the last is Running.
fn many() {
    let world = world();
    let mut taken = Vec::new();
    for round in 0..3 {
        let manifests: Vec<String> = (0..20).map(|number| manifest(&format!("m{round}-{number}"))).collect();
        block_on(async {
            let pods = pods(&world).await;
            let events = watch(&pods).await;
            let start = Instant::now();
            let apply = tokio::task::spawn_blocking({
                let run = world.minikctl(["apply", "-f", "-"]).stdin(&manifests.concat());
                move || run.ok()
            });
            running(events, 20).await;
            taken.push(start.elapsed());
            let _ = apply.await.expect("apply ran");
        });
        let _ = world
            .minikctl(["delete", "pods", "--all", "--grace-period=0", "--force"])
            .ok();
    }
    report("20 pods applied at once, all Running", &mut taken);
}

/// From the request to the watch event that says it is gone, of a process that ends at SIGTERM.
fn delete() {
    let world = world();
    let mut taken = Vec::new();
    for number in 0..10 {
        let name = format!("d{number}");
        world.apply(&manifest(&name));
        world.wait(&format!("pod/{name}"), "jsonpath={.status.phase}=Running");
        block_on(async {
            let pods = pods(&world).await;
            let mut events = watch(&pods).await;
            let start = Instant::now();
            pods.delete(&name, &kube::api::DeleteParams::default())
                .await
                .expect("the pod is there");
            while let Some(event) = events.try_next().await.expect("the watch goes on") {
                if matches!(&event, WatchEvent::Deleted(pod) if pod.name_any() == name) {
                    break;
                }
            }
            taken.push(start.elapsed());
        });
    }
    report("delete to gone, process ends at once", &mut taken);
}

/// `RunPodSandbox`, `CreateContainer` and `StartContainer` of a pod with network.
fn three_calls() {
    let world = world();
    let socket = world.folder().join("run/runtime.sock");
    let mut steps: [Vec<Duration>; 4] = Default::default();
    // The kubelet makes the folder of the logs; here nobody else does.
    fs::create_dir_all(world.folder().join("logs")).expect("the folder is made");
    block_on(async {
        let channel = tonic::transport::Endpoint::from_shared(format!("unix://{}", socket.display()))
            .expect("a socket's path")
            .connect()
            .await
            .expect("the runtime serves");
        let mut runtime = RuntimeServiceClient::new(channel);
        for number in 0..20 {
            let taken = one_pod(&mut runtime, &world, number).await;
            for (all, one) in steps.iter_mut().zip(taken) {
                all.push(one);
            }
        }
    });
    let names = ["RunPodSandbox", "CreateContainer", "StartContainer", "all three"];
    for (name, taken) in names.into_iter().zip(&mut steps) {
        report(name, taken);
    }
}

async fn one_pod(
    runtime: &mut RuntimeServiceClient<tonic::transport::Channel>,
    world: &World,
    number: u32,
) -> [Duration; 4] {
    let config = cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: format!("bench-{number}"),
            uid: format!("bench-{number}"),
            namespace: "bench".into(),
            attempt: 0,
        }),
        hostname: "bench".into(),
        log_directory: world.folder().join("logs").display().to_string(),
        linux: Some(cri::LinuxPodSandboxConfig {
            cgroup_parent: format!("/minik-{}/bench", world.instance()),
            ..Default::default()
        }),
        ..Default::default()
    };
    let start = Instant::now();
    let request = cri::RunPodSandboxRequest {
        config: Some(config.clone()),
        ..Default::default()
    };
    let sandbox = runtime
        .run_pod_sandbox(request)
        .await
        .expect("the sandbox runs")
        .into_inner()
        .pod_sandbox_id;
    let made = start.elapsed();
    let request = cri::CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(cri::ContainerConfig {
            metadata: Some(cri::ContainerMetadata {
                name: "c".into(),
                attempt: 0,
            }),
            image: Some(cri::ImageSpec {
                image: PAUSE.into(),
                ..Default::default()
            }),
            log_path: format!("{number}.log"),
            ..Default::default()
        }),
        sandbox_config: Some(config),
    };
    let container = runtime
        .create_container(request)
        .await
        .expect("the container is made")
        .into_inner()
        .container_id;
    let created = start.elapsed();
    runtime
        .start_container(cri::StartContainerRequest {
            container_id: container,
        })
        .await
        .expect("it starts");
    let started = start.elapsed();
    runtime
        .stop_pod_sandbox(cri::StopPodSandboxRequest {
            pod_sandbox_id: sandbox.clone(),
        })
        .await
        .expect("the sandbox stops");
    runtime
        .remove_pod_sandbox(cri::RemovePodSandboxRequest {
            pod_sandbox_id: sandbox,
        })
        .await
        .expect("it is removed");
    [made, created - made, started - created, started]
}

/// Memory and time of all programs when nothing happens, and of a pod's shim.
fn idle() {
    let world = world();
    world.apply(&manifest("idle"));
    world.wait("pod/idle", "jsonpath={.status.phase}=Running");
    // Let what the start has set off come to rest.
    std::thread::sleep(Duration::from_secs(5));
    let before = programs(&world);
    std::thread::sleep(Duration::from_secs(20));
    let after = programs(&world);
    let mut total = 0;
    for (name, pss, ticks) in &after {
        let earlier = before
            .iter()
            .find(|(known, ..)| known == name)
            .map_or(*ticks, |(.., ticks)| *ticks);
        let share = (ticks - earlier) as f64 / 20.0;
        println!(
            "{:<44} {:>6.2} MB PSS, {share:.2}% of a core",
            format!("idle {name}"),
            megabytes(*pss)
        );
        if !name.starts_with("shim") {
            total += pss;
        }
    }
    println!("{:<44} {:>6.2} MB PSS", "idle, all programs", megabytes(total));
}

/// Name with pid, PSS in bytes and CPU ticks (hundredths of a second) of each process of the node.
fn programs(world: &World) -> Vec<(String, u64, u64)> {
    let folder = world.folder().display().to_string();
    let entries = fs::read_dir("/proc").expect("/proc is there").flatten();
    let found = entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        let mut words = command.split(' ');
        if !(words.next()?.contains("minikctl") && command.contains(&folder)) {
            return None;
        }
        let program = words.next()?.to_owned();
        let rollup = fs::read_to_string(entry.path().join("smaps_rollup")).ok()?;
        let pss = rollup
            .lines()
            .find_map(|line| line.strip_prefix("Pss:"))?
            .split_whitespace()
            .next()?
            .parse::<u64>();
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some((format!("{program} {pid}"), pss.ok()? * 1024, ticks))
    });
    found.collect()
}

fn world() -> World {
    let world = World::up();
    let archive = images::busybox(world.folder(), PAUSE, &json!({"Cmd": ["sleep", "1000000"]}));
    let _ = world.minikctl(["image", "import"]).args([archive]).ok();
    world
}

fn manifest(name: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": PAUSE, "imagePullPolicy": "Never",
            // The shell ends at SIGTERM; sleep as process 1 would not.
            "command": ["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 1000 & wait $!; done"]}]},
    })
    .to_string()
        + "\n"
}

async fn pods(world: &World) -> Api<Pod> {
    let kubeconfig = Kubeconfig::read_from(world.kubeconfig()).expect("`up` wrote the kubeconfig");
    let options = KubeConfigOptions {
        context: Some(world.context()),
        ..Default::default()
    };
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .expect("a usable kubeconfig");
    Api::default_namespaced(Client::try_from(config).expect("a client"))
}

/// A watch that begins at the present.
async fn watch(pods: &Api<Pod>) -> Watch {
    let now = pods
        .list_metadata(&Default::default())
        .await
        .expect("a list")
        .metadata
        .resource_version;
    pods.watch(&WatchParams::default(), &now.unwrap_or_default())
        .await
        .expect("a watch")
        .boxed()
}

/// Ends when so many pods are Running.
async fn running(mut watch: Watch, count: usize) {
    let mut seen = BTreeSet::new();
    while seen.len() < count {
        match watch.try_next().await.expect("the watch goes on") {
            Some(WatchEvent::Added(pod) | WatchEvent::Modified(pod)) if phase(&pod) == Some("Running") => {
                seen.insert(pod.name_any());
            }
            Some(_) => {}
            None => panic!("the watch ended"),
        }
    }
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn block_on(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a tokio runtime");
    runtime.block_on(future);
}

fn report(what: &str, taken: &mut [Duration]) {
    taken.sort();
    let shown = |duration: Option<&Duration>| duration.map_or(f64::NAN, |taken| taken.as_secs_f64() * 1000.0);
    println!(
        "{what:<44} min {:>7.1} ms, median {:>7.1} ms, max {:>7.1} ms ({} runs)",
        shown(taken.first()),
        shown(taken.get(taken.len() / 2)),
        shown(taken.last()),
        taken.len()
    );
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let total = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok())
        .unwrap_or(0);
    format!(
        "{}, {cores} cores, {} GiB, Linux {}",
        jiff::Zoned::now().date(),
        total >> 20,
        kernel.trim()
    )
}

//! Following a node that starts: what its supervisor reports of the programs, then what the node says of itself.

use std::io;
use std::time::{Duration, Instant};

use super::UpError;
use crate::node::cluster::{Cluster, Readiness, readiness};
use crate::node::instance::Instance;
use crate::node::progress::Progress;
use crate::node::supervisor::command::Program;
use crate::node::supervisor::control::{Connection, Message, Phase, Request, What};

/// A program that failed this often in a row while the node starts is reported instead of awaited.
const FAILURES_MAX: u32 = 5;

/// Shows what the supervisor reports until all programs are ready and the node says Ready.
pub(super) async fn follow(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let socket = instance.supervisor_socket();
    let control = |source| UpError::Control {
        socket: socket.clone(),
        source,
    };
    let gone = || control(io::Error::new(io::ErrorKind::UnexpectedEof, "it ended"));
    let mut connection = Connection::open(&socket, Request::Follow)
        .await
        .map_err(control)?
        .ok_or_else(gone)?;
    let mut starting = Starting::of(instance);
    let programs = async {
        progress.doing(starting.waiting_for());
        while !starting.complete() {
            let message = connection.next().await.map_err(control)?.ok_or_else(gone)?;
            if let Message::Phase(phase) = message {
                starting.take(&phase, instance, progress)?;
                progress.doing(starting.waiting_for());
            }
        }
        Ok::<(), UpError>(())
    };
    let deadline = tokio::time::sleep(super::READY_DEADLINE);
    tokio::select! {
        result = async { programs.await?; await_node(instance, progress).await } => result,
        () = deadline => {
            let reason = match Cluster::open(instance).await?.node().await?.as_ref().map(readiness) {
                Some(Readiness::NotReady(reason)) => reason,
                Some(Readiness::Ready) => "it has become Ready only now".to_owned(),
                None => "it has not registered".to_owned(),
            };
            Err(UpError::NotReady { reason, log: instance.log_dir().join("kubelet.log") })
        }
    }
}

async fn await_node(instance: &Instance, progress: &Progress) -> Result<(), UpError> {
    let began = Instant::now();
    progress.doing(format_args!("waiting for node {} to be Ready", instance.node_name));
    let cluster = Cluster::open(instance).await?;
    let heard = |reason: &str| progress.doing(format_args!("node {} is not Ready: {reason}", instance.node_name));
    cluster.node_ready(heard).await?;
    progress.done(format_args!("node {} is Ready", instance.node_name), began.elapsed());
    Ok(())
}

/// Which programs are ready, as far as phases told.
struct Starting {
    programs: Vec<&'static str>,
    ready: Vec<String>,
}

impl Starting {
    fn of(instance: &Instance) -> Self {
        Self {
            programs: Program::of(instance).map(Program::name).collect(),
            ready: Vec::new(),
        }
    }

    fn complete(&self) -> bool {
        self.missing().next().is_none()
    }

    fn missing(&self) -> impl Iterator<Item = &'static str> {
        let programs = self.programs.iter().copied();
        programs.filter(|name| !self.ready.iter().any(|ready| ready == name))
    }

    fn waiting_for(&self) -> String {
        let missing: Vec<&str> = self.missing().collect();
        format!("starting {}", missing.join(", "))
    }

    fn take(&mut self, phase: &Phase, instance: &Instance, progress: &Progress) -> Result<(), UpError> {
        let program = &phase.program;
        match &phase.what {
            What::Started { .. } | What::Stopped => {}
            What::Ready { took_millis } => {
                self.ready.push(program.clone());
                progress.done(format_args!("{program} started"), Duration::from_millis(*took_millis));
            }
            What::Failed {
                reason,
                failures,
                retry_millis,
            } => {
                self.ready.retain(|ready| ready != program);
                if *failures >= FAILURES_MAX {
                    return Err(UpError::ProgramFails {
                        program: program.clone(),
                        failures: *failures,
                        reason: reason.clone(),
                        log: instance.log_dir().join(format!("{program}.log")),
                    });
                }
                progress.warn(format_args!(
                    "{program} ended ({reason}); it is started again in {retry_millis} ms"
                ));
            }
        }
        Ok(())
    }
}

//! How long the three calls of a pod take: RunPodSandbox, CreateContainer, StartContainer, and its removal, on a runtime that
//! serves already. `cri_bench SOCKET IMAGE [COUNT]`, IMAGE being there and having /bin/sleep.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use hyper_util::rt::TokioIo;
use minik_api::cri::runtime_service_client::RuntimeServiceClient;
use minik_api::cri::*;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

#[derive(Parser)]
struct Options {
    /// The runtime's socket
    socket: PathBuf,
    /// An image that the runtime has
    image: String,
    /// How many pods, one after the other
    #[arg(default_value_t = 50)]
    count: u32,
}

/// Times of one act, over all pods.
#[derive(Default)]
struct Times(BTreeMap<&'static str, Vec<Duration>>);

impl Times {
    async fn measure<T>(&mut self, act: &'static str, work: impl Future<Output = T>) -> T {
        let start = Instant::now();
        let result = work.await;
        self.0.entry(act).or_default().push(start.elapsed());
        result
    }

    #[allow(clippy::print_stdout, reason = "the figures are this program's output")]
    fn print(mut self) {
        for (act, times) in &mut self.0 {
            times.sort();
            let millis = |time: Duration| time.as_secs_f64() * 1000.0;
            let at = |part: f64| millis(times[((times.len() - 1) as f64 * part) as usize]);
            println!(
                "{act:<24} min {:7.2}  p50 {:7.2}  p90 {:7.2}  max {:7.2} ms",
                at(0.0),
                at(0.5),
                at(0.9),
                at(1.0)
            );
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    let socket = options.socket.clone();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await?;
    let mut runtime = RuntimeServiceClient::new(channel);
    let mut times = Times::default();
    for number in 0..options.count {
        pod(&mut runtime, &options.image, number, &mut times).await?;
    }
    times.print();
    Ok(())
}

async fn pod(
    runtime: &mut RuntimeServiceClient<Channel>,
    image: &str,
    number: u32,
    times: &mut Times,
) -> Result<(), Box<dyn Error>> {
    let namespaces = NamespaceOption {
        pid: NamespaceMode::Container.into(),
        ..Default::default()
    };
    let context = LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces.clone()),
        ..Default::default()
    };
    let pod = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: format!("bench-{number}"),
            uid: number.to_string(),
            ..Default::default()
        }),
        linux: Some(LinuxPodSandboxConfig {
            security_context: Some(context),
            ..Default::default()
        }),
        ..Default::default()
    };
    let context = LinuxContainerSecurityContext {
        namespace_options: Some(namespaces),
        ..Default::default()
    };
    let container = ContainerConfig {
        metadata: Some(ContainerMetadata {
            name: "bench".to_owned(),
            attempt: 0,
        }),
        image: Some(ImageSpec {
            image: image.to_owned(),
            ..Default::default()
        }),
        command: vec!["/bin/sleep".to_owned(), "1000".to_owned()],
        linux: Some(LinuxContainerConfig {
            security_context: Some(context),
            ..Default::default()
        }),
        ..Default::default()
    };
    let begin = Instant::now();
    let request = RunPodSandboxRequest {
        config: Some(pod.clone()),
        runtime_handler: String::new(),
    };
    let sandbox = times
        .measure("1 RunPodSandbox", runtime.run_pod_sandbox(request))
        .await?
        .into_inner()
        .pod_sandbox_id;
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.clone(),
        config: Some(container),
        sandbox_config: Some(pod),
    };
    let id = times
        .measure("2 CreateContainer", runtime.create_container(request))
        .await?
        .into_inner()
        .container_id;
    times
        .measure(
            "3 StartContainer",
            runtime.start_container(StartContainerRequest {
                container_id: id.clone(),
            }),
        )
        .await?;
    times.0.entry("4 all three").or_default().push(begin.elapsed());
    times
        .measure(
            "5 StopContainer (kill)",
            runtime.stop_container(StopContainerRequest {
                container_id: id,
                timeout: 0,
            }),
        )
        .await?;
    let stop = StopPodSandboxRequest {
        pod_sandbox_id: sandbox.clone(),
    };
    times
        .measure("6 StopPodSandbox", runtime.stop_pod_sandbox(stop))
        .await?;
    let remove = RemovePodSandboxRequest {
        pod_sandbox_id: sandbox,
    };
    times
        .measure("7 RemovePodSandbox", runtime.remove_pod_sandbox(remove))
        .await?;
    Ok(())
}

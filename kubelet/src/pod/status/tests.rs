//! What the API shows at each point of a pod's life.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ContainerState as State, PodCondition};
use serde_json::json;

use super::*;
use crate::pod::action::Key;
use crate::pod::memory::Probed;
use crate::pod::observed::{Container, ContainerState, Sandbox};
use crate::pod::testing;

fn now() -> Now {
    Now {
        instant: Instant::now(),
        wall: Timestamp::from_second(1000).expect("in range"),
    }
}

fn host() -> Host {
    Host {
        ips: vec!["10.0.0.9".into()],
        runtime_name: "minik".into(),
    }
}

fn run(name: &str, attempt: u32, state: ContainerState) -> Container {
    Container {
        id: format!("{name}-{attempt}"),
        sandbox_id: "s".into(),
        name: name.into(),
        attempt,
        state,
        created_at_nanos: i64::from(attempt),
        started_at_nanos: 900_000_000_000,
        reason: String::new(),
        message: String::new(),
        image: "a:1".into(),
        image_ref: "sha256:1".into(),
        log_path: String::new(),
        annotations: BTreeMap::new(),
    }
}

fn exited(code: i32) -> ContainerState {
    ContainerState::Exited {
        code,
        finished_at_nanos: 950_000_000_000,
    }
}

fn observed(containers: Vec<Container>) -> Observed {
    let sandbox = Sandbox {
        id: "s".into(),
        attempt: 0,
        ready: true,
        created_at_nanos: 1,
        ips: vec!["10.1.0.2".into()],
    };
    Observed::new(vec![sandbox], containers)
}

fn one() -> Pod {
    testing::pod(json!({"containers": [{"name": "a", "image": "a:1"}]}))
}

fn made(pod: &Pod, observed: &Observed, memory: &Memory) -> PodStatus {
    status(pod, observed, memory, &host(), now())
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> &'a PodCondition {
    let conditions = status.conditions.as_ref().expect("always set");
    conditions
        .iter()
        .find(|condition| condition.type_ == kind)
        .expect("one of the known ones")
}

fn state(status: &PodStatus) -> State {
    let containers = status.container_statuses.as_ref().expect("always set");
    containers[0].state.clone().expect("always set")
}

fn waiting(status: &PodStatus) -> (String, String) {
    let waiting = state(status).waiting.expect("it waits");
    (waiting.reason.unwrap_or_default(), waiting.message.unwrap_or_default())
}

#[test]
fn a_new_pod_is_pending() {
    let status = made(&one(), &Observed::default(), &Memory::default());
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(waiting(&status).0, "ContainerCreating");
    assert_eq!(condition(&status, "PodReadyToStartContainers").status, "False");
    assert_eq!(condition(&status, "Initialized").status, "True");
    assert_eq!(
        condition(&status, "Ready").message.as_deref(),
        Some("containers with unready status: [a]")
    );
    assert_eq!(status.qos_class.as_deref(), Some("BestEffort"));
}

#[test]
fn a_running_pod_is_ready_unless_a_probe_says_otherwise() {
    let running = observed(vec![run("a", 0, ContainerState::Running)]);
    let status = made(&one(), &running, &Memory::default());
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(condition(&status, "Ready").status, "True");
    assert_eq!(status.pod_ip.as_deref(), Some("10.1.0.2"));
    assert_eq!(
        status.container_statuses.as_ref().expect("set")[0]
            .container_id
            .as_deref(),
        Some("minik://a-0")
    );

    let probed = testing::pod(json!({"containers": [{"name": "a", "readinessProbe": {"exec": {}}}]}));
    assert_eq!(
        condition(&made(&probed, &running, &Memory::default()), "Ready").status,
        "False"
    );
    let mut memory = Memory::default();
    memory.probes.insert(
        "a-0".into(),
        Probed {
            started: true,
            ready: true,
            unhealthy: None,
        },
    );
    assert_eq!(condition(&made(&probed, &running, &memory), "Ready").status, "True");
}

#[test]
fn failed_pulls_show_first_the_error_and_then_the_back_off() {
    let mut memory = Memory::default();
    let begun = now();
    memory.failed(
        Key::Image("a".into()),
        "ErrImagePull",
        "no such tag".into(),
        begun.instant,
    );
    let at_once = status(&one(), &observed(Vec::new()), &memory, &host(), begun);
    assert_eq!(waiting(&at_once), ("ErrImagePull".into(), "no such tag".into()));
    let later = Now {
        instant: begun.instant + FRESH_FAILURE,
        ..begun
    };
    let later = status(&one(), &observed(Vec::new()), &memory, &host(), later);
    assert_eq!(
        waiting(&later),
        (
            "ImagePullBackOff".into(),
            "Back-off pulling image \"a:1\": ErrImagePull: no such tag".into()
        )
    );
    assert_eq!(later.phase.as_deref(), Some("Pending"));
}

#[test]
fn a_volume_that_fails_is_named_where_the_container_waits() {
    let mut memory = Memory::default();
    memory.failed(
        Key::Volumes,
        "FailedMount",
        "secret \"s\" not found".into(),
        Instant::now(),
    );
    let status = made(&one(), &observed(Vec::new()), &memory);
    assert_eq!(
        waiting(&status),
        ("ContainerCreating".into(), "secret \"s\" not found".into())
    );
    assert_eq!(status.reason.as_deref(), Some("FailedMount"));
}

#[test]
fn a_pull_shows_how_far_it_is() {
    let mut memory = Memory::default();
    memory.progress.insert("a".into(), "pulling a:1: 1 of 2 layers".into());
    assert_eq!(
        waiting(&made(&one(), &observed(Vec::new()), &memory)).1,
        "pulling a:1: 1 of 2 layers"
    );
}

#[test]
fn a_crash_loop_shows_its_back_off_and_the_last_end() {
    let mut last = run("a", 2, exited(1));
    last.annotations
        .insert(crate::pod::backoff::CONSECUTIVE.into(), "2".into());
    let mut memory = Memory::default();
    let begun = now();
    memory.ended_at.insert(last.id.clone(), begun.instant);
    let status = status(&one(), &observed(vec![last]), &memory, &host(), begun);
    let (reason, message) = waiting(&status);
    assert_eq!(reason, "CrashLoopBackOff");
    assert_eq!(
        message,
        "back-off 20s restarting failed container=a pod=web_default(uid-1)"
    );
    let container = &status.container_statuses.as_ref().expect("set")[0];
    assert_eq!(container.restart_count, 2);
    let last = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .expect("it ended");
    assert_eq!((last.exit_code, last.reason.as_deref()), (1, Some("Error")));
    assert_eq!(status.phase.as_deref(), Some("Running"));
}

#[test]
fn init_containers_hold_the_pod_back() {
    let pod = testing::pod(json!({"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}));
    let status = made(
        &pod,
        &observed(vec![run("i", 0, ContainerState::Running)]),
        &Memory::default(),
    );
    assert_eq!(status.phase.as_deref(), Some("Pending"));
    assert_eq!(waiting(&status).0, "PodInitializing");
    let initialized = condition(&status, "Initialized");
    assert_eq!(initialized.reason.as_deref(), Some("ContainersNotInitialized"));
}

#[test]
fn pods_end_as_succeeded_or_failed() {
    for (code, phase, reason) in [(0, "Succeeded", "PodCompleted"), (3, "Failed", "PodFailed")] {
        let pod = testing::pod(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}));
        let status = made(&pod, &observed(vec![run("a", 0, exited(code))]), &Memory::default());
        assert_eq!(status.phase.as_deref(), Some(phase));
        assert_eq!(condition(&status, "Ready").reason.as_deref(), Some(reason));
        assert_eq!(state(&status).terminated.map(|ended| ended.exit_code), Some(code));
    }
}

#[test]
fn what_ended_keeps_its_phase_when_its_containers_are_gone() {
    let mut pod = one();
    pod.status.phase = Some("Failed".into());
    pod.status.reason = Some("DeadlineExceeded".into());
    let status = made(&pod, &Observed::default(), &Memory::default());
    assert_eq!(
        (status.phase.as_deref(), status.reason.as_deref()),
        (Some("Failed"), Some("DeadlineExceeded"))
    );
    assert_eq!(state(&status).terminated.map(|ended| ended.exit_code), Some(137));
}

#[test]
fn conditions_keep_their_time_and_those_of_others_stay() {
    let running = observed(vec![run("a", 0, ContainerState::Running)]);
    let mut pod = testing::pod(json!({"readinessGates": [{"conditionType": "x/y"}], "containers": [{"name": "a"}]}));
    let first = made(&pod, &running, &Memory::default());
    assert_eq!(
        condition(&first, "Ready").reason.as_deref(),
        Some("ReadinessGatesNotReady")
    );
    pod.status = first;
    let gate = PodCondition {
        type_: "x/y".into(),
        status: "True".into(),
        ..Default::default()
    };
    pod.status.conditions.get_or_insert_default().push(gate);
    let later = Now {
        wall: Timestamp::from_second(2000).expect("in range"),
        ..now()
    };
    let second = status(&pod, &running, &Memory::default(), &host(), later);
    let at = |kind: &str| {
        condition(&second, kind)
            .last_transition_time
            .clone()
            .map(|time| time.0.as_second())
    };
    assert_eq!((at("Ready"), at("ContainersReady")), (Some(2000), Some(1000)));
    assert_eq!(condition(&second, "x/y").status, "True");
    assert_eq!(condition(&second, "PodScheduled").status, "True");
}

#[test]
fn a_pod_that_ended_keeps_its_address() {
    let mut pod = testing::pod(json!({"restartPolicy": "Never", "containers": [{"name": "a"}]}));
    pod.status = made(
        &pod,
        &observed(vec![run("a", 0, ContainerState::Running)]),
        &Memory::default(),
    );
    let mut ended = observed(vec![run("a", 0, exited(0))]);
    ended.sandboxes[0].ips.clear();
    ended.sandboxes[0].ready = false;
    assert_eq!(
        made(&pod, &ended, &Memory::default()).pod_ip.as_deref(),
        Some("10.1.0.2")
    );
}

#[test]
fn the_nodes_network_has_the_nodes_address() {
    let pod = testing::pod(json!({"hostNetwork": true, "containers": [{"name": "a"}]}));
    let mut observed = observed(vec![run("a", 0, ContainerState::Running)]);
    observed.sandboxes[0].ips.clear();
    let status = made(&pod, &observed, &Memory::default());
    assert_eq!(status.pod_ip.as_deref(), Some("10.0.0.9"));
    assert_eq!(condition(&status, "PodReadyToStartContainers").status, "True");
}

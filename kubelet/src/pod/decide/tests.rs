//! Each decision as a case, and the property that doing what is decided comes to an end.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::pod::memory::{Probed, Unhealthy};
use crate::pod::observed::Sandbox;
use crate::pod::testing;
use crate::spec::container_hash;

/// A runtime that does everything at once, and what a worker would remember of it.
struct World {
    pod: Pod,
    observed: Observed,
    memory: Memory,
    now: Instant,
    /// What containers end with, by name; those that aren't here run on.
    exits: BTreeMap<String, i32>,
    /// Everything that was done, in order.
    done: Vec<Action>,
    next_id: u32,
}

impl World {
    fn new(pod: Pod) -> Self {
        Self {
            pod,
            observed: Observed::default(),
            memory: Memory::default(),
            now: Instant::now(),
            exits: BTreeMap::new(),
            done: Vec::new(),
            next_id: 0,
        }
    }

    fn plan(&self) -> Plan {
        decide(&self.pod, &self.observed, &self.memory, self.now)
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("id{}", self.next_id)
    }

    /// Does all that is decided until nothing is; false if that takes suspiciously long.
    fn settle(&mut self) -> bool {
        for _ in 0..100 {
            let plan = self.plan();
            if plan.actions.is_empty() {
                return true;
            }
            for action in plan.actions {
                self.apply(action);
            }
        }
        false
    }

    fn apply(&mut self, action: Action) {
        self.done.push(action.clone());
        match action {
            Action::PrepareVolumes => self.memory.volumes_ready = true,
            Action::RunSandbox { attempt } => {
                let id = self.id();
                self.observed.sandboxes.insert(
                    0,
                    Sandbox {
                        id,
                        attempt,
                        ready: true,
                        created_at_nanos: i64::from(self.next_id),
                        ips: vec!["10.1.0.2".into()],
                    },
                );
            }
            Action::EnsureImage { container } => drop(self.memory.images.insert(container, "sha256:1".into())),
            Action::StartContainer {
                container,
                sandbox_id,
                attempt,
                consecutive,
                ..
            } => self.start(&container, sandbox_id, attempt, consecutive),
            Action::KillContainer { id, .. } => self.end(&id, 137),
            Action::RemoveContainer { id } => self.observed.containers.retain(|run| run.id != id),
            Action::StopSandbox { id } => {
                for sandbox in self.observed.sandboxes.iter_mut().filter(|sandbox| sandbox.id == id) {
                    sandbox.ready = false;
                }
            }
            Action::RemoveSandbox { id } => {
                self.observed.sandboxes.retain(|sandbox| sandbox.id != id);
                self.observed.containers.retain(|run| run.sandbox_id != id);
            }
            Action::Finish => self.memory.finished = true,
        }
    }

    fn start(&mut self, name: &str, sandbox_id: String, attempt: u32, consecutive: u32) {
        self.memory.images.remove(name);
        let id = self.id();
        let container = self.pod.container(name).expect("decided from this pod");
        let annotations = [
            (HASH.to_owned(), container_hash(container)),
            (backoff::CONSECUTIVE.to_owned(), consecutive.to_string()),
        ];
        self.observed.containers.insert(
            0,
            Container {
                id: id.clone(),
                sandbox_id,
                name: name.to_owned(),
                attempt,
                state: ContainerState::Running,
                created_at_nanos: i64::from(self.next_id),
                started_at_nanos: 1,
                reason: String::new(),
                message: String::new(),
                image: String::new(),
                image_ref: String::new(),
                log_path: String::new(),
                annotations: annotations.into(),
            },
        );
        if let Some(code) = self.exits.get(name).copied() {
            self.end(&id, code);
        }
    }

    fn end(&mut self, id: &str, code: i32) {
        for run in self.observed.containers.iter_mut().filter(|run| run.id == id) {
            run.state = ContainerState::Exited {
                code,
                finished_at_nanos: 2,
            };
        }
        self.memory.probes.remove(id);
        self.memory.note_end(id, Duration::ZERO, self.now);
    }

    fn exit(&mut self, name: &str, code: i32) {
        let id = self.run(name).id.clone();
        self.end(&id, code);
    }

    fn run(&self, name: &str) -> &Container {
        self.observed.latest(name).expect("it has run")
    }

    fn starts(&self) -> Vec<&str> {
        let starts = self.done.iter().filter_map(|action| match action {
            Action::StartContainer { container, .. } => Some(container.as_str()),
            _ => None,
        });
        starts.collect()
    }
}

fn two() -> World {
    World::new(testing::pod(
        json!({"containers": [{"name": "a", "image": "a:1"}, {"name": "b", "image": "b:1"}]}),
    ))
}

fn with_inits(policy: &str) -> World {
    World::new(testing::pod(json!({
        "restartPolicy": policy,
        "initContainers": [
            {"name": "first", "image": "i:1"},
            {"name": "side", "image": "s:1", "restartPolicy": "Always"},
            {"name": "second", "image": "i:1"}],
        "containers": [{"name": "main", "image": "m:1"}]})))
}

fn deleted(mut world: World) -> World {
    world.pod.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        jiff::Timestamp::UNIX_EPOCH,
    ));
    world.pod.metadata.deletion_grace_period_seconds = Some(5);
    world
}

#[test]
fn volumes_sandbox_and_images_come_together() {
    let plan = two().plan();
    assert_eq!(
        plan.actions,
        [
            Action::PrepareVolumes,
            Action::RunSandbox { attempt: 0 },
            Action::EnsureImage { container: "a".into() },
            Action::EnsureImage { container: "b".into() },
        ]
    );
}

#[test]
fn containers_start_in_their_order() {
    let mut world = two();
    assert!(world.settle());
    assert_eq!(world.starts(), ["a", "b"]);
    assert_eq!(world.plan(), Plan::default());
}

#[test]
fn what_is_under_way_is_not_begun_again() {
    let mut world = two();
    world.memory.under_way = world.plan().actions.iter().map(Action::key).collect();
    assert!(world.plan().actions.is_empty());
}

#[test]
fn init_containers_go_before_and_sidecars_stay() {
    let mut world = with_inits("Always");
    world.exits = [("first".to_owned(), 0), ("second".to_owned(), 0)].into();
    assert!(world.settle());
    assert_eq!(world.starts(), ["first", "side", "second", "main"]);
    world.exit("side", 1);
    assert!(world.settle());
    assert_eq!(world.starts().last(), Some(&"side"));
}

#[test]
fn a_sidecar_holds_the_next_until_its_startup_probe_succeeds() {
    let mut world = World::new(testing::pod(json!({
        "initContainers": [{"name": "side", "image": "s:1", "restartPolicy": "Always", "startupProbe": {"exec": {}}}],
        "containers": [{"name": "main", "image": "m:1"}]})));
    assert!(world.settle());
    assert_eq!(world.starts(), ["side"]);
    let id = world.run("side").id.clone();
    let started = Probed {
        started: true,
        ready: true,
        unhealthy: None,
    };
    world.memory.probes.insert(id, started);
    assert!(world.settle());
    assert_eq!(world.starts(), ["side", "main"]);
}

#[test]
fn an_init_container_that_fails_for_good_ends_the_pod() {
    let mut world = with_inits("Never");
    world.exits = [("first".to_owned(), 1)].into();
    assert!(world.settle());
    assert_eq!(world.starts(), ["first"]);
    assert!(is_done(&world.pod, &world.observed));
    assert!(world.observed.sandbox().is_none(), "its sandbox is stopped");
}

#[test]
fn restarts_follow_the_policy() {
    for (policy, code, restarts) in [
        ("Always", 0, true),
        ("Always", 1, true),
        ("OnFailure", 0, false),
        ("OnFailure", 1, true),
        ("Never", 1, false),
    ] {
        let mut world = World::new(testing::pod(
            json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "a:1"}]}),
        ));
        assert!(world.settle());
        world.exit("a", code);
        assert!(world.settle());
        assert_eq!(world.starts().len() == 2, restarts, "{policy} {code}");
    }
}

#[test]
fn a_second_restart_waits_and_names_its_time() {
    let mut world = two();
    assert!(world.settle());
    world.exit("a", 1);
    assert!(world.settle());
    assert_eq!(world.run("a").attempt, 1);
    world.exit("a", 1);
    let plan = world.plan();
    assert!(plan.actions.is_empty(), "{:?}", plan.actions);
    assert_eq!(plan.wake_at, Some(world.now + Duration::from_secs(10)));
    world.now += Duration::from_secs(10);
    assert!(world.settle());
    assert_eq!(world.run("a").attempt, 2);
}

#[test]
fn a_failed_action_waits_for_its_time() {
    let mut world = two();
    world
        .memory
        .failed(Key::Sandbox, "FailedCreatePodSandBox", "no veth".into(), world.now);
    let plan = world.plan();
    assert!(!plan.actions.contains(&Action::RunSandbox { attempt: 0 }));
    assert_eq!(plan.wake_at, Some(world.now + Duration::from_secs(1)));
    world.now += Duration::from_secs(1);
    assert!(world.plan().actions.contains(&Action::RunSandbox { attempt: 0 }));
}

#[test]
fn an_image_that_fails_doesnt_hold_up_the_next_container() {
    let mut world = two();
    world
        .memory
        .failed(Key::Image("a".into()), "ErrImagePull", "no".into(), world.now);
    assert!(world.settle());
    assert_eq!(world.starts(), ["b"]);
}

#[test]
fn an_unhealthy_container_is_killed_and_comes_back() {
    let mut world = two();
    assert!(world.settle());
    let id = world.run("a").id.clone();
    let unhealthy = Unhealthy {
        probe: "liveness",
        grace_seconds: Some(3),
    };
    let probed = Probed {
        started: true,
        ready: false,
        unhealthy: Some(unhealthy),
    };
    world.memory.probes.insert(id.clone(), probed);
    let why = "Container a failed liveness probe, will be restarted".into();
    let kill = Action::KillContainer {
        container: "a".into(),
        id,
        grace_seconds: 3,
        why,
    };
    assert_eq!(world.plan().actions, [kill]);
    assert!(world.settle());
    assert_eq!(world.run("a").attempt, 1);
}

#[test]
fn a_new_image_means_a_restart() {
    let mut world = two();
    assert!(world.settle());
    world.pod.spec.containers[0].image = Some("a:2".into());
    assert!(world.settle());
    assert_eq!((world.run("a").attempt, world.run("b").attempt), (1, 0));
}

#[test]
fn a_dead_sandbox_is_replaced() {
    let mut world = two();
    assert!(world.settle());
    world.observed.sandboxes[0].ready = false;
    world.exit("a", 137);
    assert!(world.settle());
    assert_eq!(world.observed.sandbox().map(|sandbox| sandbox.attempt), Some(1));
    assert_eq!((world.run("a").attempt, world.run("b").attempt), (1, 1));
}

#[test]
fn a_created_container_that_nobody_starts_is_made_anew() {
    let mut world = two();
    assert!(world.settle());
    world.observed.containers[0].state = ContainerState::Created;
    let id = world.observed.containers[0].id.clone();
    assert_eq!(world.plan().actions, [Action::RemoveContainer { id }]);
    world.memory.under_way.insert(Key::Start("b".into()));
    assert!(world.plan().actions.is_empty());
}

#[test]
fn only_one_dead_run_is_kept() {
    let mut world = two();
    assert!(world.settle());
    for _ in 0..4 {
        world.exit("a", 1);
        world.now += Duration::from_secs(300);
        assert!(world.settle());
    }
    assert_eq!(world.run("a").attempt, 4);
    assert_eq!(world.observed.runs("a").count(), 2);
}

#[test]
fn deletion_takes_everything_down_in_order() {
    let mut world = with_inits("Always");
    world.exits = [("first".to_owned(), 0), ("second".to_owned(), 0)].into();
    assert!(world.settle());
    world.done.clear();
    let mut world = deleted(world);
    assert!(world.settle());
    let names: Vec<String> = world
        .done
        .iter()
        .map(|action| match action {
            Action::KillContainer {
                container,
                grace_seconds,
                ..
            } => format!("kill {container} {grace_seconds}"),
            other => format!("{:?}", other.key())
                .split('(')
                .next()
                .unwrap_or_default()
                .to_owned(),
        })
        .collect();
    assert_eq!(
        names,
        ["kill main 5", "kill side 5", "StopSandbox", "Finish", "RemoveSandbox"]
    );
    assert!(world.observed.is_empty() && world.memory.finished);
}

#[test]
fn a_shorter_grace_period_overtakes_a_longer_one() {
    let mut world = two();
    assert!(world.settle());
    let mut world = deleted(world);
    world.memory.under_way = world.plan().actions.iter().map(Action::key).collect();
    assert!(world.plan().actions.is_empty());
    world.pod.metadata.deletion_grace_period_seconds = Some(0);
    assert_eq!(world.plan().actions.len(), 2);
    world.memory.under_way = world.plan().actions.iter().map(Action::key).collect();
    world.pod.metadata.deletion_grace_period_seconds = Some(5);
    assert!(world.plan().actions.is_empty(), "a longer one changes nothing");
}

#[test]
fn a_pod_that_is_gone_from_the_api_is_ended() {
    let mut world = two();
    assert!(world.settle());
    world.memory.removed = true;
    assert!(world.settle());
    assert!(world.observed.is_empty() && world.memory.finished);
}

#[test]
fn a_deadline_ends_the_pod_and_keeps_its_logs() {
    let mut world = two();
    world.memory.deadline_at = Some(world.now + Duration::from_secs(60));
    assert!(world.settle());
    assert_eq!(world.plan().wake_at, Some(world.now + Duration::from_secs(60)));
    world.now += Duration::from_secs(60);
    assert!(world.settle());
    assert!(world.observed.sandbox().is_none());
    assert_eq!(world.observed.containers.len(), 2, "dead, but there");
}

#[test]
fn a_pod_that_ended_is_never_begun_again() {
    let mut world = two();
    world.pod.status.phase = Some("Succeeded".into());
    assert_eq!(world.plan(), Plan::default());
}

proptest! {
    /// Whatever containers do and whenever the pod is deleted: deciding and doing comes to rest, and after a deletion
    /// nothing is left.
    #[test]
    fn deciding_and_doing_comes_to_rest(
        policy in prop::sample::select(vec!["Always", "OnFailure", "Never"]),
        steps in prop::collection::vec((0usize..6, 0i32..2), 0..12),
        delete in any::<bool>(),
    ) {
        let mut world = with_inits(policy);
        world.exits = [("first".to_owned(), 0), ("second".to_owned(), 0)].into();
        prop_assert!(world.settle());
        for (step, code) in steps {
            match step {
                0 | 1 => {
                    let alive: Vec<String> = world.observed.alive().map(|run| run.id.clone()).collect();
                    if let Some(id) = alive.get(step) {
                        world.end(id, code);
                    }
                }
                2 => if let Some(sandbox) = world.observed.sandboxes.first_mut() {
                    sandbox.ready = false;
                },
                3 => world.now += Duration::from_secs(7),
                4 => world.memory.volumes_ready = false,
                _ => world.memory = Memory { ended_at: world.memory.ended_at.clone(), ..Memory::default() },
            }
            prop_assert!(world.settle());
            let running = world.observed.alive().filter(|run| run.name == "main").count();
            prop_assert!(running <= 1, "one run at a time");
            prop_assert!(world.observed.sandboxes.iter().filter(|sandbox| sandbox.ready).count() <= 1);
        }
        if delete {
            let mut world = deleted(world);
            prop_assert!(world.settle());
            prop_assert!(world.observed.is_empty() && world.memory.finished);
        }
    }
}

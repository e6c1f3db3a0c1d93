use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::garbage::Kind;

fn kind(name: &str, namespaced: bool) -> Arc<Kind> {
    Arc::new(Kind {
        group: "apps".into(),
        version: "v1".into(),
        kind: name.into(),
        plural: format!("{}s", name.to_lowercase()),
        namespaced,
    })
}

/// A graph of things in one namespace.
struct World {
    graph: Graph,
    thing: Arc<Kind>,
}

impl World {
    fn new() -> Self {
        let (thing, wide) = (kind("Thing", true), kind("Wide", false));
        let mut graph = Graph::default();
        graph.set_kinds(&[Arc::clone(&thing), wide]);
        Self { graph, thing }
    }

    fn object(&self, name: &str, owners: &[&str]) -> Object {
        Object {
            kind: Arc::clone(&self.thing),
            namespace: "ns".into(),
            name: name.into(),
            uid: name.into(),
            resource_version: "1".into(),
            owners: owners.iter().map(|owner| reference(owner)).collect(),
            finalizers: Vec::new(),
            is_deleting: false,
        }
    }

    fn put(&mut self, name: &str, owners: &[&str]) {
        let object = self.object(name, owners);
        let _ = self.graph.put(object);
    }

    fn deleted(&mut self, name: &str, owners: &[&str], finalizer: &str) {
        let object = Object {
            is_deleting: true,
            finalizers: vec![finalizer.into()],
            ..self.object(name, owners)
        };
        let _ = self.graph.put(object);
    }

    fn decided(&self, name: &str) -> Vec<(String, Action)> {
        let decided = decide(&self.graph, &name.into());
        decided
            .into_iter()
            .map(|(object, action)| (object.name, action))
            .collect()
    }
}

fn reference(name: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".into(),
        kind: "Thing".into(),
        name: name.into(),
        uid: name.into(),
        block_owner_deletion: Some(true),
        controller: None,
    }
}

fn one(name: &str, action: Action) -> Vec<(String, Action)> {
    vec![(name.to_owned(), action)]
}

#[test]
fn what_nobody_owns_stays_and_what_somebody_owns_too() {
    let mut world = World::new();
    world.put("owner", &[]);
    world.put("owned", &["owner"]);
    assert_eq!(world.decided("owner"), []);
    assert_eq!(world.decided("owned"), []);
}

#[test]
fn an_owner_that_is_not_here_is_asked_for_before_anything_is_deleted() {
    let mut world = World::new();
    world.put("owned", &["owner"]);
    assert_eq!(world.decided("owned"), one("owned", Action::Ask(reference("owner"))));
    world.graph.answered("owner".into(), Answer::Present);
    assert_eq!(world.decided("owned"), []);
    world.graph.answered("owner".into(), Answer::Absent);
    assert_eq!(
        world.decided("owned"),
        one("owned", Action::Delete(Propagation::Background))
    );
    // It came into being after all.
    world.put("owner", &[]);
    assert_eq!(world.decided("owned"), []);
}

#[test]
fn an_owner_that_is_gone_beside_one_that_stays_is_struck_out() {
    let mut world = World::new();
    world.put("stays", &[]);
    world.put("owned", &["stays", "gone"]);
    world.graph.answered("gone".into(), Answer::Absent);
    assert_eq!(
        world.decided("owned"),
        one("owned", Action::Own(vec![reference("stays")]))
    );
}

#[test]
fn in_the_foreground_the_owner_goes_last() {
    let mut world = World::new();
    world.deleted("owner", &[], FOREGROUND);
    world.put("middle", &["owner"]);
    world.put("leaf", &["middle"]);
    assert_eq!(world.decided("owner"), []);
    assert_eq!(world.decided("leaf"), []);
    assert_eq!(
        world.decided("middle"),
        one("middle", Action::Delete(Propagation::Foreground))
    );
    world.deleted("middle", &["owner"], FOREGROUND);
    assert_eq!(
        world.decided("leaf"),
        one("leaf", Action::Delete(Propagation::Background))
    );
    let _ = world.graph.remove(&"leaf".into());
    assert_eq!(world.decided("middle"), one("middle", Action::Finish(FOREGROUND)));
    let concerned = world.graph.remove(&"middle".into());
    assert!(concerned.contains(&"owner".into()), "who waited is looked at again");
    assert_eq!(world.decided("owner"), one("owner", Action::Finish(FOREGROUND)));
}

#[test]
fn who_does_not_block_is_not_waited_for() {
    let mut world = World::new();
    world.deleted("owner", &[], FOREGROUND);
    let mut owned = world.object("owned", &["owner"]);
    owned.owners[0].block_owner_deletion = None;
    let _ = world.graph.put(owned);
    assert_eq!(world.decided("owner"), one("owner", Action::Finish(FOREGROUND)));
}

#[test]
fn orphans_are_let_go_before_their_owner() {
    let mut world = World::new();
    world.deleted("owner", &[], ORPHAN);
    world.put("owned", &["owner"]);
    assert_eq!(world.decided("owner"), one("owned", Action::Own(Vec::new())));
    world.put("owned", &[]);
    assert_eq!(world.decided("owner"), one("owner", Action::Finish(ORPHAN)));
}

#[test]
fn others_finalizers_are_others() {
    let mut world = World::new();
    world.deleted("owner", &[], "example.com/backup");
    world.put("owned", &["owner"]);
    assert_eq!(world.decided("owner"), []);
    assert_eq!(
        world.decided("owned"),
        [],
        "the owner is there as long as its finalizer"
    );
}

#[test]
fn a_circle_that_waits_for_itself_is_cut() {
    let mut world = World::new();
    world.deleted("a", &["b"], FOREGROUND);
    world.put("b", &["a"]);
    let mut free = reference("a");
    free.block_owner_deletion = Some(false);
    assert_eq!(world.decided("b"), one("b", Action::Own(vec![free])));
}

#[test]
fn the_owner_has_to_be_in_the_same_namespace() {
    let mut world = World::new();
    let mut owner = world.object("owner", &[]);
    owner.namespace = "elsewhere".into();
    let _ = world.graph.put(owner);
    world.put("owned", &["owner"]);
    assert_eq!(
        world.decided("owned"),
        one("owned", Action::Delete(Propagation::Background))
    );
}

#[test]
fn what_nobody_can_tell_is_left_alone() {
    let mut world = World::new();
    let mut unknown = world.object("unknown", &["x"]);
    unknown.owners[0].kind = "Unserved".into();
    let _ = world.graph.put(unknown);
    assert_eq!(world.decided("unknown"), []);
    let mut wide = world.object("wide", &["x"]);
    wide.namespace.clear();
    let _ = world.graph.put(wide);
    assert_eq!(
        world.decided("wide"),
        [],
        "a cluster-wide object can't belong to one of a namespace"
    );
}

/// Does what was decided, as the API server would.
fn perform(world: &mut World, object: &Object, action: Action) {
    match action {
        Action::Ask(owner) => {
            let uid = Uid::from(owner.uid.as_str());
            let answer = if world.graph.get(&uid).is_some() {
                Answer::Present
            } else {
                Answer::Absent
            };
            world.graph.answered(uid, answer);
        }
        Action::Delete(Propagation::Background) => drop(world.graph.remove(&object.uid)),
        Action::Delete(propagation) => {
            let finalizer = if propagation == Propagation::Orphan {
                ORPHAN
            } else {
                FOREGROUND
            };
            let _ = world.graph.put(Object {
                is_deleting: true,
                finalizers: vec![finalizer.into()],
                ..object.clone()
            });
        }
        Action::Own(owners) => drop(world.graph.put(Object {
            owners,
            ..object.clone()
        })),
        Action::Finish(finalizer) => {
            let finalizers: Vec<String> = object
                .finalizers
                .iter()
                .filter(|name| *name != finalizer)
                .cloned()
                .collect();
            if finalizers.is_empty() {
                drop(world.graph.remove(&object.uid));
            }
        }
    }
}

proptest! {
    /// However things own each other, deciding and doing comes to an end, and nothing is left whose owners are all gone.
    #[test]
    fn deciding_and_doing_comes_to_rest(
        owners in prop::collection::vec(prop::collection::vec(0_usize..12, 0..3), 10),
        doomed in prop::collection::vec((0_usize..10, 0_usize..3), 1..4),
    ) {
        let mut world = World::new();
        let names: Vec<String> = (0..12).map(|index| format!("o{index}")).collect();
        for (index, owned_by) in owners.iter().enumerate() {
            let owned_by: Vec<&str> = owned_by.iter().map(|owner| names[*owner].as_str()).collect();
            world.put(&names[index], &owned_by);
        }
        for (index, how) in doomed {
            let object = world.graph.get(&names[index].as_str().into()).cloned();
            let how = [Propagation::Background, Propagation::Foreground, Propagation::Orphan][how];
            if let Some(object) = object {
                perform(&mut world, &object, Action::Delete(how));
            }
        }
        for round in 0.. {
            prop_assert!(round < 200, "it never rests");
            let mut rested = true;
            for name in &names {
                for (object, action) in decide(&world.graph, &name.as_str().into()) {
                    perform(&mut world, &object, action);
                    rested = false;
                }
            }
            if rested {
                break;
            }
        }
        for object in world.graph.objects() {
            prop_assert!(!object.is_deleting, "{} waits forever", object.name);
            let lost = |owner: &OwnerReference| world.graph.get(&owner.uid.as_str().into()).is_none();
            prop_assert!(object.owners.is_empty() || !object.owners.iter().all(lost), "{} is garbage", object.name);
        }
    }
}

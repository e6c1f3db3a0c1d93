use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use minik_api::kinds::{self, Kind};
use minik_api::object::Object;
use minik_api::status::Status;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::managers::Managers;
use super::set::text;
use super::*;

fn kind(api_version: &str, name: &str) -> &'static Kind {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    kinds::of(group, version, name).expect("it is served")
}

/// An object in the making: each write goes through field management as the registry has it.
struct Story {
    kind: &'static Kind,
    live: Option<Object>,
    second: i64,
}

impl Story {
    fn new(api_version: &str, name: &str) -> Self {
        Self {
            kind: kind(api_version, name),
            live: None,
            second: 0,
        }
    }

    fn write(&mut self, name: &str, operation: Operation, subresource: &str) -> Write<'static> {
        self.second += 1;
        Write {
            of: type_of(self.kind),
            reset: reset_fields(self.kind, subresource),
            by: Manager {
                operation,
                name: name.into(),
                api_version: self.kind.api_version(),
                subresource: subresource.into(),
            },
            now: Timestamp::from_second(self.second).expect("a time"),
        }
    }

    /// Creates or updates.
    fn put(&mut self, manager: &str, object: Value) -> &mut Self {
        self.put_part(manager, "", object)
    }

    fn put_part(&mut self, manager: &str, subresource: &str, object: Value) -> &mut Self {
        let write = self.write(manager, Operation::Update, subresource);
        let mut new: Object = serde_json::from_value(object).expect("an object");
        match &self.live {
            None => track_create(&write, &mut new),
            Some(old) => track_update(&write, old, &mut new),
        }
        if !self.live.as_ref().is_some_and(|old| is_same(&mut new, old)) {
            self.live = Some(new);
        }
        self
    }

    fn apply(&mut self, manager: &str, document: Value) -> Result<Value, Status> {
        self.apply_with(manager, "", document, false)
    }

    fn apply_with(&mut self, manager: &str, part: &str, mut document: Value, force: bool) -> Result<Value, Status> {
        let write = self.write(manager, Operation::Apply, part);
        if document.get("kind").is_none() {
            document["kind"] = self.kind.kind.into();
            document["apiVersion"] = self.kind.api_version().into();
        }
        let apply = Apply::new(self.kind, type_of(self.kind), document, force)?;
        let (mut value, managers) = apply.to(&write, self.live.as_ref())?;
        if let Value::Object(map) = &mut value {
            map.entry("metadata").or_insert_with(|| json!({}));
        }
        let mut new: Object = serde_json::from_value(value.clone()).expect("an object");
        new.metadata.managed_fields = managers;
        if !self.live.as_ref().is_some_and(|old| is_same(&mut new, old)) {
            self.live = Some(new);
        }
        Ok(value)
    }

    fn entries(&self) -> &[ManagedFieldsEntry] {
        let live = self.live.as_ref().expect("it was written");
        live.metadata.managed_fields.as_deref().unwrap_or_default()
    }

    fn entry(&self, manager: &str) -> Option<&ManagedFieldsEntry> {
        self.entries()
            .iter()
            .find(|entry| entry.manager.as_deref() == Some(manager))
    }

    /// The manager's fields, as they stand in `managedFields`.
    fn fields(&self, manager: &str) -> Value {
        let fields = self.entry(manager).and_then(|entry| entry.fields_v1.clone());
        fields.map(|fields| fields.0).unwrap_or_default()
    }

    fn body(&self) -> Value {
        Value::Object(self.live.as_ref().expect("it was written").body.clone())
    }
}

fn map(data: Value) -> Value {
    json!({"metadata": {"name": "a"}, "data": data})
}

fn web(replicas: Option<u32>, image: &str) -> Value {
    let container = json!({"name": "web", "image": image, "ports": [{"containerPort": 80}]});
    let mut deployment = json!({
        "metadata": {"name": "web", "labels": {"app": "web"}},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    });
    if let Some(replicas) = replicas {
        deployment["spec"]["replicas"] = replicas.into();
    }
    deployment
}

#[test]
fn a_creator_owns_what_it_sent() {
    let mut story = Story::new("apps/v1", "Deployment");
    let mut deployment = web(Some(1), "nginx");
    deployment["spec"]["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}});
    deployment["status"] = json!({"replicas": 3});
    story.put("kubectl-create", deployment);
    // As a real API server writes it down: what Go always writes has no "." of its own.
    let container = "k:{\"name\":\"web\"}";
    let port = "k:{\"containerPort\":80,\"protocol\":\"TCP\"}";
    let expected = json!({
        "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:strategy": {"f:rollingUpdate": {".": {}, "f:maxSurge": {}}, "f:type": {}},
            "f:template": {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {"f:containers": {container: {
                    ".": {}, "f:image": {}, "f:name": {}, "f:ports": {".": {}, port: {".": {}, "f:containerPort": {}}}}}},
            },
        },
    });
    assert_eq!(story.fields("kubectl-create"), expected);
    let entry = story.entry("kubectl-create").expect("written down");
    assert_eq!(entry.operation.as_deref(), Some("Update"));
    assert_eq!(entry.api_version.as_deref(), Some("apps/v1"));
    assert_eq!(entry.fields_type.as_deref(), Some("FieldsV1"));
    assert_eq!(entry.subresource, None);
}

#[test]
fn a_field_goes_over_to_whoever_changes_it() {
    let mut story = Story::new("v1", "ConfigMap");
    story.put("a", map(json!({"k": "1", "l": "1"})));
    story.put("b", map(json!({"k": "2", "l": "1", "m": "1"})));
    assert_eq!(story.fields("a"), json!({"f:data": {".": {}, "f:l": {}}}));
    assert_eq!(story.fields("b"), json!({"f:data": {"f:k": {}, "f:m": {}}}));
    let before = story.live.clone();
    story.put("c", map(json!({"k": "2", "l": "1", "m": "1"})));
    assert_eq!(story.live, before, "what changes nothing is nobody's");
    story.put("c", map(json!({"k": "2"})));
    assert_eq!(story.fields("a"), json!({"f:data": {}}));
    assert_eq!(story.fields("b"), json!({"f:data": {"f:k": {}}}));
    assert_eq!(story.entry("c"), None);
}

#[test]
fn parts_have_managers_of_their_own() {
    let mut story = Story::new("v1", "Pod");
    let mut pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    story.put("kubectl", pod.clone());
    pod["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]});
    story.put_part("kubelet", "status", pod);
    let entry = story.entry("kubelet").expect("written down");
    assert_eq!(entry.subresource.as_deref(), Some("status"));
    let condition = "k:{\"type\":\"Ready\"}";
    assert_eq!(
        story.fields("kubelet"),
        json!({"f:status": {"f:conditions": {".": {}, condition: {".": {}, "f:status": {}, "f:type": {}}}, "f:phase": {}}})
    );
    // What a part doesn't write, nobody comes to own by it.
    let applied = json!({"metadata": {"name": "p"}, "spec": {"hostname": "h"}, "status": {"message": "m"}});
    story
        .apply_with("operator", "status", applied, false)
        .expect("no conflict");
    assert_eq!(story.fields("operator"), json!({"f:status": {"f:message": {}}}));
}

#[test]
fn managers_can_be_reset_and_brought_along() {
    let mut story = Story::new("v1", "ConfigMap");
    story.put("a", map(json!({"k": "1"})));
    let mine = json!([{"manager": "b", "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:data": {"f:k": {}}}}]);
    let mut given = map(json!({"k": "1"}));
    given["metadata"]["managedFields"] = mine;
    story.put("c", given);
    assert_eq!(story.entries().len(), 1);
    assert_eq!(story.fields("b"), json!({"f:data": {"f:k": {}}}));
    let mut nonsense = map(json!({"k": "1"}));
    nonsense["metadata"]["managedFields"] = json!([{"manager": "x"}]);
    story.put("c", nonsense);
    assert_eq!(
        story.fields("b"),
        json!({"f:data": {"f:k": {}}}),
        "what can't be read doesn't count"
    );
    let mut reset = map(json!({"k": "1"}));
    reset["metadata"]["managedFields"] = json!([{}]);
    story.put("c", reset);
    assert_eq!(story.entries(), []);
    story.put("c", map(json!({"k": "2"})));
    assert_eq!(story.entries(), [], "no account is begun but by an apply");
    story.apply("d", map(json!({"l": "1"}))).expect("no conflict");
    assert_eq!(
        story.fields("before-first-apply"),
        json!({"f:data": {".": {}, "f:k": {}}})
    );
    assert_eq!(story.fields("d"), json!({"f:data": {"f:l": {}}}));
}

#[test]
fn an_applier_owns_what_it_says_and_takes_back_what_it_says_no_more() {
    let mut story = Story::new("v1", "ConfigMap");
    story.apply("a", map(json!({"k": "1", "l": "1"}))).expect("a create");
    assert_eq!(story.fields("a"), json!({"f:data": {"f:k": {}, "f:l": {}}}));
    assert_eq!(
        story.entry("a").and_then(|entry| entry.operation.clone()),
        Some("Apply".into())
    );
    story
        .apply("b", map(json!({"l": "1", "m": "1"})))
        .expect("the same value is no conflict");
    story.apply("a", map(json!({"k": "1"}))).expect("its own");
    assert_eq!(
        story.body(),
        json!({"data": {"k": "1", "l": "1", "m": "1"}}),
        "b wants l, too"
    );
    story.apply("b", json!({"metadata": {"name": "a"}})).expect("its own");
    assert_eq!(story.body(), json!({"data": {"k": "1"}}));
    assert_eq!(story.entry("b"), None);
    story.apply("a", json!({"metadata": {"name": "a"}})).expect("its own");
    assert_eq!(story.body(), json!({}));
}

#[test]
fn conflicts_are_told_and_can_be_forced() {
    let mut story = Story::new("apps/v1", "Deployment");
    story.put("kubectl-create", web(Some(1), "nginx"));
    let status = story.apply("me", web(Some(2), "nginx")).expect_err("a conflict");
    assert_eq!(status.code, 409);
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"kubectl-create\" using apps/v1: .spec.replicas"
    );
    let status = story.apply("me", web(Some(2), "httpd")).expect_err("conflicts");
    assert_eq!(
        status.message,
        "Apply failed with 2 conflicts: conflicts with \"kubectl-create\" using apps/v1:\n- .spec.replicas\n\
         - .spec.template.spec.containers[name=\"web\"].image"
    );
    story.apply_with("me", "", web(Some(2), "nginx"), true).expect("forced");
    assert_eq!(story.body()["spec"]["replicas"], 2);
    assert_eq!(story.fields("kubectl-create")["f:spec"].get("f:replicas"), None);
    assert_eq!(story.fields("me")["f:spec"]["f:replicas"], json!({}));
    let status = story.apply("other", json!({"metadata": {"name": "web"}, "spec": {"replicas": 3}}));
    let message = status.expect_err("a conflict").message;
    assert_eq!(
        message,
        "Apply failed with 1 conflict: conflict with \"me\": .spec.replicas"
    );
}

#[test]
fn lists_are_merged_item_by_item_in_the_appliers_order() {
    let service = |ports: Value| json!({"metadata": {"name": "s"}, "spec": {"ports": ports}});
    let mut story = Story::new("v1", "Service");
    story
        .apply("a", service(json!([{"port": 80}, {"port": 443}])))
        .expect("a create");
    let merged = story.apply(
        "b",
        service(json!([{"port": 53, "protocol": "UDP"}, {"port": 443, "name": "tls"}])),
    );
    assert_eq!(
        merged.expect("no conflict")["spec"]["ports"],
        json!([{"port": 80}, {"port": 53, "protocol": "UDP"}, {"port": 443, "name": "tls"}])
    );
    let keys: Vec<String> = Managers::decode(story.entries())
        .expect("written here")
        .iter()
        .find(|managed| managed.by.name == "b")
        .expect("there")
        .fields
        .paths()
        .iter()
        .map(|path| text(path))
        .collect();
    assert!(
        keys.contains(&".spec.ports[port=443,protocol=\"TCP\"].name".to_owned()),
        "{keys:?}"
    );
    story.apply("b", service(json!([{"port": 443}]))).expect("its own");
    assert_eq!(story.body()["spec"]["ports"], json!([{"port": 80}, {"port": 443}]));
}

#[test]
fn sets_hold_values_and_what_is_atomic_is_one_thing() {
    let mut story = Story::new("v1", "Pod");
    let pod = |finalizers: Value, selector: Value| json!({"metadata": {"name": "p", "finalizers": finalizers}, "spec": {"nodeSelector": selector}});
    story
        .apply("a", pod(json!(["x/a"]), json!({"disk": "ssd"})))
        .expect("a create");
    assert_eq!(
        story.fields("a"),
        json!({"f:metadata": {"f:finalizers": {"v:\"x/a\"": {}}}, "f:spec": {"f:nodeSelector": {}}})
    );
    let status = story
        .apply("b", pod(json!(["x/b"]), json!({"zone": "z"})))
        .expect_err("a conflict");
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"a\": .spec.nodeSelector"
    );
    story
        .apply("b", json!({"metadata": {"name": "p", "finalizers": ["x/b"]}}))
        .expect("no conflict");
    let finalizers = story.live.as_ref().and_then(|live| live.metadata.finalizers.clone());
    assert_eq!(finalizers, Some(vec!["x/a".into(), "x/b".into()]));
}

#[test]
fn documents_that_dont_fit_are_refused() {
    let mut story = Story::new("apps/v1", "Deployment");
    let mut refused = |document: Value| {
        let status = story.apply("a", document).expect_err("it doesn't fit");
        (status.code, status.message)
    };
    let named = |spec: Value| json!({"metadata": {"name": "web", "namespace": "n"}, "spec": spec});
    let typed = "failed to create typed patch object (n/web; apps/v1, Kind=Deployment): ";
    let unknown = refused(named(json!({"replica": 1})));
    assert_eq!(
        unknown,
        (500, format!("{typed}.spec.replica: field not declared in schema"))
    );
    let wrong = refused(named(json!({"replicas": "1"})));
    assert_eq!(
        wrong.1,
        format!("{typed}.spec.replicas: expected numeric (int or float), got string")
    );
    let twice = json!({"template": {"spec": {"containers": [{"name": "a"}, {"name": "a"}]}}});
    assert_eq!(
        refused(named(twice)).1,
        format!("{typed}.spec.template.spec.containers: duplicate entries for key [name=\"a\"]")
    );
    let managed = json!({"metadata": {"name": "web", "managedFields": []}});
    assert_eq!(refused(managed), (400, "metadata.managedFields must be nil".into()));
    let other = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}});
    assert_eq!(refused(other), (400, "invalid object type: /v1, Kind=Pod".into()));
}

#[test]
fn kubectl_goes_on_where_its_client_side_apply_left_off() {
    let last = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": {}},
        "data": {"k": "1", "l": "1"}});
    let mut object = map(json!({"k": "1", "l": "1"}));
    let annotation = "kubectl.kubernetes.io/last-applied-configuration";
    object["metadata"]["annotations"] = json!({annotation: format!("{last}\n")});
    let mut story = Story::new("v1", "ConfigMap");
    story.put("kubectl-client-side-apply", object);
    let status = story.apply("someone", map(json!({"k": "2"}))).expect_err("a conflict");
    assert_eq!(status.code, 409);
    let value = story
        .apply("kubectl", map(json!({"k": "2"})))
        .expect("its own, by its annotation");
    assert_eq!(value["data"], json!({"k": "2", "l": "1"}));
    let renewed = value["metadata"]["annotations"][annotation].as_str().expect("kept");
    assert_eq!(
        serde_json::from_str::<Value>(renewed).expect("JSON")["data"],
        json!({"k": "2"}),
        "{renewed}"
    );
    story.put("other", {
        let mut object = value.clone();
        object["data"]["k"] = "3".into();
        object
    });
    let status = story
        .apply("kubectl", map(json!({"k": "4"})))
        .expect_err("another one's now");
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"other\" using v1: .data.k"
    );
}

#[test]
fn applying_again_changes_nothing_not_even_the_time() {
    let mut story = Story::new("apps/v1", "Deployment");
    story.apply("a", web(Some(1), "nginx")).expect("a create");
    let before = story.live.clone();
    story.apply("a", web(Some(1), "nginx")).expect("the same");
    assert_eq!(story.live, before);
    story.apply("b", web(Some(1), "nginx")).expect("the same");
    assert_ne!(story.live, before, "now b wants it, too");
}

#[test]
fn one_quantity_can_be_written_in_two_ways() {
    let limited = |cpu: &str| {
        let container = json!({"name": "c", "resources": {"limits": {"cpu": cpu}}});
        json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}})
    };
    let mut story = Story::new("v1", "Pod");
    story.put("a", limited("1"));
    story.apply("b", limited("1000m")).expect("the same is no conflict");
    let status = story.apply("b", limited("1001m")).expect_err("a conflict");
    assert!(status.message.ends_with(".resources.limits.cpu"), "{}", status.message);
}

#[test]
fn custom_resources_follow_their_schema_or_what_can_be_seen() {
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
            "items": {"type": "object", "properties": {"id": {"type": "integer"}, "v": {"type": "string"}}}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "string"}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }}}});
    let document = json!({"metadata": {"name": "w", "labels": {"a": "b"}}, "spec": {"list": [{"id": 1, "v": "x"}],
        "whole": {"a": "b"}, "free": {"deep": {"list": [1, 2]}}}});
    let schema = crate::customs::schema::read(&schema);
    let of = Type::Custom(Some(&schema));
    let item = "k:{\"id\":1}";
    assert_eq!(
        encode::encode(&owned::fields_of(of, &document)),
        json!({"f:metadata": {"f:labels": {"f:a": {}}, "f:name": {}}, "f:spec": {
            "f:list": {item: {".": {}, "f:id": {}, "f:v": {}}}, "f:whole": {},
            "f:free": {"f:deep": {".": {}, "f:list": {}}}}})
    );
    assert_eq!(validate::validate(of, &document), Ok(()));
    let wrong = json!({"spec": {"list": [{"id": 1}], "other": 1}});
    assert_eq!(
        validate::validate(of, &wrong),
        Err(".spec.other: field not declared in schema".into())
    );
    let deduced = owned::fields_of(Type::Custom(None), &json!({"spec": {"a": [1], "b": {}}}));
    assert_eq!(
        encode::encode(&deduced),
        json!({"f:spec": {".": {}, "f:a": {}, "f:b": {}}})
    );
}

/// Any JSON, with names that mean something to pods now and then.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        "[a-c]".prop_map(Value::from)
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        let names = [
            "spec",
            "metadata",
            "containers",
            "ports",
            "name",
            "containerPort",
            "nodeSelector",
            "finalizers",
            "a",
            "b",
        ];
        let name = proptest::sample::select(names.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name, inner, 0..5).prop_map(|map| json!(map)),
        ]
    })
}

/// Some data of a config map: few keys and values, so that documents meet.
fn data() -> impl Strategy<Value = Value> {
    let entries = proptest::collection::btree_map("[a-d]", "[xy]", 0..4);
    entries.prop_map(|entries| json!(entries))
}

/// Containers with parts that documents share.
fn containers() -> impl Strategy<Value = Value> {
    let port = (1_u16..4, proptest::option::of(Just("UDP"))).prop_map(|(port, protocol)| match protocol {
        Some(protocol) => json!({"containerPort": port, "protocol": protocol}),
        None => json!({"containerPort": port}),
    });
    let key = |port: &Value| (port["containerPort"].to_string(), port["protocol"].to_string());
    let ports = proptest::collection::vec(port, 0..3).prop_map(move |mut ports| {
        ports.sort_by_key(key);
        ports.dedup_by_key(|port| key(port));
        ports
    });
    let container = (ports, "[xy]").prop_map(|(ports, image)| json!({"image": image, "ports": ports}));
    let containers = proptest::collection::btree_map("[a-c]", container, 0..3);
    containers.prop_map(|containers| {
        let containers: Vec<Value> = containers
            .into_iter()
            .map(|(name, mut container)| {
                container["name"] = name.into();
                container
            })
            .collect();
        json!({"metadata": {"name": "p"}, "spec": {"containers": containers}})
    })
}

proptest! {
    #[test]
    fn a_second_apply_of_the_same_is_none(first in containers(), second in containers(), other in containers()) {
        let mut story = Story::new("v1", "Pod");
        story.put("creator", first);
        story.apply_with("b", "", other, true).expect("forced");
        story.apply_with("a", "", second.clone(), true).expect("forced");
        let before = story.live.clone();
        story.apply("a", second).expect("its own");
        prop_assert_eq!(&story.live, &before);
    }

    #[test]
    fn what_was_applied_is_there_and_owned(first in containers(), second in containers()) {
        let mut story = Story::new("v1", "Pod");
        story.put("creator", first);
        let of = type_of(story.kind);
        story.apply_with("a", "", second.clone(), true).expect("forced");
        let live = story.live.as_ref().expect("there").to_value();
        let owned = owned::fields_of(of, &second);
        prop_assert!(owned::fields_of(of, &live).intersection(&owned) == owned);
        let merged = merge::merge(of, &live, &second);
        let changes = compare::compare(of, &live, &merged);
        prop_assert!(changes == compare::Changes::default(), "{changes:?}");
    }

    #[test]
    fn those_who_want_different_fields_never_meet(one in data(), other in data()) {
        let rename = |data: &Value, mark: &str| -> Value {
            let map = data.as_object().expect("a map");
            map.iter().map(|(key, value)| (format!("{mark}{key}"), value.clone())).collect::<serde_json::Map<_, _>>().into()
        };
        let mut story = Story::new("v1", "ConfigMap");
        story.apply("one", map(rename(&one, "1"))).expect("a create");
        story.apply("other", map(rename(&other, "2"))).expect("no conflict");
        story.apply("one", map(json!({}))).expect("its own");
        let left = story.body()["data"].clone();
        let expected = rename(&other, "2");
        let empty = expected == json!({});
        prop_assert!(left == expected || (empty && (left.is_null() || left == json!({}))), "{left}");
    }

    #[test]
    fn sets_come_back_from_json(one in containers(), other in containers()) {
        let of = type_of(kind("v1", "Pod"));
        let (one, other) = (owned::fields_of(of, &one), owned::fields_of(of, &other));
        prop_assert_eq!(encode::decode(&encode::encode(&one)), Ok(one.clone()));
        let both = one.intersection(&other);
        let rest = one.clone().difference(&other);
        prop_assert!(rest.intersection(&other).is_empty());
        prop_assert_eq!(rest.union(both), one);
    }

    #[test]
    fn nothing_changes_between_the_same(one in containers(), other in containers()) {
        let of = type_of(kind("v1", "Pod"));
        prop_assert_eq!(compare::compare(of, &one, &one), compare::Changes::default());
        let (there, back) = (compare::compare(of, &one, &other), compare::compare(of, &other, &one));
        prop_assert_eq!(there.added, back.removed);
        prop_assert_eq!(there.modified, back.modified);
    }

    #[test]
    fn nothing_that_is_sent_breaks_it(document in anything(), live in containers(), fields in anything()) {
        let mut story = Story::new("v1", "Pod");
        let mut given = live;
        given["metadata"]["managedFields"] = json!([{"manager": "m", "operation": "Apply", "apiVersion": "v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields}]);
        story.put("creator", given);
        let live = story.live.as_ref().expect("there").to_value();
        for of in [type_of(kind("v1", "Pod")), Type::Custom(None), Type::Deduced] {
            let owned = owned::fields_of(of, &document);
            let _ = (validate::validate(of, &document), merge::merge(of, &live, &document));
            let _ = (compare::compare(of, &live, &document), remove::remove(of, &document, &owned));
            let _ = owned::with_declared(&owned, of, &live);
        }
    }
}

use serde_json::{Value, json};

use crate::kinds::CLEANUP;
use crate::kinds::testing::{created, decoded, rules_of, updated, with};

fn good() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "properties": {"spec": {"type": "object", "properties": {
                    "size": {"type": "integer", "minimum": 1},
                    "list": {"type": "array", "items": {"type": "string"}}}}}}}}]},
        "status": {"storedVersions": ["v1"]},
    })
}

const SCHEMA: &str = "/spec/versions/0/schema/openAPIV3Schema";
const SPEC: &str = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
const AT: &str = "spec.versions[0].schema.openAPIV3Schema";

fn with_schema(pointer: &str, value: Value) -> Vec<String> {
    created(
        "CustomResourceDefinition",
        with(good(), &format!("{SPEC}{pointer}"), value),
    )
}

#[test]
fn a_good_definition_is_good_and_completed() {
    assert_eq!(created("CustomResourceDefinition", good()), Vec::<String>::new());
    let object = decoded("CustomResourceDefinition", good());
    assert_eq!(object.at("spec.names.singular"), Some(&json!("widget")));
    assert_eq!(object.at("spec.names.listKind"), Some(&json!("WidgetList")));
    assert_eq!(object.at("spec.conversion.strategy"), Some(&json!("None")));
}

#[test]
fn names_and_versions_are_checked() {
    for (pointer, value, sentence) in [
        (
            "/metadata/name",
            json!("other.example.com"),
            "metadata.name: Invalid value: \"other.example.com\": must be spec.names.plural+\".\"+spec.group",
        ),
        (
            "/spec/scope",
            json!("Both"),
            "spec.scope: Unsupported value: \"Both\": supported values: \"Cluster\", \"Namespaced\"",
        ),
        (
            "/spec/names/listKind",
            json!("Widget"),
            "spec.names.listKind: Invalid value: \"Widget\": kind and listKind may not be the same",
        ),
        (
            "/spec/versions/0/schema",
            Value::Null,
            "spec.versions[0].schema.openAPIV3Schema: Required value",
        ),
        (
            "/spec/versions/0/additionalPrinterColumns",
            json!([{"name": "A", "type": "text", "jsonPath": ".spec.a"}]),
            "spec.versions[0].additionalPrinterColumns[0].type: Invalid value: \"text\": must be one of \
             boolean,date,integer,number,string",
        ),
        (
            "/spec/versions/0/subresources",
            json!({"scale": {"specReplicasPath": ".status.a", "statusReplicasPath": ".status.b"}}),
            "spec.versions[0].subresources.scale.specReplicasPath: Invalid value: \".status.a\": should be a json path under .spec",
        ),
        (
            "/spec/versions/0/selectableFields",
            json!([{"jsonPath": ".spec.list"}]),
            "spec.versions[0].selectableFields[0].jsonPath: Invalid value: \".spec.list\": must point to a field of type string, \
             boolean or integer. Enum string fields and strings with formats are allowed.",
        ),
        (
            "/spec/conversion",
            json!({"strategy": "Webhook"}),
            "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook",
        ),
    ] {
        let found = created("CustomResourceDefinition", with(good(), pointer, value));
        assert!(found.iter().any(|one| one == sentence), "{pointer}: {found:?}");
    }
    let two = created(
        "CustomResourceDefinition",
        with(good(), "/spec/versions/0/storage", json!(false)),
    );
    assert!(
        two.iter()
            .any(|one| one.ends_with("must have exactly one version marked as storage version")),
        "{two:?}"
    );
}

#[test]
fn schemas_are_structural() {
    for (pointer, value, sentence) in [
        (
            "/properties/size/type",
            Value::Null,
            format!(
                "{AT}.properties[spec].properties[size].type: Required value: must not be empty for specified object fields"
            ),
        ),
        (
            "/properties/list/items",
            Value::Null,
            format!("{AT}.properties[spec].properties[list].items: Required value: must be specified"),
        ),
        (
            "/anyOf",
            json!([{"type": "object"}]),
            format!("{AT}.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural"),
        ),
        (
            "/properties/size/pattern",
            json!("("),
            format!(
                "{AT}.properties[spec].properties[size].pattern: Invalid value: \"(\": must be a valid regular expression"
            ),
        ),
        (
            "/properties/list/uniqueItems",
            json!(true),
            format!(
                "{AT}.properties[spec].properties[list].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
            ),
        ),
        (
            "/additionalProperties",
            json!({"type": "string"}),
            format!(
                "{AT}.properties[spec].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"
            ),
        ),
        (
            "/properties/size/default",
            json!(0),
            format!(
                "{AT}.properties[spec].properties[size].default: Invalid value: 0:  in body should be greater than or equal to 1"
            ),
        ),
        (
            "/properties/list/x-kubernetes-list-type",
            json!("map"),
            format!(
                "{AT}.properties[spec].properties[list].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"
            ),
        ),
        ("/nullable", json!(true), String::new()),
        (
            "/properties/size/x-kubernetes-int-or-string",
            json!(true),
            String::new(),
        ),
    ] {
        let found = with_schema(pointer, value);
        match sentence.as_str() {
            "" => assert_eq!(found, Vec::<String>::new(), "{pointer}"),
            sentence => assert!(
                found.iter().any(|one| one.starts_with(sentence)),
                "{pointer}: {found:#?}"
            ),
        }
    }
}

#[test]
fn the_root_of_a_schema_is_an_object_with_ordinary_metadata() {
    for (pointer, value, sentence) in [
        (
            "/type",
            json!("string"),
            format!("{AT}.type: Invalid value: \"string\": must be object at the root"),
        ),
        (
            "/additionalProperties",
            json!(true),
            format!("{AT}.additionalProperties: Forbidden: must not be used at the root"),
        ),
        (
            "/nullable",
            json!(true),
            format!("{AT}.nullable: Forbidden: nullable cannot be true at the root"),
        ),
        (
            "/properties/metadata",
            json!({"type": "object", "properties": {"labels": {"type": "object"}}}),
            format!(
                "{AT}.properties[metadata]: Forbidden: must not specify anything other than name and generateName, but metadata is implicitly specified"
            ),
        ),
    ] {
        let found = created(
            "CustomResourceDefinition",
            with(good(), &format!("{SCHEMA}{pointer}"), value),
        );
        assert!(found.contains(&sentence), "{pointer}: {found:#?}");
    }
    let undefined = json!([{"properties": {"none": {"minimum": 1}}}]);
    let found = created(
        "CustomResourceDefinition",
        with(good(), &format!("{SCHEMA}/anyOf"), undefined),
    );
    let sentence =
        format!("{AT}.properties[none]: Required value: because it is defined in {AT}.anyOf[0].properties[none]");
    assert_eq!(found, [sentence]);
    let restricted = json!({"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}});
    let found = created(
        "CustomResourceDefinition",
        with(good(), &format!("{SCHEMA}/properties/metadata"), restricted),
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn what_identifies_a_definition_stays() {
    let established = with(
        good(),
        "/status/conditions",
        json!([{"type": "Established", "status": "True"}]),
    );
    let found = updated(
        "CustomResourceDefinition",
        established.clone(),
        with(established.clone(), "/spec/scope", json!("Cluster")),
    );
    assert_eq!(found, ["spec.scope: Invalid value: \"Cluster\": field is immutable"]);
    assert_eq!(
        updated(
            "CustomResourceDefinition",
            good(),
            with(good(), "/spec/scope", json!("Cluster"))
        ),
        Vec::<String>::new()
    );
    let version = with(good(), "/spec/versions/0/name", json!("v2"));
    let found = updated(
        "CustomResourceDefinition",
        good(),
        with(version, "/status/storedVersions", json!(["v1", "v2"])),
    );
    assert!(
        found[0].starts_with("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions"),
        "{found:?}"
    );
}

#[test]
fn groups_of_the_community_need_its_approval() {
    let group = with(
        with(good(), "/spec/group", json!("x.k8s.io")),
        "/metadata/name",
        json!("widgets.x.k8s.io"),
    );
    let found = created("CustomResourceDefinition", group.clone());
    assert!(
        found[0].starts_with("metadata.annotations[api-approved.kubernetes.io]: Required value"),
        "{found:?}"
    );
    let annotation = json!({"api-approved.kubernetes.io": "https://github.com/kubernetes/enhancements/pull/1"});
    let found = created(
        "CustomResourceDefinition",
        with(group, "/metadata/annotations", annotation),
    );
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_definition_remembers_where_objects_are_stored_and_waits_for_their_end() {
    let rules = rules_of("CustomResourceDefinition");
    let mut object = decoded("CustomResourceDefinition", good());
    rules.prepare_create(&mut object);
    assert_eq!(object.at("status.storedVersions"), Some(&json!(["v1"])));
    rules.prepare_delete(&mut object);
    assert_eq!(object.metadata.finalizers, Some(vec![CLEANUP.to_owned()]));
}

#[test]
fn formats_that_nobody_checks_are_told() {
    let schema = with(good(), &format!("{SPEC}/properties/size/format"), json!("int31"));
    let found = rules_of("CustomResourceDefinition").warnings(&decoded("CustomResourceDefinition", schema));
    assert_eq!(found, ["unrecognized format \"int31\""]);
}

#[test]
fn rules_compile_for_the_schema_that_they_stand_in() {
    let at = format!("{AT}.properties[spec].x-kubernetes-validations[0]");
    for (rule, sentence) in [
        (json!({"rule": "self.size > 0"}), String::new()),
        (
            json!({"rule": "self.list.all(x, x.startsWith('a')) && (!has(oldSelf.size) || self.size >= oldSelf.size)"}),
            String::new(),
        ),
        (
            json!({"rule": ""}),
            format!("{at}.rule: Required value: rule is not specified"),
        ),
        (
            json!({"rule": "self.sice > 0"}),
            format!(
                "{at}.rule: Invalid value: \"self.sice > 0\": compilation failed: ERROR: <input>:1:5: undefined field 'sice'\n | self.sice > 0\n | ....^"
            ),
        ),
        (
            json!({"rule": "self.size"}),
            format!(
                "{at}.rule: Invalid value: \"self.size\": compilation failed: ERROR: <input>:1:5: must evaluate to bool\n | self.size\n | ....^"
            ),
        ),
        (
            json!({"rule": "self.size == 'a'"}),
            format!(
                "{at}.rule: Invalid value: \"self.size == 'a'\": compilation failed: ERROR: <input>:1:5: found no matching overload for '_==_' applied to '(int, string)'\n | self.size == 'a'\n | ....^"
            ),
        ),
        (
            json!({"rule": "true", "messageExpression": "1 +"}),
            format!(
                "{at}.messageExpression: Invalid value: \"1 +\": compilation failed: ERROR: <input>:1:4: Syntax error: mismatched input '<EOF>'\n | 1 +\n | ...^"
            ),
        ),
        (
            json!({"rule": "true", "reason": "Because"}),
            format!(
                "{at}.reason: Unsupported value: \"Because\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\""
            ),
        ),
        (
            json!({"rule": "true", "fieldPath": ".none"}),
            format!("{at}.fieldPath: Invalid value: \".none\": must be a valid path"),
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            format!("{at}.optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule"),
        ),
        (
            json!({"rule": "true\n&& true"}),
            format!("{at}.message: Required value: message must be specified if rule contains line breaks"),
        ),
    ] {
        let wanted: Vec<String> = Some(sentence)
            .into_iter()
            .filter(|sentence| !sentence.is_empty())
            .collect();
        assert_eq!(
            with_schema("/x-kubernetes-validations", json!([rule])),
            wanted,
            "{rule}"
        );
    }
    let items = json!({"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]});
    let found = with_schema("/properties/list/items", items);
    let list = format!("{AT}.properties[spec].properties[list]");
    let sentence = format!(
        "{list}.items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": oldSelf cannot be used on the \
         uncorrelatable portion of the schema within {list}"
    );
    assert_eq!(found, [sentence]);
    let root = created(
        "CustomResourceDefinition",
        with(
            good(),
            &format!("{SCHEMA}/x-kubernetes-validations"),
            json!([{"rule": "self.metadata.name.size() < 10"}]),
        ),
    );
    assert_eq!(root, Vec::<String>::new());
}

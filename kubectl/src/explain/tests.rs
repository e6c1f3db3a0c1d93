use serde_json::json;

use super::*;

fn document() -> Value {
    json!({"components": {"schemas": {
        "io.k8s.api.core.v1.Pod": {
            "description": "A pod.", "type": "object",
            "x-kubernetes-group-version-kind": [{"group": "", "kind": "Pod", "version": "v1"}],
            "properties": {
                "kind": {"type": "string", "description": "The kind."},
                "spec": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"}], "default": {}, "description": "What is wanted."},
            },
        },
        "io.k8s.api.core.v1.PodSpec": {
            "description": "The wish.", "type": "object", "required": ["containers"],
            "properties": {
                "containers": {"type": "array", "items": {"allOf": [{"$ref": "#/components/schemas/io.k8s.api.core.v1.Container"}]}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}, "description": "Words."},
                "policy": {"type": "string", "enum": ["", "a", "b", "c", "d"], "description": "Which."},
                "again": {"$ref": "#/components/schemas/io.k8s.api.core.v1.PodSpec"},
                "when": {"$ref": "#/components/schemas/Time"},
            },
        },
        "io.k8s.api.core.v1.Container": {"type": "object", "properties": {"name": {"type": "string"}}},
        "Time": {"type": "string", "format": "date-time"},
    }}})
}

fn page(fields: &[&str], recursive: bool) -> Result<String, Unknown> {
    let question = Question {
        group: "",
        version: "v1",
        kind: "Pod",
        fields,
        recursive,
    };
    explain(&document(), &question)
}

#[test]
fn a_kind_has_fields() {
    assert_eq!(
        page(&[], false).expect("known"),
        "KIND:       Pod\nVERSION:    v1\n\nDESCRIPTION:\n    A pod.\n    \nFIELDS:\n  kind\t<string>\n    The kind.\n\n  \
         spec\t<PodSpec>\n    What is wanted.\n\n\n"
    );
}

#[test]
fn a_field_has_a_type_and_choices() {
    assert_eq!(
        page(&["spec", "policy"], false).expect("known"),
        "KIND:       Pod\nVERSION:    v1\n\nFIELD: policy <string>\nENUM:\n    \"\"\n    a\n    b\n    c\n    d\n\n\
         DESCRIPTION:\n    Which.\n    \n\n"
    );
    let containers = page(&["spec", "containers", "name"], false).expect("known");
    assert!(
        containers.contains("FIELD: name <string>\n\n\nDESCRIPTION:\n    <empty>\n"),
        "{containers}"
    );
    assert!(matches!(page(&["spec", "nope"], false), Err(Unknown::Field(name)) if name == "nope"));
}

#[test]
fn all_fields_stand_on_one_page_and_circles_end() {
    let all = page(&[], true).expect("known");
    assert!(
        all.ends_with(
            "FIELDS:\n  kind\t<string>\n  spec\t<PodSpec>\n    again\t<PodSpec>\n    containers\t<[]Container> -required-\n      \
             name\t<string>\n    labels\t<map[string]string>\n    policy\t<string>\n    enum: \"\", a, b, c, ....\n    \
             when\t<string>\n\n"
        ),
        "{all}"
    );
}

#[test]
fn a_kind_that_is_not_there_is_told() {
    let question = Question {
        kind: "Nope",
        ..Question::default()
    };
    assert!(matches!(explain(&document(), &question), Err(Unknown::Kind { .. })));
}

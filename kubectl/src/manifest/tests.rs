use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn good(text: &str) -> Vec<Value> {
    parse("f.yaml", text)
        .into_iter()
        .map(|document| document.expect("a good document").object)
        .collect()
}

fn errors(text: &str) -> Vec<String> {
    parse("f.yaml", text)
        .into_iter()
        .filter_map(|document| document.err().map(|error| error.to_string()))
        .collect()
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";

#[test]
fn documents_are_cut_at_their_markers() {
    let two = format!("# first\n---\n{POD}--- # second\n{POD}---\n# nothing\n");
    let documents = parse("f.yaml", &two);
    assert_eq!(documents.len(), 2);
    let second = documents[1].as_ref().expect("good");
    assert_eq!(
        (second.number, second.of, second.place().as_str()),
        (2, 2, "\"f.yaml\" (document 2)")
    );
    assert_eq!(good(&format!("--- {{apiVersion: v1, kind: Pod}}\n---\n{POD}")).len(), 2);
}

#[test]
fn a_bad_document_costs_only_itself_and_names_its_line() {
    let text = format!("{POD}---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: b: c\n---\n{POD}");
    let documents = parse("f.yaml", &text);
    assert_eq!(
        documents.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    let error = &errors(&text)[0];
    assert!(
        error.starts_with("error: error parsing \"f.yaml\" (document 2): line 8: "),
        "{error}"
    );
}

#[test]
fn fields_have_lines_of_the_file() {
    let documents = parse("f.yaml", &format!("# head\n{POD}---\n{POD}spec:\n  nodeName: n\n"));
    let second = documents[1].as_ref().expect("good");
    assert_eq!(second.line_of("spec.nodeName"), Some(10));
    assert_eq!(second.line_of("nothing"), None);
}

#[test]
fn what_is_no_object_is_refused_with_what_is_missing() {
    for (text, expected) in [
        ("just text\n", "this is no object"),
        ("- a\n", "this is no object"),
        ("apiVersion: v1\nmetadata: {}\n", "'Kind' is missing"),
        ("kind: Pod\n", "'apiVersion' is missing"),
        ("apiVersion: v1\nkind: [Pod]\n", "'Kind' is missing"),
    ] {
        let errors = errors(text);
        assert_eq!(errors.len(), 1, "{text}");
        assert!(errors[0].contains(expected), "{text}: {}", errors[0]);
    }
}

#[test]
fn lists_are_what_is_in_them() {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Pod"}, {"apiVersion": "v1", "kind": "ConfigMapList", "items": [
            {"apiVersion": "v1", "kind": "ConfigMap"}]}]});
    let kinds: Vec<Value> = good(&list.to_string())
        .into_iter()
        .map(|object| object["kind"].clone())
        .collect();
    assert_eq!(kinds, ["Pod", "ConfigMap"]);
}

#[test]
fn json_documents_may_follow_each_other() {
    let text = r#"{"apiVersion":"v1","kind":"Pod"} {"apiVersion":"v1","kind":"Node"}"#;
    assert_eq!(good(text).len(), 2);
    assert_eq!(good(&format!("{text}\n---\n{POD}")).len(), 3);
    assert_eq!(good("{apiVersion: v1, kind: Pod}")[0]["kind"], "Pod");
    let errors = errors(r#"{"apiVersion":"v1","#);
    assert!(errors[0].contains("line 1 column"), "{}", errors[0]);
}

#[test]
fn yaml_means_what_kubernetes_takes_it_for() {
    let text = "apiVersion: v1\nkind: Pod\nx: &x {a: 1}\ny: {<<: *x, b: 2}\nports: {80: web, true: t}\n\
                volumes: [{configMap: {defaultMode: 0644, items: [{mode: 0o400}]}}]\ndata: {mode: '0644'}\n";
    let object = &good(text)[0];
    assert_eq!(object["y"], json!({"a": 1, "b": 2}));
    assert_eq!(object["ports"], json!({"80": "web", "true": "t"}));
    assert_eq!(
        object["volumes"][0]["configMap"],
        json!({"defaultMode": 420, "items": [{"mode": 256}]})
    );
    assert_eq!(object["data"]["mode"], "0644");
}

#[test]
fn duplicate_keys_are_refused() {
    let errors = errors("apiVersion: v1\nkind: Pod\nkind: Node\n");
    assert!(errors[0].contains("duplicate"), "{}", errors[0]);
}

#[test]
fn bombs_are_defused() {
    let mut bomb = String::from("apiVersion: v1\nkind: Pod\na0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![previous; 9].join(", ")));
    }
    assert_eq!(errors(&bomb).len(), 1);
    let deep = format!(
        "apiVersion: v1\nkind: Pod\nx: {}{}\n",
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert_eq!(errors(&deep).len(), 1);
}

#[tokio::test]
async fn folders_are_read_in_order_and_missing_files_have_a_neighbour() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, object) in [("b.yaml", "b"), ("a.json", "a"), ("notes.txt", "x"), ("sub/c.yml", "c")] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("made");
        fs::write(path, format!("{{\"apiVersion\": \"v1\", \"kind\": \"{object}\"}}")).expect("written");
    }
    let path = folder.path().display().to_string();
    let kinds = |documents: Vec<Result<Document, ManifestError>>| {
        documents
            .into_iter()
            .map(|d| d.expect("good").text("/kind").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(kinds(read(std::slice::from_ref(&path), false).await), ["a", "b"]);
    assert_eq!(kinds(read(std::slice::from_ref(&path), true).await), ["a", "b", "c"]);

    let missing = read(&[format!("{path}/bb.yaml")], false)
        .await
        .remove(0)
        .expect_err("there is none")
        .to_string();
    assert!(
        missing.contains("does not exist; did you mean") && missing.contains("b.yaml"),
        "{missing}"
    );
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "[-a-z:{}\\[\\]&*<#\"'\n \t0-9|>!%]{0,200}") {
        let _ = parse("f", &text);
    }
}

//! `apply --force`, which deletes and creates anew what can't be changed, and `--overwrite=false`, which leaves alone what others
//! have changed since the last apply.

use anyhow::bail;
use serde_json::{Map, Value};

use super::{Apply, Step};
use crate::apply::{self, Patch};
use crate::client::Session;
use crate::commands::following::Followed;
use crate::commands::target::query;
use crate::manifest::Document;
use crate::resources::Resource;

impl Apply {
    /// Deletes an object and creates it as the document says; when that fails, as it was.
    pub(super) async fn anew(
        &self,
        session: &Session,
        resource: &Resource,
        document: &Document,
        mut before: Value,
    ) -> Step {
        let victim = Followed {
            resource,
            namespace: document.text("/metadata/namespace"),
            name: document.text("/metadata/name"),
        };
        self.removing.remove(session, victim).await?;
        match self.create(session, resource, document).await {
            Ok((object, _)) => Ok((object, "configured")),
            Err(error) => {
                if let Some(metadata) = before["metadata"].as_object_mut() {
                    metadata.remove("resourceVersion");
                    metadata.remove("uid");
                }
                let collection = resource.collection(Some(victim.namespace));
                let path = format!(
                    "{collection}{}",
                    query(&[("fieldManager", "kubectl-client-side-apply")])
                );
                let restored = session
                    .send(http::Method::POST, &path, "application/json", &before)
                    .await;
                match restored {
                    Ok(_) => Err(error),
                    Err(failure) => bail!(
                        "An error occurred force-replacing the existing object with the newly provided one:\n\n{error}.\n\n\
                         Additionally, an error occurred attempting to restore the original object:\n\n{failure}"
                    ),
                }
            }
        }
    }
}

/// Refuses a patch that would undo what others have changed since the last apply. Pure.
pub(super) fn check_conflicts(manifest: &Value, current: &Value, patch: &Patch) -> anyhow::Result<()> {
    let Some(before) = apply::last_applied(current) else {
        return Ok(());
    };
    let others = changed(&before, current);
    let mine = apply::patch_to_show(manifest, current).body;
    if conflict(&mine, &others) {
        bail!(
            "patch:\n{}\nconflicts with changes made from original to current:\n{}\n",
            patch.body,
            others
        );
    }
    Ok(())
}

/// What the fields of `before` are now, where that is something else; a field that is gone is null.
fn changed(before: &Value, now: &Value) -> Value {
    let mut changes = Map::new();
    for (field, old) in before.as_object().into_iter().flatten() {
        let new = now.get(field).unwrap_or(&Value::Null);
        match (old, new) {
            _ if old == new => {}
            (Value::Object(_), Value::Object(_)) => match changed(old, new) {
                Value::Object(inner) if inner.is_empty() => {}
                inner => drop(changes.insert(field.clone(), inner)),
            },
            _ => drop(changes.insert(field.clone(), new.clone())),
        }
    }
    Value::Object(changes)
}

/// Whether two patches want the same field to be something else.
fn conflict(mine: &Value, others: &Value) -> bool {
    match (mine, others) {
        (Value::Object(mine), Value::Object(others)) => mine
            .iter()
            .any(|(field, value)| others.get(field).is_some_and(|other| conflict(value, other))),
        (Value::Array(mine), Value::Array(others)) => {
            mine.len() != others.len() || mine.iter().zip(others).any(|(mine, other)| conflict(mine, other))
        }
        (mine, others) => mine != others,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{LAST_APPLIED, annotated};
    use serde_json::json;

    #[test]
    fn what_others_changed_is_in_conflict_only_where_the_manifest_wants_something_else() {
        let manifest =
            |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": data});
        let applied = annotated(&manifest(json!({"a": "1", "b": "1"})));
        let mut current = applied.clone();
        current["data"] = json!({"a": "2", "b": "1", "c": "others"});
        assert!(current["metadata"]["annotations"][LAST_APPLIED].is_string());
        let check = |data: Value| {
            let wanted = manifest(data);
            check_conflicts(&wanted, &current, &apply::patch(&wanted, &current))
        };
        assert!(check(json!({"a": "1", "b": "1"})).is_err(), "a would be set back");
        assert!(check(json!({"a": "2", "b": "3"})).is_ok(), "b is nobody else's");
        assert!(check(json!({"a": "3", "b": "1"})).is_err());
        let error = check(json!({"a": "3"})).expect_err("in conflict").to_string();
        assert!(
            error.contains("conflicts with changes made from original to current:\n{\"data\":{\"a\":\"2\"}}"),
            "{error}"
        );
    }
}

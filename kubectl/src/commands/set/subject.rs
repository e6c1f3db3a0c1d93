//! `set subject`: to whom a binding gives its role.

use anyhow::bail;
use clap::Args;
use serde_json::Value;

use super::Setting;
use crate::cli::Global;
use crate::commands::create::Subjects;
use crate::resources::Resource;

/// Arguments of `set subject`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl set subject rolebinding admin --user=jane --group=ops
  minikctl set subject clusterrolebinding admin --serviceaccount=default:robot")]
pub struct SetSubject {
    /// The bindings.
    #[arg(value_name = "KIND NAME")]
    words: Vec<String>,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    setting: Setting,
}

impl SetSubject {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        let subjects = self.subjects.list()?;
        if subjects.is_empty() {
            bail!("you must specify at least one value of user, group or serviceaccount");
        }
        // Here --user is to whom the role is given, not who asks.
        let mut global = global.clone();
        global.connection.user = None;
        let edit = |resource: &Resource, object: &mut Value| {
            if !matches!(resource.kind.as_str(), "RoleBinding" | "ClusterRoleBinding") {
                bail!("setting subjects is only supported for RoleBinding/ClusterRoleBinding");
            }
            add(object, &subjects);
            Ok("subjects updated")
        };
        self.setting
            .change(&global, &self.words, "subjects to rolebinding:", &edit)
            .await
    }
}

/// Adds the subjects that a binding lacks. Pure.
fn add(binding: &mut Value, subjects: &[Value]) {
    let present = binding["subjects"].as_array().cloned().unwrap_or_default();
    let new = subjects.iter().filter(|subject| !present.contains(subject)).cloned();
    let all: Vec<Value> = present.iter().cloned().chain(new).collect();
    binding["subjects"] = Value::Array(all);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_subject_is_added_once() {
        let mut binding = json!({"kind": "RoleBinding"});
        let jane = json!({"kind": "User", "name": "jane"});
        add(&mut binding, std::slice::from_ref(&jane));
        add(&mut binding, &[jane.clone(), json!({"kind": "Group", "name": "ops"})]);
        assert_eq!(binding["subjects"], json!([jane, {"kind": "Group", "name": "ops"}]));
    }
}

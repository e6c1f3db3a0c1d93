//! `create rolebinding` and `clusterrolebinding`: to whom a role is given.

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::{Value, json};

use super::creating::Creating;
use super::role::{GROUP, object};

/// To whom a role is given.
#[derive(Args, Debug)]
pub struct Subjects {
    /// A user; may be repeated.
    #[arg(long, value_name = "NAME")]
    user: Vec<String>,
    /// A group; may be repeated.
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// A service account; may be repeated.
    #[arg(long, value_name = "NAMESPACE:NAME")]
    serviceaccount: Vec<String>,
}

/// Arguments of `create rolebinding`.
#[derive(Args, Debug)]
pub struct RoleBinding {
    /// Its name.
    name: String,
    /// The cluster role to give.
    #[arg(long, value_name = "NAME")]
    clusterrole: Option<String>,
    /// The role to give.
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    pub creating: Creating,
}

/// Arguments of `create clusterrolebinding`.
#[derive(Args, Debug)]
pub struct ClusterRoleBinding {
    /// Its name.
    name: String,
    /// The cluster role to give.
    #[arg(long, value_name = "NAME", required = true)]
    clusterrole: String,
    #[command(flatten)]
    subjects: Subjects,
    #[command(flatten)]
    pub creating: Creating,
}

impl RoleBinding {
    pub fn object(&self) -> anyhow::Result<Value> {
        let (kind, name) = match (&self.clusterrole, &self.role) {
            (Some(name), None) => ("ClusterRole", name),
            (None, Some(name)) => ("Role", name),
            _ => bail!("exactly one of clusterrole or role must be specified"),
        };
        self.subjects.binding("RoleBinding", &self.name, kind, name)
    }
}

impl ClusterRoleBinding {
    pub fn object(&self) -> anyhow::Result<Value> {
        self.subjects
            .binding("ClusterRoleBinding", &self.name, "ClusterRole", &self.clusterrole)
    }
}

impl Subjects {
    /// As a binding has them.
    ///
    /// # Errors
    /// When a service account isn't NAMESPACE:NAME.
    pub fn list(&self) -> anyhow::Result<Vec<Value>> {
        let of = |kind: &'static str| move |name: &String| json!({"kind": kind, "apiGroup": GROUP, "name": name});
        let mut subjects: Vec<Value> = self.user.iter().map(of("User")).collect();
        subjects.extend(self.group.iter().map(of("Group")));
        for account in &self.serviceaccount {
            let (namespace, name) = account
                .split_once(':')
                .filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty() && !name.contains(':'))
                .ok_or_else(|| anyhow!("serviceaccount must be <namespace>:<name>"))?;
            subjects.push(json!({"kind": "ServiceAccount", "namespace": namespace, "name": name}));
        }
        Ok(subjects)
    }

    fn binding(&self, kind: &str, name: &str, role_kind: &str, role: &str) -> anyhow::Result<Value> {
        let subjects = self.list()?;
        let mut fields = vec![("roleRef", json!({"apiGroup": GROUP, "kind": role_kind, "name": role}))];
        if !subjects.is_empty() {
            fields.push(("subjects", json!(subjects)));
        }
        Ok(object(kind, name, &fields))
    }
}

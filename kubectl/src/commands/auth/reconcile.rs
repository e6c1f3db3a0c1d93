//! `auth reconcile`: roles and bindings become at least what files say. Where `apply` replaces a role's list of rules as a whole,
//! this knows what rules mean: only what none of the present rules allows is added.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use clap::Args;
use http::Method;
use serde_json::{Map, Value, json};

use crate::cli::Global;
use crate::client::Session;
use crate::commands::objects::{Files, Named, finish};
use crate::commands::removing::Removing;
use crate::commands::writing::{DryRun, Teller, Writing};
use crate::print::output::Output;

const GROUP: &str = "rbac.authorization.k8s.io";
/// With "false", a role or binding is nobody's to change.
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// Arguments of `auth reconcile`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  minikctl auth reconcile -f roles.yaml
  minikctl auth reconcile -f roles.yaml --remove-extra-permissions --dry-run=client")]
pub struct Reconcile {
    #[command(flatten)]
    files: Files,
    /// Also take away what roles allow and the files don't.
    #[arg(long)]
    remove_extra_permissions: bool,
    /// Also take away the subjects of bindings that the files don't have.
    #[arg(long)]
    remove_extra_subjects: bool,
    /// Show what would happen: as the client sees it, or checked by the server.
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: DryRun,
    /// How to show the objects: name, yaml, kyaml, json, jsonpath=...
    #[arg(short, long)]
    output: Option<Output>,
    /// Also show who set which field.
    #[arg(long)]
    show_managed_fields: bool,
}

/// What has to be done about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Nothing,
    Create,
    Update,
    /// What a binding binds can't be changed.
    Recreate,
}

/// A role or binding as it is to be.
#[derive(Debug)]
struct Plan {
    object: Value,
    act: Act,
    /// The rules or subjects that it lacks.
    missing: Vec<Value>,
    /// Those that it has more than the file.
    extra: Vec<Value>,
}

impl Reconcile {
    pub async fn run(self, global: &Global) -> anyhow::Result<()> {
        if self.files.filename.is_empty() {
            bail!("must specify one of -f and -k: `minikctl auth reconcile -f FILE`");
        }
        let session = Session::open(global).await?;
        let (found, mut errors) = self.files.find(&session).await?;
        let writing = Writing {
            dry_run: self.dry_run,
            output: self.output.clone(),
            show_managed_fields: self.show_managed_fields,
            ..Writing::default()
        };
        let mut teller = writing.teller();
        for named in found.iter().filter(|named| named.resource.group == GROUP) {
            if let Err(error) = self.one(&session, named, &writing, &mut teller).await {
                errors.push(error);
            }
        }
        finish(errors)
    }

    async fn one(
        &self,
        session: &Session,
        named: &Named,
        writing: &Writing,
        teller: &mut Teller<'_>,
    ) -> anyhow::Result<()> {
        let document = named.document.as_ref().expect("every object comes from a file");
        let present = match session.get(&named.path()).await {
            Err(failure) if failure.is_not_found() => None,
            present => Some(present?),
        };
        let is_role = named.resource.kind.ends_with("Role");
        let plan = match (&present, is_role) {
            (None, true) => Plan::create(&document.object, "rules"),
            (None, false) => Plan::create(&document.object, "subjects"),
            (Some(present), true) => role(&document.object, present, self.remove_extra_permissions)?,
            (Some(present), false) => binding(&document.object, present, self.remove_extra_subjects),
        };
        let is_protected = present.is_some_and(|present| present["metadata"]["annotations"][AUTOUPDATE] == "false");
        let mut object = plan.object.clone();
        if self.dry_run != DryRun::Client && !is_protected {
            object = self.write(session, named, writing, &plan).await?;
        }
        teller.tell(&named.resource, &object, "reconciled")?;
        self.explain(&plan, is_protected, is_role)
    }

    async fn write(&self, session: &Session, named: &Named, writing: &Writing, plan: &Plan) -> anyhow::Result<Value> {
        let query = writing.query("kubectl-auth-reconcile", &[]);
        let (method, path) = match plan.act {
            Act::Nothing => return Ok(plan.object.clone()),
            Act::Update => (Method::PUT, named.path()),
            Act::Create | Act::Recreate => (Method::POST, named.resource.collection(Some(&named.namespace))),
        };
        if plan.act == Act::Recreate && self.dry_run == DryRun::None {
            Removing::default().remove(session, named.followed()).await?;
        }
        if plan.act == Act::Create && named.resource.namespaced {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": named.namespace}});
            // It is there, or may not be made: what is put into it will tell.
            let _ = session
                .send(
                    Method::POST,
                    &format!("/api/v1/namespaces{query}"),
                    "application/json",
                    &namespace,
                )
                .await;
        }
        let path = format!("{path}{query}");
        Ok(session.send(method, &path, "application/json", &plan.object).await?)
    }

    fn explain(&self, plan: &Plan, is_protected: bool, is_role: bool) -> anyhow::Result<()> {
        if self.output.is_some() || plan.act == Act::Nothing && plan.extra.is_empty() {
            return Ok(());
        }
        let mut out = anstream::stderr();
        let caveat = match is_protected {
            true => format!(", but object opted out ({AUTOUPDATE}: false)"),
            false => String::new(),
        };
        match plan.act {
            Act::Nothing => {}
            Act::Create => writeln!(out, "\treconciliation required create{caveat}")?,
            Act::Update => writeln!(out, "\treconciliation required update{caveat}")?,
            Act::Recreate => writeln!(out, "\treconciliation required recreate{caveat}")?,
        }
        let (things, removes) = match is_role {
            true => ("rules", self.remove_extra_permissions),
            false => ("subjects", self.remove_extra_subjects),
        };
        let extra = if removes { "removed" } else { "left" };
        for (head, list) in [
            (format!("missing {things} added"), &plan.missing),
            (format!("extra {things} {extra}"), &plan.extra),
        ] {
            if !list.is_empty() {
                writeln!(out, "\t{head}:")?;
            }
            for item in list {
                writeln!(out, "\t\t{item}")?;
            }
        }
        Ok(())
    }
}

impl Plan {
    fn create(wanted: &Value, list: &str) -> Self {
        Self {
            object: wanted.clone(),
            act: Act::Create,
            missing: items(&wanted[list]),
            extra: Vec::new(),
        }
    }
}

/// What becomes of a role. Pure.
fn role(wanted: &Value, present: &Value, remove_extra: bool) -> anyhow::Result<Plan> {
    let uncovered =
        |wanted: &Value, by: &Value| minik_apiserver::uncovered_rules(wanted, by).context("the rules can't be read");
    let missing = uncovered(&wanted["rules"], &present["rules"])?;
    let extra = uncovered(&present["rules"], &wanted["rules"])?;
    let mut object = present.clone();
    let mut act = described(&mut object, wanted);
    if remove_extra && !(missing.is_empty() && extra.is_empty()) {
        object["rules"] = wanted["rules"].clone();
        act = Act::Update;
    } else if !missing.is_empty() {
        object["rules"] = items(&present["rules"]).into_iter().chain(missing.clone()).collect();
        act = Act::Update;
    }
    let selectors = |role: &Value| items(&role["aggregationRule"]["clusterRoleSelectors"]);
    let (own, others) = (selectors(wanted), selectors(present));
    let lacks = own.iter().any(|selector| !others.contains(selector));
    let has_more = others.iter().any(|selector| !own.contains(selector));
    if lacks || remove_extra && has_more {
        let kept = others
            .into_iter()
            .filter(|selector| !remove_extra && !own.contains(selector));
        let all: Vec<Value> = kept.chain(own.iter().cloned()).collect();
        match all.is_empty() {
            true => drop(object.as_object_mut().and_then(|role| role.remove("aggregationRule"))),
            false => object["aggregationRule"] = json!({"clusterRoleSelectors": all}),
        }
        act = Act::Update;
    }
    Ok(Plan {
        object,
        act,
        missing,
        extra,
    })
}

/// What becomes of a binding. Pure.
fn binding(wanted: &Value, present: &Value, remove_extra: bool) -> Plan {
    let subjects = |binding: &Value| -> Vec<Value> { items(&binding["subjects"]).into_iter().map(whole).collect() };
    let (own, others) = (subjects(wanted), subjects(present));
    let without = |some: &[Value], others: &[Value]| -> Vec<Value> {
        some.iter()
            .filter(|subject| !others.contains(subject))
            .cloned()
            .collect()
    };
    let (missing, extra) = (without(&own, &others), without(&others, &own));
    if wanted["roleRef"]["kind"] != present["roleRef"]["kind"]
        || wanted["roleRef"]["name"] != present["roleRef"]["name"]
    {
        let mut object = wanted.clone();
        if !remove_extra {
            object["subjects"] = own.into_iter().chain(extra.clone()).collect();
        }
        return Plan {
            object,
            act: Act::Recreate,
            missing,
            extra,
        };
    }
    let mut object = present.clone();
    let mut act = described(&mut object, wanted);
    if remove_extra && !(missing.is_empty() && extra.is_empty()) {
        object["subjects"] = Value::Array(own);
        act = Act::Update;
    } else if !missing.is_empty() {
        object["subjects"] = others.into_iter().chain(missing.clone()).collect();
        act = Act::Update;
    }
    Plan {
        object,
        act,
        missing,
        extra,
    }
}

/// A subject with what the server would fill in.
fn whole(mut subject: Value) -> Value {
    if matches!(subject["kind"].as_str(), Some("User" | "Group")) && subject["apiGroup"].is_null() {
        subject["apiGroup"] = json!(GROUP);
    }
    subject
}

/// Adds the labels and annotations that are wanted; what is there goes before.
fn described(object: &mut Value, wanted: &Value) -> Act {
    let mut act = Act::Nothing;
    for field in ["labels", "annotations"] {
        let empty = Map::new();
        for (name, value) in wanted["metadata"][field].as_object().unwrap_or(&empty) {
            if object["metadata"][field][name].is_null() {
                object["metadata"][field][name] = value.clone();
                act = Act::Update;
            }
        }
    }
    act
}

fn items(list: &Value) -> Vec<Value> {
    list.as_array().cloned().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verbs: &[&str]) -> Value {
        json!({"kind": "Role", "metadata": {"name": "r"}, "rules": [{"verbs": verbs, "apiGroups": [""], "resources": ["pods"]}]})
    }

    #[test]
    fn a_role_gets_what_it_lacks() {
        let plan = role(&of(&["get", "list"]), &of(&["get", "watch"]), false).expect("a plan");
        assert_eq!(plan.act, Act::Update);
        assert_eq!(
            plan.object["rules"][1],
            json!({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]})
        );
        assert_eq!(plan.extra.len(), 1);
        let plan = role(&of(&["get"]), &of(&["*"]), false).expect("a plan");
        assert_eq!(plan.act, Act::Nothing, "it may everything");
        let plan = role(&of(&["get"]), &of(&["*"]), true).expect("a plan");
        assert_eq!((plan.act, &plan.object["rules"]), (Act::Update, &of(&["get"])["rules"]));
    }

    #[test]
    fn a_binding_gets_its_subjects_and_is_made_anew_for_another_role() {
        let of = |role: &str, users: &[&str]| {
            let users: Vec<Value> = users.iter().map(|user| json!({"kind": "User", "name": user})).collect();
            json!({"kind": "RoleBinding", "metadata": {"labels": {role: "x"}}, "roleRef": {"kind": "Role", "name": role}, "subjects": users})
        };
        let names = |plan: &Plan| -> Vec<Value> {
            items(&plan.object["subjects"])
                .iter()
                .map(|s| s["name"].clone())
                .collect()
        };
        let plan = binding(&of("r", &["a", "b"]), &of("r", &["b", "c"]), false);
        assert_eq!(
            (plan.act, names(&plan)),
            (Act::Update, vec![json!("b"), json!("c"), json!("a")])
        );
        let plan = binding(&of("r", &["a"]), &of("r", &["a", "c"]), true);
        assert_eq!(names(&plan), [json!("a")]);
        assert_eq!(binding(&of("r", &["a"]), &of("r", &["a"]), false).act, Act::Nothing);
        let plan = binding(&of("s", &["a"]), &of("r", &["b"]), false);
        assert_eq!((plan.act, names(&plan).len()), (Act::Recreate, 2));
    }
}

//! Who may do what: a small fixed table, until roles can be stored.

use minik_api::kinds::Kind;
use minik_api::status::Status;

use super::User;

/// What is asked for.
pub(crate) struct Request<'a> {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub(crate) verb: &'a str,
    /// Of which kind.
    pub(crate) kind: &'static Kind,
    /// `status`
    pub(crate) subresource: Option<&'a str>,
    /// `None`: all.
    pub(crate) namespace: Option<&'a str>,
    /// `None`: the collection.
    pub(crate) name: Option<&'a str>,
}

/// What a group (or user) may do.
struct Rule {
    /// A group, or a user.
    who: &'static str,
    verbs: &'static [&'static str],
    /// `pods`, `pods/status`, `leases.coordination.k8s.io`.
    resources: &'static [&'static str],
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete"];
const NODES: &str = "system:nodes";
const SCHEDULER: &str = "system:kube-scheduler";

/// Upstream's `system:node` and `system:kube-scheduler`, as far as these kinds are served. Nodes aren't told apart: there is
/// one.
const RULES: &[Rule] = &[
    Rule {
        who: NODES,
        verbs: READ,
        resources: &[
            "pods",
            "nodes",
            "namespaces",
            "services",
            "endpoints",
            "configmaps",
            "secrets",
            "serviceaccounts",
        ],
    },
    Rule {
        who: NODES,
        verbs: WRITE,
        resources: &["pods", "pods/status", "nodes", "nodes/status", "events"],
    },
    Rule {
        who: NODES,
        verbs: &["get", "create", "update", "patch", "delete"],
        resources: &["leases.coordination.k8s.io"],
    },
    Rule {
        who: SCHEDULER,
        verbs: READ,
        resources: &["pods", "nodes", "namespaces", "services"],
    },
    Rule {
        who: SCHEDULER,
        verbs: WRITE,
        resources: &["pods/binding", "pods/status", "events"],
    },
    Rule {
        who: SCHEDULER,
        verbs: &["delete"],
        resources: &["pods"],
    },
    Rule {
        who: SCHEDULER,
        verbs: &["get", "list", "watch", "create", "update", "patch"],
        resources: &["leases.coordination.k8s.io"],
    },
];

/// May everything.
const MASTERS: &str = "system:masters";

/// Whether the user may; a 403 in upstream's words if not.
pub(crate) fn authorize(user: &User, request: &Request<'_>) -> Result<(), Status> {
    let mut resource = request.kind.resource();
    if let Some(subresource) = request.subresource {
        resource = format!("{resource}/{subresource}");
    }
    let allowed = |rule: &Rule| {
        (user.name == rule.who || user.is_in(rule.who))
            && rule.verbs.contains(&request.verb)
            && rule.resources.contains(&resource.as_str())
    };
    if user.is_in(MASTERS) || RULES.iter().any(allowed) {
        return Ok(());
    }
    Err(forbidden(user, request))
}

fn forbidden(user: &User, request: &Request<'_>) -> Status {
    let Request { verb, kind, .. } = *request;
    let subresource = request.subresource.map(|name| format!("/{name}")).unwrap_or_default();
    let scope = match request.namespace {
        Some(namespace) => format!("in the namespace \"{namespace}\""),
        None => "at the cluster scope".to_owned(),
    };
    let why = format!(
        "User \"{}\" cannot {verb} resource \"{}{subresource}\" in API group \"{}\" {scope}",
        user.name, kind.plural, kind.group
    );
    Status::forbidden(kind, request.name.unwrap_or_default(), &why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use minik_api::kinds;

    fn decide(name: &str, group: &str, verb: &str, plural: &str, subresource: Option<&str>) -> Result<(), String> {
        let user = User {
            name: name.into(),
            groups: vec![group.into()],
        };
        let request = Request {
            verb,
            kind: kinds::at("", "v1", plural).expect("a core kind"),
            subresource,
            namespace: Some("default"),
            name: None,
        };
        authorize(&user, &request).map_err(|status| status.message)
    }

    #[test]
    fn each_program_may_what_it_needs() {
        for (name, group, verb, plural, subresource, allowed) in [
            ("a", "system:masters", "delete", "secrets", None, true),
            ("system:node:n", "system:nodes", "update", "pods", Some("status"), true),
            ("system:node:n", "system:nodes", "create", "pods", Some("exec"), false),
            ("system:node:n", "system:nodes", "create", "secrets", None, false),
            ("system:kube-scheduler", "", "create", "pods", Some("binding"), true),
            ("system:kube-scheduler", "", "list", "secrets", None, false),
            ("system:kube-scheduler", "", "update", "pods", None, false),
            ("nobody", "system:authenticated", "get", "pods", None, false),
        ] {
            let decided = decide(name, group, verb, plural, subresource);
            assert_eq!(decided.is_ok(), allowed, "{name} {verb} {plural} {subresource:?}");
        }
    }

    #[test]
    fn refusals_say_what_is_missing() {
        let refused = decide("eve", "x", "list", "pods", None);
        let message = "pods is forbidden: User \"eve\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"";
        assert_eq!(refused, Err(message.to_owned()));
    }
}

use super::*;

fn user(name: &str, group: &str) -> User {
    User {
        name: name.into(),
        groups: vec![group.into()],
        ..User::default()
    }
}

#[test]
fn refusals_say_what_is_missing() {
    let eve = user("eve", "people");
    let pods = Resource {
        verb: "list",
        resource: "pods",
        namespace: "default",
        ..Resource::default()
    };
    for (asked, why, message) in [
        (
            Asked::Resource(pods),
            "",
            "pods is forbidden: User \"eve\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\"",
        ),
        (
            Asked::Resource(Resource {
                verb: "get",
                group: "apps",
                resource: "deployments",
                subresource: "scale",
                name: "web",
                ..pods
            }),
            "RBAC: clusterrole.rbac.authorization.k8s.io \"x\" not found",
            "deployments.apps \"web\" is forbidden: User \"eve\" cannot get resource \"deployments/scale\" in API group \"apps\" \
             in the namespace \"default\": RBAC: clusterrole.rbac.authorization.k8s.io \"x\" not found",
        ),
        (
            Asked::Resource(Resource {
                namespace: "",
                resource: "nodes",
                ..pods
            }),
            "",
            "nodes is forbidden: User \"eve\" cannot list resource \"nodes\" in API group \"\" at the cluster scope",
        ),
        (
            Asked::Path {
                verb: "get",
                path: "/metrics",
            },
            "",
            "forbidden: User \"eve\" cannot get path \"/metrics\"",
        ),
    ] {
        let status = forbidden(&eve, &asked, why);
        assert_eq!((status.code, status.message.as_str()), (403, message));
    }
}

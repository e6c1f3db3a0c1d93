use serde_json::json;

use super::*;

fn findings(level: &str, spec: &Value) -> Vec<String> {
    let labels = Labels::from([(format!("{PREFIX}enforce"), level.to_owned())]);
    let level = Level::of(&labels, "enforce").expect("a level that asks for something");
    level.findings(&json!({"spec": spec}))
}

fn container(security: Value) -> Value {
    json!({"containers": [{"name": "a", "securityContext": security}]})
}

#[test]
fn a_plain_pod_is_baseline_and_not_restricted() {
    let plain = json!({"containers": [{"name": "a"}, {"name": "b"}]});
    assert_eq!(findings("baseline", &plain), Vec::<String>::new());
    assert_eq!(
        findings("restricted", &plain),
        [
            "allowPrivilegeEscalation != false (containers \"a\", \"b\" must set securityContext.allowPrivilegeEscalation=false)",
            "unrestricted capabilities (containers \"a\", \"b\" must set securityContext.capabilities.drop=[\"ALL\"])",
            "runAsNonRoot != true (pod or containers \"a\", \"b\" must set securityContext.runAsNonRoot=true)",
            "seccompProfile (pod or containers \"a\", \"b\" must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
        ]
    );
    let mut good = container(json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}));
    good["securityContext"] = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    assert_eq!(findings("restricted", &good), Vec::<String>::new());
}

#[test]
fn what_leads_out_of_a_container_is_told() {
    for (spec, expected) in [
        (
            json!({"hostNetwork": true, "hostIPC": true}),
            "host namespaces (hostNetwork=true, hostIPC=true)",
        ),
        (
            json!({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
            "hostPath volumes (volume \"v\")",
        ),
        (
            json!({"containers": [{"name": "a", "ports": [{"hostPort": 80}, {"hostPort": 9}]}]}),
            "hostPort (container \"a\" uses hostPorts 9, 80)",
        ),
        (
            container(json!({"privileged": true})),
            "privileged (container \"a\" must not set securityContext.privileged=true)",
        ),
        (
            container(json!({"capabilities": {"add": ["NET_ADMIN", "CHOWN"]}})),
            "non-default capabilities (container \"a\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)",
        ),
        (
            container(json!({"procMount": "Unmasked"})),
            "procMount (container \"a\" must not set securityContext.procMount to \"Unmasked\")",
        ),
        (
            json!({"securityContext": {"seLinuxOptions": {"type": "x", "user": "u"}}}),
            "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type \"x\"; user may not be set)",
        ),
        (
            container(json!({"seccompProfile": {"type": "Unconfined"}})),
            "seccompProfile (container \"a\" must not set securityContext.seccompProfile.type to \"Unconfined\")",
        ),
        (
            json!({"securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]}}),
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            json!({"securityContext": {"appArmorProfile": {"type": "Unconfined"}}}),
            "forbidden AppArmor profile (pod must not set securityContext.appArmorProfile.type to \"Unconfined\")",
        ),
        (
            json!({"securityContext": {"windowsOptions": {"hostProcess": true}}}),
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
        (
            json!({"containers": [{"name": "a", "livenessProbe": {"httpGet": {"host": "x"}}}]}),
            "probe or lifecycle host (container \"a\" uses probe or lifecycle host \"x\")",
        ),
    ] {
        assert_eq!(findings("baseline", &spec), [expected]);
    }
}

#[test]
fn what_is_restricted_is_told() {
    let among = |spec: &Value, expected: &str| {
        let found = findings("restricted", spec);
        assert!(found.iter().any(|finding| finding == expected), "{expected}: {found:?}");
    };
    among(
        &json!({"volumes": [{"name": "v", "hostPath": {}}, {"name": "w", "nfs": {}}, {"name": "x", "emptyDir": {}}]}),
        "restricted volume types (volumes \"v\", \"w\" use restricted volume types \"hostPath\", \"nfs\")",
    );
    among(
        &container(json!({"runAsUser": 0})),
        "runAsUser=0 (container \"a\" must not set runAsUser=0)",
    );
    among(
        &container(json!({"runAsNonRoot": false})),
        "runAsNonRoot != true (container \"a\" must not set securityContext.runAsNonRoot=false)",
    );
    among(
        &container(json!({"capabilities": {"drop": ["ALL"], "add": ["CHOWN"]}})),
        "unrestricted capabilities (container \"a\" must not include \"CHOWN\" in securityContext.capabilities.add)",
    );
}

#[test]
fn labels_have_to_be_known() {
    let labels = |level: &str, version: &str| {
        Labels::from([
            (format!("{PREFIX}warn"), level.to_owned()),
            (format!("{PREFIX}warn-version"), version.to_owned()),
        ])
    };
    assert!(wrong(&labels("baseline", "latest")).is_empty() && wrong(&labels("privileged", "v1.30")).is_empty());
    assert_eq!(wrong(&labels("strict", "1.30")).len(), 2);
    let old = Level::of(&labels("baseline", "v1.28"), "warn").expect("a level");
    let pod = json!({"spec": {"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}}});
    assert_eq!(old.findings(&pod), ["forbidden sysctls (net.ipv4.tcp_rmem)"]);
    assert_eq!(old.shown, "baseline:v1.28");
}

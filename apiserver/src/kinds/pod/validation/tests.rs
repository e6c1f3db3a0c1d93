//! One table for each group of rules: what is changed in a good pod, and what is said then.

use minik_api::names;
use serde_json::{Value, json};

use crate::kinds::testing::{created, with};

fn good() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "initContainers": [{"name": "i", "image": "busybox:1"}],
            "containers": [{
                "name": "c", "image": "nginx:1",
                "ports": [{"name": "http", "containerPort": 80}],
                "volumeMounts": [{"name": "v", "mountPath": "/v"}],
                "readinessProbe": {"httpGet": {"port": "http"}}
            }],
        }
    })
}

/// Each row is a place below `spec`, what is put there, and what is wrong then.
fn table(rows: &[(&str, Value, &[&str])]) {
    assert_eq!(created("Pod", good()), Vec::<String>::new());
    for (pointer, value, expected) in rows {
        let pod = with(good(), &format!("/spec{pointer}"), value.clone());
        assert_eq!(created("Pod", pod), *expected, "{pointer} {value}");
    }
}

#[test]
fn containers() {
    let label = &names::label("A_")[0];
    table(&[
        ("/containers", json!([]), &["spec.containers: Required value"]),
        (
            "/containers/0/name",
            json!(null),
            &["spec.containers[0].name: Required value"],
        ),
        (
            "/containers/0/name",
            json!("A_"),
            &[&format!("spec.containers[0].name: Invalid value: \"A_\": {label}")],
        ),
        (
            "/containers/0/image",
            json!(""),
            &["spec.containers[0].image: Required value"],
        ),
        (
            "/containers/0/image",
            json!(" nginx"),
            &["spec.containers[0].image: Invalid value: \" nginx\": must not have leading or trailing whitespace"],
        ),
        (
            "/containers/-",
            json!({"name": "c", "image": "x"}),
            &["spec.containers[1].name: Duplicate value: \"c\""],
        ),
        (
            "/initContainers/0/name",
            json!("c"),
            &["spec.initContainers[0].name: Duplicate value: \"c\""],
        ),
        (
            "/containers/0/imagePullPolicy",
            json!("Sometimes"),
            &[
                "spec.containers[0].imagePullPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"IfNotPresent\", \"Never\"",
            ],
        ),
        (
            "/containers/0/terminationMessagePolicy",
            json!("x"),
            &[
                "spec.containers[0].terminationMessagePolicy: Unsupported value: \"x\": supported values: \"File\", \"FallbackToLogsOnError\"",
            ],
        ),
        (
            "/initContainers/0/readinessProbe",
            json!({"exec": {"command": ["true"]}}),
            &[
                "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always",
            ],
        ),
        (
            "/initContainers/0",
            json!({"name": "i", "image": "x", "restartPolicy": "Always", "readinessProbe": {"exec": {"command": ["true"]}}}),
            &[],
        ),
        (
            "/ephemeralContainers",
            json!([{"name": "e", "image": "x", "ports": [{"containerPort": 1}], "targetContainerName": "z"}]),
            &[
                "spec.ephemeralContainers[0].targetContainerName: Not found: \"z\"",
                "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
                "spec.ephemeralContainers: Forbidden: cannot be set on create",
            ],
        ),
        (
            "/containers/0/resizePolicy",
            json!([{"resourceName": "disk", "restartPolicy": "NotRequired"}]),
            &["spec.containers[0].resizePolicy: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\""],
        ),
        (
            "/containers/0/restartPolicyRules",
            json!([{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]),
            &[
                "spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used",
            ],
        ),
    ]);
}

#[test]
fn ports() {
    table(&[
        (
            "/containers/0/ports/0/containerPort",
            json!(0),
            &["spec.containers[0].ports[0].containerPort: Required value"],
        ),
        (
            "/containers/0/ports/0/containerPort",
            json!(70000),
            &[
                "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive",
            ],
        ),
        (
            "/containers/0/ports/0/hostPort",
            json!(-1),
            &["spec.containers[0].ports[0].hostPort: Invalid value: -1: must be between 1 and 65535, inclusive"],
        ),
        (
            "/containers/0/ports/0/protocol",
            json!("tcp"),
            &[
                "spec.containers[0].ports[0].protocol: Unsupported value: \"tcp\": supported values: \"SCTP\", \"TCP\", \"UDP\"",
            ],
        ),
        (
            "/containers/0/ports/0/name",
            json!("much-too-long-name"),
            &[
                "spec.containers[0].ports[0].name: Invalid value: \"much-too-long-name\": must be no more than 15 characters",
            ],
        ),
        (
            "/containers/0/ports/-",
            json!({"name": "http", "containerPort": 81}),
            &["spec.containers[0].ports[1].name: Duplicate value: \"http\""],
        ),
        (
            "/containers/0/ports",
            json!([{"containerPort": 1, "hostPort": 8080}, {"containerPort": 2, "hostPort": 8080}]),
            &["spec.containers[0].ports[1].hostPort: Duplicate value: \"TCP//8080\""],
        ),
        ("/hostNetwork", json!(true), &[]),
    ]);
    let host = with(good(), "/spec/hostNetwork", json!(true));
    assert_eq!(
        created("Pod", with(host, "/spec/containers/0/ports/0/hostPort", json!(81))),
        [
            "spec.containers[0].ports[0].hostPort: Invalid value: 81: must match `containerPort` when `hostNetwork` is true"
        ]
    );
}

#[test]
fn environment() {
    const ENV: &str = "/containers/0/env";
    const FROM: &str = "spec.containers[0].env[0].valueFrom";
    table(&[
        (
            ENV,
            json!([{"value": "x"}]),
            &["spec.containers[0].env[0].name: Required value"],
        ),
        (
            ENV,
            json!([{"name": "a=b"}]),
            &[
                "spec.containers[0].env[0].name: Invalid value: \"a=b\": a valid environment variable name must consist only of printable ASCII characters other than '='",
            ],
        ),
        (
            ENV,
            json!([{"name": "A", "valueFrom": {}}]),
            &[&format!(
                "{FROM}: Invalid value: \"\": must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
            )],
        ),
        (
            ENV,
            json!([{"name": "A", "value": "x", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]),
            &[&format!(
                "{FROM}: Invalid value: \"\": may not be specified when `value` is not empty"
            )],
        ),
        (
            ENV,
            json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}, "configMapKeyRef": {"name": "s"}}}]),
            &[
                &format!("{FROM}.configMapKeyRef.key: Required value"),
                &format!("{FROM}: Invalid value: \"\": may not have more than one field specified at a time"),
            ],
        ),
        (
            ENV,
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]),
            &[&format!(
                "{FROM}.fieldRef.fieldPath: Unsupported value: \"metadata.labels\": supported values: \"metadata.name\", \"metadata.namespace\", \"metadata.uid\", \"spec.nodeName\", \"spec.serviceAccountName\", \"status.hostIP\", \"status.hostIPs\", \"status.podIP\", \"status.podIPs\""
            )],
        ),
        (
            ENV,
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nope"}}}]),
            &[&format!(
                "{FROM}.fieldRef.fieldPath: Invalid value: \"spec.nope\": error converting fieldPath: field label not supported: spec.nope"
            )],
        ),
        (
            ENV,
            json!([{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}}]),
            &[],
        ),
        (
            ENV,
            json!([{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1Ki"}}}]),
            &[&format!(
                "{FROM}.resourceFieldRef.divisor: Invalid value: \"limits.cpu\": only divisor's values 1m and 1 are supported with the cpu resource"
            )],
        ),
        (
            "/containers/0/envFrom",
            json!([{"prefix": "A_"}]),
            &["spec.containers[0].envFrom: Invalid value: \"\": must specify one of: `configMapRef` or `secretRef`"],
        ),
        (
            "/containers/0/envFrom",
            json!([{"configMapRef": {}}]),
            &["spec.containers[0].envFrom[0].configMapRef.name: Required value"],
        ),
    ]);
}

#[test]
fn volumes() {
    const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
    table(&[
        (
            "/volumes/-",
            json!({"name": "v"}),
            &["spec.volumes[1].name: Duplicate value: \"v\""],
        ),
        (
            "/volumes/-",
            json!({"emptyDir": {}}),
            &["spec.volumes[1].name: Required value"],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "emptyDir": {}, "hostPath": {"path": "/"}}),
            &["spec.volumes[1].hostPath: Forbidden: may not specify more than 1 volume type"],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "hostPath": {}}),
            &["spec.volumes[1].hostPath.path: Required value"],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "hostPath": {"path": "/a/../b", "type": "Folder"}}),
            &[
                "spec.volumes[1].hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
                "spec.volumes[1].hostPath.type: Unsupported value: \"Folder\": supported values: \"\", \"BlockDevice\", \"CharDevice\", \"Directory\", \"DirectoryOrCreate\", \"File\", \"FileOrCreate\", \"Socket\"",
            ],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "secret": {}}),
            &["spec.volumes[1].secret.secretName: Required value"],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "configMap": {"name": "x", "defaultMode": 512, "items": [{"key": "k", "path": "/a"}]}}),
            &[
                &format!("spec.volumes[1].configMap.defaultMode: Invalid value: 512: {MODE}"),
                "spec.volumes[1].configMap.items[0].path: Invalid value: \"/a\": must be a relative path",
            ],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "downwardAPI": {"items": [{"path": "..x"}]}}),
            &[
                "spec.volumes[1].downwardAPI.path: Invalid value: \"..x\": must not start with '..'",
                "spec.volumes[1].downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
            ],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "projected": {"sources": [
                {"secret": {"name": "s", "items": [{"key": "k", "path": "a"}]}},
                {"configMap": {"name": "m", "items": [{"key": "k", "path": "a"}]}, "secret": {"name": "s"}},
                {"serviceAccountToken": {"path": "t", "expirationSeconds": 1}}
            ]}}),
            &[
                "spec.volumes[1].projected.sources[1]: Forbidden: may not specify more than 1 volume type per source",
                "spec.volumes[1].projected: Invalid value: \"m\": conflicting duplicate paths",
                "spec.volumes[1].projected.sources[2].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
                "spec.volumes[1].projected.sources[2].serviceAccountToken: Forbidden: must not be specified when serviceAccountName is not set",
            ],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "persistentVolumeClaim": {}}),
            &["spec.volumes[1].persistentVolumeClaim.claimName: Required value"],
        ),
        (
            "/volumes/-",
            json!({"name": "w", "nfs": {"server": "s", "path": "x"}}),
            &["spec.volumes[1].nfs.path: Invalid value: \"x\": must be an absolute path"],
        ),
    ]);
}

#[test]
fn mounts() {
    table(&[
        (
            "/containers/0/volumeMounts/0/name",
            json!("w"),
            &["spec.containers[0].volumeMounts[0].name: Not found: \"w\""],
        ),
        (
            "/containers/0/volumeMounts/-",
            json!({"name": "v", "mountPath": "/v"}),
            &["spec.containers[0].volumeMounts[1].mountPath: Invalid value: \"/v\": must be unique"],
        ),
        (
            "/containers/0/volumeMounts/0/subPath",
            json!("../x"),
            &["spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'"],
        ),
        (
            "/containers/0/volumeMounts/0/mountPropagation",
            json!("Bidirectional"),
            &[
                "spec.containers[0].volumeMounts.mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
            ],
        ),
        (
            "/containers/0/volumeMounts/0/recursiveReadOnly",
            json!("Enabled"),
            &[
                "spec.containers[0].volumeMounts.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
            ],
        ),
        (
            "/containers/0/volumeDevices",
            json!([{"name": "v", "devicePath": "/dev/x"}]),
            &[
                "spec.containers[0].volumeMounts[0].name: Invalid value: \"v\": must not already exist in volumeDevices",
                "spec.containers[0].volumeDevices[0].name: Invalid value: \"v\": can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            ],
        ),
    ]);
}

#[test]
fn probes_and_hooks() {
    table(&[
        (
            "/containers/0/livenessProbe",
            json!({}),
            &["spec.containers[0].livenessProbe: Required value: must specify a handler type"],
        ),
        (
            "/containers/0/livenessProbe",
            json!({"exec": {}, "tcpSocket": {"port": 1}, "successThreshold": 2, "periodSeconds": -1}),
            &[
                "spec.containers[0].livenessProbe.exec.command: Required value",
                "spec.containers[0].livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type",
                "spec.containers[0].livenessProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
                "spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            "/containers/0/readinessProbe",
            json!({"httpGet": {"port": 0, "scheme": "FTP", "httpHeaders": [{"name": "a b"}]}, "terminationGracePeriodSeconds": 1}),
            &[
                "spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.containers[0].readinessProbe.httpGet.scheme: Unsupported value: \"FTP\": supported values: \"HTTP\", \"HTTPS\"",
                "spec.containers[0].readinessProbe.httpGet.httpHeaders: Invalid value: \"a b\": a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
                "spec.containers[0].readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes",
            ],
        ),
        (
            "/containers/0/lifecycle",
            json!({"preStop": {"sleep": {"seconds": 31}}, "stopSignal": "SIGUSR1"}),
            &[
                "spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
                "spec.containers[0].lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`",
            ],
        ),
    ]);
}

#[test]
fn resources() {
    const RESOURCES: &str = "/containers/0/resources";
    const PATH: &str = "spec.containers[0].resources";
    table(&[
        (
            RESOURCES,
            json!({"limits": {"memory": "128Mi"}, "requests": {"memory": "256Mi"}}),
            &[&format!(
                "{PATH}.requests: Invalid value: \"256Mi\": must be less than or equal to memory limit of 128Mi"
            )],
        ),
        (
            RESOURCES,
            json!({"limits": {"cpu": "-1"}}),
            &[
                &format!("{PATH}.limits[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"),
                &format!("{PATH}.requests[cpu]: Invalid value: \"-1\": must be greater than or equal to 0"),
            ],
        ),
        (
            RESOURCES,
            json!({"requests": {"gpu": "1"}}),
            &[
                &format!(
                    "{PATH}.requests[gpu]: Invalid value: \"gpu\": must be a standard resource type or fully qualified"
                ),
                &format!("{PATH}.requests[gpu]: Invalid value: \"gpu\": must be a standard resource for containers"),
            ],
        ),
        (
            RESOURCES,
            json!({"requests": {"example.com/gpu": "1"}}),
            &[&format!(
                "{PATH}.limits: Required value: Limit must be set for non overcommitable resources"
            )],
        ),
        (
            RESOURCES,
            json!({"limits": {"example.com/gpu": "2"}, "requests": {"example.com/gpu": "1"}}),
            &[&format!(
                "{PATH}.requests: Invalid value: \"1\": must be equal to example.com/gpu limit of 2"
            )],
        ),
        (
            RESOURCES,
            json!({"limits": {"example.com/gpu": "1500m", "cpu": "1"}}),
            &[
                &format!("{PATH}.limits[example.com/gpu]: Invalid value: \"1500m\": must be an integer"),
                &format!("{PATH}.requests[example.com/gpu]: Invalid value: \"1500m\": must be an integer"),
            ],
        ),
        (
            RESOURCES,
            json!({"limits": {"hugepages-2Mi": "4Mi"}}),
            &[&format!("{PATH}: Forbidden: HugePages require cpu or memory")],
        ),
        (
            RESOURCES,
            json!({"claims": [{"name": "x"}]}),
            &[&format!(
                "{PATH}.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims which is empty"
            )],
        ),
    ]);
}

#[test]
fn security() {
    const CONTEXT: &str = "/containers/0/securityContext";
    table(&[
        (
            "/securityContext",
            json!({"runAsUser": -1, "fsGroupChangePolicy": "x", "seccompProfile": {"type": "Localhost"}}),
            &[
                "spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive",
                "spec.securityContext.fsGroupChangePolicy: Unsupported value: \"x\": supported values: \"Always\", \"OnRootMismatch\"",
                "spec.securityContext.seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost",
            ],
        ),
        (
            CONTEXT,
            json!({"allowPrivilegeEscalation": false, "privileged": true}),
            &[
                "spec.containers[0].securityContext: Invalid value: {\"allowPrivilegeEscalation\":false,\"privileged\":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ],
        ),
        (
            CONTEXT,
            json!({"procMount": "Unmasked"}),
            &[
                "spec.containers[0].securityContext.procMount: Invalid value: \"Unmasked\": `hostUsers` must be false to use `Unmasked`",
            ],
        ),
        (
            CONTEXT,
            json!({"capabilities": {"add": ["NET_ADMIN"]}, "privileged": true, "runAsUser": 0}),
            &[],
        ),
        (
            "/securityContext/sysctls",
            json!([{"name": "net.core.somaxconn", "value": "1"}, {"name": "net/core/somaxconn", "value": "1"}, {"name": "A"}]),
            &[
                "spec.securityContext.sysctls[2].name: Invalid value: \"A\": must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            ],
        ),
        (
            "/os",
            json!({"name": "beos"}),
            &["spec.os: Unsupported value: \"beos\": supported values: \"linux\", \"windows\""],
        ),
    ]);
    let shared = with(good(), "/spec/hostPID", json!(true));
    assert_eq!(
        created("Pod", with(shared, "/spec/shareProcessNamespace", json!(true))),
        [
            "spec.securityContext.shareProcessNamespace: Invalid value: true: ShareProcessNamespace and HostPID cannot both be enabled"
        ]
    );
    let shared = with(good(), "/spec/hostPID", json!(true));
    assert_eq!(
        created("Pod", with(shared, "/spec/hostUsers", json!(false))),
        ["spec.HostPID: Forbidden: when `hostUsers` is false"]
    );
}

#[test]
fn scheduling() {
    let node = |requirement: Value| json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [requirement]}]}}});
    const NODE: &str = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms";
    table(&[
        (
            "/affinity",
            node(json!({"key": "a", "operator": "In", "values": ["b"]})),
            &[],
        ),
        (
            "/affinity",
            node(json!({"key": "a", "operator": "In"})),
            &[&format!(
                "{NODE}[0].matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"
            )],
        ),
        (
            "/affinity",
            node(json!({"key": "a", "operator": "Is"})),
            &[&format!(
                "{NODE}[0].matchExpressions[0].operator: Invalid value: \"Is\": not a valid selector operator"
            )],
        ),
        (
            "/affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
            &[&format!(
                "{NODE}: Required value: must have at least one node selector term"
            )],
        ),
        (
            "/affinity",
            json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 0, "podAffinityTerm": {"topologyKey": "h"}}]}}),
            &[
                "spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must be in the range 1-100",
            ],
        ),
        (
            "/tolerations",
            json!([{"operator": "Equal"}, {"key": "a", "operator": "Exists", "value": "x"}, {"key": "a", "effect": "Never"}, {"key": "a", "operator": "Exists", "tolerationSeconds": 1}]),
            &[
                "spec.tolerations[0].operator: Invalid value: \"Equal\": operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
                "spec.tolerations[1].operator: Invalid value: \"x\": value must be empty when `operator` is 'Exists'",
                "spec.tolerations[2].effect: Unsupported value: \"Never\": supported values: \"NoSchedule\", \"PreferNoSchedule\", \"NoExecute\"",
                "spec.tolerations[3].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set",
            ],
        ),
        (
            "/topologySpreadConstraints",
            json!([{"maxSkew": 0, "topologyKey": "z", "whenUnsatisfiable": "Panic"}]),
            &[
                "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than 0",
                "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value: \"Panic\": supported values: \"DoNotSchedule\", \"ScheduleAnyway\"",
            ],
        ),
        (
            "/schedulingGates",
            json!([{"name": "a"}, {"name": "a"}]),
            &["spec.schedulingGates[1]: Duplicate value: \"a\""],
        ),
        (
            "/nodeSelector",
            json!({"a": "b c"}),
            &[&format!(
                "spec.nodeSelector: Invalid value: \"b c\": {}",
                names::label_value("b c")[0]
            )],
        ),
    ]);
}

#[test]
fn dns_and_the_rest() {
    table(&[
        (
            "/restartPolicy",
            json!("Sometimes"),
            &[
                "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", \"Never\"",
            ],
        ),
        (
            "/dnsPolicy",
            json!("None"),
            &["spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None"],
        ),
        (
            "/dnsConfig",
            json!({"nameservers": ["1.1.1.1", "x"], "searches": ["a_b.c", "-"], "options": [{"value": "1"}]}),
            &[
                "spec.dnsConfig.nameservers[1]: Invalid value: \"x\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
                &format!(
                    "spec.dnsConfig.searches[1]: Invalid value: \"-\": {}",
                    names::subdomain("-")[0]
                ),
                "spec.dnsConfig.options[0]: Required value: must not be empty",
            ],
        ),
        (
            "/hostAliases",
            json!([{"ip": "300.0.0.1", "hostnames": ["a"]}]),
            &[
                "spec.hostAliases[0].ip: Invalid value: \"300.0.0.1\": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
            ],
        ),
        (
            "/activeDeadlineSeconds",
            json!(0),
            &["spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive"],
        ),
        (
            "/hostname",
            json!("a.b"),
            &[&format!(
                "spec.hostname: Invalid value: \"a.b\": {}",
                names::label("a.b")[0]
            )],
        ),
        (
            "/overhead",
            json!({"cpu": "-1m"}),
            &["spec.overhead[cpu]: Invalid value: \"-1m\": must be greater than or equal to 0"],
        ),
        (
            "/preemptionPolicy",
            json!("x"),
            &["spec.preemptionPolicy: Unsupported value: \"x\": supported values: \"PreemptLowerPriority\", \"Never\""],
        ),
    ]);
}

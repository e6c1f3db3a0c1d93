"""The common scenario (../README.md) by the official Python client: scenario.py NAMESPACE.

Configuration and pods go through the typed API, patches and objects of the custom kind through the dynamic client.
"""

import json
import sys

from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient
from kubernetes.stream import stream

NAMESPACE = sys.argv[1]
GROUP = f"{NAMESPACE}.example.com"
BOUND = 30  # seconds that a watch lasts at most

config.load_kube_config()
core = client.CoreV1Api()
dynamic = DynamicClient(client.ApiClient())


def say(step, *words):
    print(f"{step}:", *words, flush=True)


def say_refusal(step, call):
    """What the server says when it refuses; a success is said too, and differs from what is expected."""
    try:
        call()
    except ApiException as refusal:
        status = json.loads(refusal.body)
        if status["kind"] != "Status" or status["code"] != refusal.status:
            raise
        # kubectl names a kind without its group here.
        message = status["message"].replace(f"Widget.{GROUP}", "Widget")
        say(step, status["reason"], message.replace(NAMESPACE, "NAMESPACE"))
    else:
        say(step, "succeeded")


def config_map(name, data, **metadata):
    metadata = {"name": name, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def pairs(mapping):
    return " ".join(f"{key}={value}" for key, value in sorted((mapping or {}).items()))


def names(items):
    return " ".join(sorted(item.metadata.name for item in items))


def objects():
    core.create_namespace({"metadata": {"name": NAMESPACE}})
    created = core.create_namespaced_config_map(NAMESPACE, config_map("list", {"milk": "1", "eggs": "6"}))
    say("create", pairs(created.data))
    say("get", pairs(core.read_namespaced_config_map("list", NAMESPACE).data))
    say_refusal("create again", lambda: core.create_namespaced_config_map(NAMESPACE, config_map("list", {})))
    say_refusal("get nothing", lambda: core.read_namespaced_config_map("nothing", NAMESPACE))
    say_refusal("create invalid", lambda: core.create_namespaced_config_map(NAMESPACE, config_map("Not_Valid", {})))


def lists():
    for number in range(1, 6):
        labels = {"page": "yes", "odd": "yes" if number % 2 else "no"}
        core.create_namespaced_config_map(NAMESPACE, config_map(f"page-{number}", {}, labels=labels))
    more, sizes = None, []
    while True:
        page = core.list_namespaced_config_map(NAMESPACE, label_selector="page", limit=2, _continue=more)
        sizes.append(len(page.items))
        more = page.metadata._continue
        if not more:
            break
    say("list by pages", *sizes)
    for selector in ["odd=yes", "odd notin (yes),page"]:
        say(f"list {selector}", names(core.list_namespaced_config_map(NAMESPACE, label_selector=selector).items))
    by_field = core.list_namespaced_config_map(NAMESPACE, field_selector="metadata.name=page-2")
    say("list by field", names(by_field.items))


def watches():
    since = core.list_namespaced_config_map(NAMESPACE).metadata.resource_version
    core.create_namespaced_config_map(NAMESPACE, config_map("seen", {}))
    core.patch_namespaced_config_map("seen", NAMESPACE, {"data": {"by": "all"}})
    core.delete_namespaced_config_map("seen", NAMESPACE)
    watching = watch.Watch()
    for event in watching.stream(
        core.list_namespaced_config_map, NAMESPACE, resource_version=since,
        field_selector="metadata.name=seen", timeout_seconds=BOUND,
    ):
        say("watch", event["type"], event["object"].metadata.name, pairs(event["object"].data))
        if event["type"] == "DELETED":
            watching.stop()


def patches():
    maps = dynamic.resources.get(api_version="v1", kind="ConfigMap")

    def patch(kind, body):
        return maps.patch(body, "list", NAMESPACE, content_type=f"application/{kind}+json").to_dict()

    say("merge patch", pairs(patch("merge-patch", {"data": {"milk": None, "tea": "2"}})["data"]))
    changes = [
        {"op": "test", "path": "/data/tea", "value": "2"},
        {"op": "replace", "path": "/data/tea", "value": "3"},
        {"op": "remove", "path": "/data/eggs"},
    ]
    say("json patch", pairs(patch("json-patch", changes)["data"]))
    ports = [{"name": "http", "port": 80}]
    service = {"metadata": {"name": "web"}, "spec": {"clusterIP": "None", "ports": ports}}
    core.create_namespaced_service(NAMESPACE, service)
    services = dynamic.resources.get(api_version="v1", kind="Service")
    change = {"spec": {"ports": [{"name": "https", "port": 443}]}}
    patched = services.patch(
        change, "web", NAMESPACE, content_type="application/strategic-merge-patch+json"
    ).to_dict()
    say("strategic merge patch", *sorted(port["name"] for port in patched["spec"]["ports"]))

    def apply(manager, milk, force=False):
        return maps.server_side_apply(
            config_map("applied", {"milk": milk}), "applied", NAMESPACE, field_manager=manager, force_conflicts=force
        ).to_dict()

    say("apply", pairs(apply("one", "1")["data"]))
    say_refusal("apply conflicting", lambda: apply("two", "2"))
    forced = apply("two", "2", force=True)
    managers = sorted(entry["manager"] for entry in forced["metadata"]["managedFields"])
    say("apply forced", pairs(forced["data"]), *managers)

    stale = core.read_namespaced_config_map("list", NAMESPACE)
    core.patch_namespaced_config_map("list", NAMESPACE, {"data": {"rice": "1"}})
    say_refusal("replace stale", lambda: core.replace_namespaced_config_map("list", NAMESPACE, stale))
    fresh = core.read_namespaced_config_map("list", NAMESPACE)
    fresh.data = {"bread": "1"}
    say("replace", pairs(core.replace_namespaced_config_map("list", NAMESPACE, fresh).data))


def custom():
    extensions = client.ApiextensionsV1Api()
    number = {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}}
    version = {
        "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": number, "status": number}}},
    }
    name = f"widgets.{GROUP}"
    extensions.create_custom_resource_definition({
        "metadata": {"name": name},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "versions": [version],
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        },
    })
    watching = watch.Watch()
    for event in watching.stream(
        extensions.list_custom_resource_definition, field_selector=f"metadata.name={name}", timeout_seconds=BOUND
    ):
        conditions = event["object"].status.conditions if event["object"].status else None
        if any(each.type == "Established" and each.status == "True" for each in conditions or []):
            say("define", "Established")
            watching.stop()
    widgets = dynamic.resources.get(api_version=f"{GROUP}/v1", kind="Widget")

    def widget(name, size):
        return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}}

    say("create custom", widgets.create(widget("one", 3), NAMESPACE).spec.size)
    say_refusal("create custom invalid", lambda: widgets.create(widget("two", 10), NAMESPACE))
    change = {"spec": {"size": 4}, "status": {"size": 5}}
    kind = "application/merge-patch+json"
    patched = widgets.status.patch(change, "one", NAMESPACE, content_type=kind)
    say("status", patched.spec.size, patched.status.size)
    patched = widgets.patch({"spec": {"size": 6}, "status": {"size": 7}}, "one", NAMESPACE, content_type=kind)
    say("spec", patched.spec.size, patched.status.size)
    extensions.delete_custom_resource_definition(name)


def owners():
    owner = core.create_namespaced_config_map(NAMESPACE, config_map("owner", {}))
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid}
    for policy, end in [("Orphan", "MODIFIED"), ("Background", "DELETED")]:
        if policy == "Background":
            reference["uid"] = core.create_namespaced_config_map(NAMESPACE, config_map("owner", {})).metadata.uid
        name = f"owned-{policy.lower()}"
        owned = core.create_namespaced_config_map(NAMESPACE, config_map(name, {}, ownerReferences=[reference]))
        core.delete_namespaced_config_map("owner", NAMESPACE, propagation_policy=policy)
        watching = watch.Watch()
        for event in watching.stream(
            core.list_namespaced_config_map, NAMESPACE, resource_version=owned.metadata.resource_version,
            field_selector=f"metadata.name={name}", timeout_seconds=BOUND,
        ):
            if event["type"] == end:
                left = len(event["object"].metadata.owner_references or [])
                say(f"delete {policy}", *(["gone"] if end == "DELETED" else ["owners", left]))
                watching.stop()
        gone(core.list_namespaced_config_map, "owner")


def gone(list_call, name):
    """Waits until an object is gone."""
    listed = list_call(NAMESPACE, field_selector=f"metadata.name={name}")
    if not listed.items:
        return
    watching = watch.Watch()
    for event in watching.stream(
        list_call, NAMESPACE, resource_version=listed.metadata.resource_version,
        field_selector=f"metadata.name={name}", timeout_seconds=BOUND,
    ):
        if event["type"] == "DELETED":
            watching.stop()
            return
    raise TimeoutError(f"{name} is still there")


def pods():
    script = "echo serving; trap 'exit 0' TERM; while :; do sleep 1; done"
    container = {
        "name": "main", "image": "test/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
    }
    spec = {"terminationGracePeriodSeconds": 5, "containers": [container]}
    core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": "pod"}, "spec": spec})
    watching = watch.Watch()
    for event in watching.stream(
        core.list_namespaced_pod, NAMESPACE, field_selector="metadata.name=pod", timeout_seconds=BOUND
    ):
        conditions = event["object"].status.conditions or []
        if any(each.type == "Ready" and each.status == "True" for each in conditions):
            say("pod", event["object"].status.phase)
            watching.stop()
    say("log", core.read_namespaced_pod_log("pod", NAMESPACE).strip())
    run = stream(
        core.connect_get_namespaced_pod_exec, "pod", NAMESPACE, stdout=True, stderr=True, _preload_content=False,
        command=["sh", "-c", "echo from inside; echo aside >&2; exit 3"],
    )
    run.run_forever(timeout=BOUND)
    say("exec", run.read_stdout().strip(), "|", run.read_stderr().strip(), "|", run.returncode)
    run.close()
    core.delete_namespaced_pod("pod", NAMESPACE)
    gone(core.list_namespaced_pod, "pod")
    say_refusal("get deleted", lambda: core.read_namespaced_pod("pod", NAMESPACE))


def accounts():
    core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": "visitor"}})
    token = core.create_namespaced_service_account_token("visitor", NAMESPACE, {"spec": {}}).status.token
    own = client.Configuration()
    config.load_kube_config(client_configuration=own)
    own.cert_file = own.key_file = None
    own.api_key = {"authorization": f"Bearer {token}"}
    visitor = client.CoreV1Api(client.ApiClient(own))
    say_refusal("forbidden", lambda: visitor.list_namespaced_secret(NAMESPACE))


for part in [objects, lists, watches, patches, custom, owners, pods, accounts]:
    part()
core.delete_namespace(NAMESPACE)

"""The common scenario (../README.md) by kubectl: scenario.py NAMESPACE KUBECTL.

What kubectl has no verb for (pages, a watch from a version) goes through `get --raw`, as its users do it.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from urllib.parse import urlencode

NAMESPACE, KUBECTL = sys.argv[1:]
GROUP = f"{NAMESPACE}.example.com"
MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
BOUND = "--timeout=30s"


def say(step, *words):
    print(f"{step}:", *words, flush=True)


def run(*arguments, body=None):
    command = [KUBECTL, "--namespace", NAMESPACE, *arguments]
    given = None if body is None else json.dumps(body)
    return subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)


def kubectl(*arguments, body=None):
    done = run(*arguments, body=body)
    if done.returncode != 0:
        raise RuntimeError(f"{arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def answer(*arguments, body=None):
    """The object that a command ends with."""
    return json.loads(kubectl(*arguments, "-o", "json", body=body))


def raw(path, **query):
    return kubectl("get", "--raw", f"{path}?{urlencode(query)}")


def say_refusal(step, *arguments, body=None):
    """What the server says when it refuses, without what kubectl puts around it."""
    done = run(*arguments, body=body)
    if done.returncode == 0:
        say(step, "succeeded")
        return
    text = done.stderr.replace(NAMESPACE, "NAMESPACE")
    shapes = [
        (r'Error from server \((\w+)\): (?:error when \w+ "[^"]*": )?(.*)', lambda found: found.groups()),
        (r"The (.* is invalid: .*)", lambda found: ("Invalid", found[1])),
        (r"error: (Apply failed with .*)", lambda found: ("Conflict", found[1])),
    ]
    for shape, words in shapes:
        if found := re.match(shape, text):
            say(step, *words(found))
            return
    raise RuntimeError(f"{step}: {done.stderr}")


def config_map(name, data, **metadata):
    metadata = {"name": name, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def create(body):
    return answer("create", "-f", "-", body=body)


def pairs(mapping):
    return " ".join(f"{key}={value}" for key, value in sorted((mapping or {}).items()))


def names(listed):
    return " ".join(sorted(item["metadata"]["name"] for item in listed["items"]))


def objects():
    kubectl("create", "namespace", NAMESPACE)
    say("create", pairs(create(config_map("list", {"milk": "1", "eggs": "6"}))["data"]))
    say("get", pairs(answer("get", "configmap", "list")["data"]))
    say_refusal("create again", "create", "-f", "-", body=config_map("list", {}))
    say_refusal("get nothing", "get", "configmap", "nothing")
    say_refusal("create invalid", "create", "-f", "-", body=config_map("Not_Valid", {}))


def lists():
    for number in range(1, 6):
        create(config_map(f"page-{number}", {}, labels={"page": "yes", "odd": "yes" if number % 2 else "no"}))
    more, sizes = "", []
    while True:
        page = json.loads(raw(MAPS, labelSelector="page", limit=2, **({"continue": more} if more else {})))
        sizes.append(len(page["items"]))
        more = page["metadata"].get("continue")
        if not more:
            break
    say("list by pages", *sizes)
    for selector in ["odd=yes", "odd notin (yes),page"]:
        say(f"list {selector}", names(answer("get", "configmaps", "--selector", selector)))
    say("list by field", names(answer("get", "configmaps", "--field-selector", "metadata.name=page-2")))


def watches():
    since = json.loads(raw(MAPS))["metadata"]["resourceVersion"]
    create(config_map("seen", {}))
    kubectl("patch", "configmap", "seen", "--type=merge", "--patch", '{"data":{"by":"all"}}')
    kubectl("delete", "configmap", "seen")
    query = {"watch": 1, "resourceVersion": since, "timeoutSeconds": 30, "fieldSelector": "metadata.name=seen"}
    with subprocess.Popen(
        [KUBECTL, "get", "--raw", f"{MAPS}?{urlencode(query)}"], stdout=subprocess.PIPE, text=True
    ) as watching:
        for event in map(json.loads, watching.stdout):
            say("watch", event["type"], event["object"]["metadata"]["name"], pairs(event["object"].get("data")))
            if event["type"] == "DELETED":
                watching.terminate()
                break


def patches():
    def patch(what, name, kind, body):
        return answer("patch", what, name, f"--type={kind}", "--patch", json.dumps(body))

    say("merge patch", pairs(patch("configmap", "list", "merge", {"data": {"milk": None, "tea": "2"}})["data"]))
    changes = [
        {"op": "test", "path": "/data/tea", "value": "2"},
        {"op": "replace", "path": "/data/tea", "value": "3"},
        {"op": "remove", "path": "/data/eggs"},
    ]
    say("json patch", pairs(patch("configmap", "list", "json", changes)["data"]))
    ports = [{"name": "http", "port": 80}]
    spec = {"clusterIP": "None", "ports": ports}
    create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec})
    patched = patch("service", "web", "strategic", {"spec": {"ports": [{"name": "https", "port": 443}]}})
    say("strategic merge patch", *sorted(port["name"] for port in patched["spec"]["ports"]))

    def apply(manager, *more):
        return ["apply", "--server-side", "-f", "-", f"--field-manager={manager}", *more]

    say("apply", pairs(answer(*apply("one"), body=config_map("applied", {"milk": "1"}))["data"]))
    second = config_map("applied", {"milk": "2"})
    say_refusal("apply conflicting", *apply("two"), body=second)
    forced = answer(*apply("two", "--force-conflicts"), "--show-managed-fields", body=second)
    managers = sorted(entry["manager"] for entry in forced["metadata"]["managedFields"])
    say("apply forced", pairs(forced["data"]), *managers)

    stale = answer("get", "configmap", "list")
    patch("configmap", "list", "merge", {"data": {"rice": "1"}})
    say_refusal("replace stale", "replace", "-f", "-", body=stale)
    fresh = answer("get", "configmap", "list")
    fresh["data"] = {"bread": "1"}
    say("replace", pairs(answer("replace", "-f", "-", body=fresh)["data"]))


def custom():
    number = {"type": "object", "properties": {"size": {"type": "integer", "maximum": 9}}}
    version = {
        "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": number, "status": number}}},
    }
    name = f"widgets.{GROUP}"
    create({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {
            "group": GROUP, "scope": "Namespaced", "versions": [version],
            "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        },
    })
    kubectl("wait", f"customresourcedefinition/{name}", "--for=condition=Established", BOUND)
    say("define", "Established")

    def widget(name, size):
        return {"apiVersion": f"{GROUP}/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}}

    def patch(size, status, *more):
        change = {"spec": {"size": size}, "status": {"size": status}}
        done = answer("patch", f"widgets.{GROUP}", "one", "--type=merge", "--patch", json.dumps(change), *more)
        return done["spec"]["size"], done["status"]["size"]

    say("create custom", create(widget("one", 3))["spec"]["size"])
    say_refusal("create custom invalid", "create", "-f", "-", body=widget("two", 10))
    say("status", *patch(4, 5, "--subresource=status"))
    say("spec", *patch(6, 7))
    kubectl("delete", "customresourcedefinition", name)


def owners():
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner"}
    for policy, end in [("Orphan", "MODIFIED"), ("Background", "DELETED")]:
        reference["uid"] = create(config_map("owner", {}))["metadata"]["uid"]
        name = f"owned-{policy.lower()}"
        create(config_map(name, {}, ownerReferences=[reference]))
        kubectl("delete", "configmap", "owner", f"--cascade={policy.lower()}", BOUND)
        if end == "DELETED":
            kubectl("wait", f"configmap/{name}", "--for=delete", BOUND)
            say(f"delete {policy}", "gone")
        else:
            owned = answer("get", "configmap", name)
            say(f"delete {policy}", "owners", len(owned["metadata"].get("ownerReferences", [])))


def pods():
    script = "echo serving; trap 'exit 0' TERM; while :; do sleep 1; done"
    container = {
        "name": "main", "image": "test/busybox:1", "imagePullPolicy": "Never", "command": ["sh", "-c", script],
    }
    spec = {"terminationGracePeriodSeconds": 5, "containers": [container]}
    create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": spec})
    kubectl("wait", "pod/pod", "--for=condition=Ready", BOUND)
    say("pod", answer("get", "pod", "pod")["status"]["phase"])
    say("log", kubectl("logs", "pod").strip())
    ran = run("exec", "pod", "--", "sh", "-c", "echo from inside; echo aside >&2; exit 3")
    say("exec", ran.stdout.strip(), "|", ran.stderr.splitlines()[0], "|", ran.returncode)
    kubectl("delete", "pod", "pod", BOUND)
    say_refusal("get deleted", "get", "pod", "pod")


def accounts():
    kubectl("create", "serviceaccount", "visitor")
    token = kubectl("create", "token", "visitor").strip()
    shown = json.loads(kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    # The certificate would speak louder than a token.
    shown["users"][0]["user"] = {"token": token}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "kubeconfig")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(shown, file)
        say_refusal("forbidden", "--kubeconfig", path, "get", "secrets")


for part in [objects, lists, watches, patches, custom, owners, pods, accounts]:
    part()
kubectl("delete", "namespace", NAMESPACE, "--wait=false")

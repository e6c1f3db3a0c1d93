//! What a pod may ask for beside the plain things: users of its own, volumes that are images, mounts that are read-only all the
//! way down, figures. And what is refused, with the code that containerd has for it. Needs root and busybox-static.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use minik_api::cri::*;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use support::{IMAGE, Node, archive, in_namespace, shell};
use tonic::Code;

const SITE: &str = "docker.io/library/site:test";
const WAIT: &str = "while true; do sleep 1; done";
/// A range of users that nobody on this host has.
const USERS: IdMapping = IdMapping {
    container_id: 0,
    host_id: 65_536,
    length: 65_536,
};

fn options(pod: &mut PodSandboxConfig) -> &mut NamespaceOption {
    let linux = pod.linux.get_or_insert_default();
    let context = linux.security_context.get_or_insert_default();
    context.namespace_options.get_or_insert_default()
}

fn with_users(mut pod: PodSandboxConfig, mode: NamespaceMode, mappings: &[IdMapping]) -> PodSandboxConfig {
    options(&mut pod).userns_options = Some(UserNamespace {
        mode: mode.into(),
        uids: mappings.to_vec(),
        gids: mappings.to_vec(),
    });
    pod
}

fn text(answer: &ExecSyncResponse) -> String {
    let err = String::from_utf8_lossy(&answer.stderr);
    format!("{}{err}", String::from_utf8_lossy(&answer.stdout))
}

async fn running(node: &mut Node, sandbox: &str, pod: &PodSandboxConfig, config: ContainerConfig) -> String {
    let id = node.create(sandbox, pod, config).await;
    node.start_container(&id).await;
    id
}

/// What a creation is refused with.
async fn refused(node: &mut Node, sandbox: &str, pod: &PodSandboxConfig, config: ContainerConfig) -> tonic::Status {
    let request = CreateContainerRequest {
        pod_sandbox_id: sandbox.to_owned(),
        config: Some(config),
        sandbox_config: Some(pod.clone()),
    };
    let created = node.runtime.create_container(request).await;
    created.expect_err("it is refused")
}

#[test]
fn a_pods_root_is_nobody_on_the_host() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let status = node
            .runtime
            .status(StatusRequest { verbose: false })
            .await
            .expect("Status")
            .into_inner();
        let features = status.runtime_handlers[0].features.expect("features");
        assert!(features.user_namespaces && features.recursive_read_only_mounts);
        let pod = with_users(node.pod("users"), NamespaceMode::Pod, &[USERS]);
        let sandbox = node.run_pod(&pod).await;
        let data = node.path("data");
        fs::create_dir(&data).expect("a volume");
        std::os::unix::fs::chown(&data, Some(0), Some(0)).expect("root's");
        let mut config = shell(
            "users",
            &format!("echo mine > /data/file; echo via > /dev/stdout; {WAIT}"),
        );
        config.mounts = vec![Mount {
            container_path: "/data".to_owned(),
            host_path: data.display().to_string(),
            uid_mappings: vec![USERS],
            gid_mappings: vec![USERS],
            ..Default::default()
        }];
        let id = running(&mut node, &sandbox, &pod, config).await;
        let seen = "cat /proc/self/uid_map; id -u; ls -ldn / /etc/hosts /dev/shm /data/file";
        let seen = text(&node.exec(&id, &["sh", "-c", seen]).await);
        let words: Vec<&str> = seen.split_whitespace().collect();
        assert_eq!(words[..4], ["0", "65536", "65536", "0"], "{seen}");
        let owners = seen
            .lines()
            .skip(2)
            .map(|line| line.split_whitespace().nth(2).unwrap_or_default());
        assert_eq!(owners.collect::<Vec<_>>(), ["0"; 4], "{seen}");
        // On the host: the process is nobody's, the volume's file is the container's root's by number.
        let status = node.runtime.container_status(ContainerStatusRequest {
            container_id: id.clone(),
            verbose: true,
        });
        let info = status.await.expect("ContainerStatus").into_inner().info;
        let info: serde_json::Value = serde_json::from_str(&info["info"]).expect("JSON");
        let process = fs::metadata(format!("/proc/{}", info["pid"])).expect("the process");
        assert_eq!((process.uid(), process.gid()), (65_536, 65_536));
        assert_eq!(fs::metadata(data.join("file")).expect("the file").uid(), 0);
        // What the image brought can be changed and removed, and the pod's own ports are its root's.
        let change = "echo x >> /etc/group && chown 7:8 /etc/group && ls -ln /etc/group && cat /etc/passwd > /dev/null; \
                      nc -l -p 80 -e echo bound & until nc 127.0.0.1 80 2> /dev/null; do :; done";
        let changed = text(&node.exec(&id, &["sh", "-c", change]).await);
        assert!(
            changed.contains(" 7        8 ") && changed.contains("bound"),
            "{changed}"
        );
        node.remove_pod(&sandbox).await;
        node.assert_no_pods_left();
        node.undo();
    });
}

#[test]
fn users_that_cannot_be_had_are_refused_before_anything_is_made() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let second = IdMapping {
            container_id: 65_536,
            ..USERS
        };
        let beyond = IdMapping {
            container_id: 1,
            ..USERS
        };
        for (name, mode, mappings) in [
            ("two", NamespaceMode::Pod, vec![USERS, second]),
            ("none", NamespaceMode::Pod, vec![]),
            ("beyond", NamespaceMode::Pod, vec![beyond]),
            ("container", NamespaceMode::Container, vec![]),
            ("target", NamespaceMode::Target, vec![]),
            ("node", NamespaceMode::Node, vec![USERS]),
        ] {
            let request = RunPodSandboxRequest {
                config: Some(with_users(node.pod(name), mode, &mappings)),
                runtime_handler: String::new(),
            };
            let error = node.runtime.run_pod_sandbox(request).await.expect_err(name);
            assert_eq!(error.code(), Code::InvalidArgument, "{name}: {error}");
        }
        node.assert_no_pods_left();
        let plain = with_users(node.pod("plain"), NamespaceMode::Node, &[]);
        let sandbox = node.run_pod(&plain).await;
        let mut config = shell("high", WAIT);
        let context = config
            .linux
            .get_or_insert_default()
            .security_context
            .get_or_insert_default();
        context.run_as_user = Some(Int64Value { value: 70_000 });
        let high = running(&mut node, &sandbox, &plain, config.clone()).await;
        assert_eq!(text(&node.exec(&high, &["id", "-u"]).await), "70000\n");
        let pod = with_users(node.pod("few"), NamespaceMode::Pod, &[USERS]);
        let sandbox = node.run_pod(&pod).await;
        let id = node.create(&sandbox, &pod, config).await;
        let start = node
            .runtime
            .start_container(StartContainerRequest { container_id: id })
            .await;
        let error = start.expect_err("there is no such user");
        assert!(error.message().contains("70000"), "{}", error.message());
        node.undo();
    });
}

#[test]
fn an_image_or_a_part_of_it_is_a_volume() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        node.import(archive::site(SITE)).await;
        let volume = |at: &str, image: &str, part: &str| Mount {
            container_path: at.to_owned(),
            image: Some(ImageSpec {
                image: image.to_owned(),
                ..Default::default()
            }),
            image_sub_path: part.to_owned(),
            ..Default::default()
        };
        for pod in [
            node.pod("plain"),
            with_users(node.pod("users"), NamespaceMode::Pod, &[USERS]),
        ] {
            let sandbox = node.run_pod(&pod).await;
            let mut config = shell("site", WAIT);
            config.mounts = vec![
                volume("/all", SITE, ""),
                volume("/part", SITE, "site"),
                volume("/one", IMAGE, ""),
                volume("/bin2", IMAGE, "bin"),
            ];
            let id = running(&mut node, &sandbox, &pod, config.clone()).await;
            let look = "cat /all/site/page /part/page; /one/bin/busybox echo one; /bin2/echo two; ls -ldn /all /one; \
                        for at in all part one bin2; do echo > /$at/new; done";
            let seen = text(&node.exec(&id, &["sh", "-c", look]).await);
            assert!(seen.starts_with("hello\nhello\none\ntwo\n"), "{seen}");
            assert_eq!(seen.matches(" 0        0 ").count(), 2, "{seen}");
            assert_eq!(seen.matches("Read-only file system").count(), 4, "{seen}");
            for (name, part) in [("absent", "nowhere"), ("out", "out")] {
                let mut config = shell(name, WAIT);
                config.mounts = vec![volume("/part", SITE, part)];
                let id = node.create(&sandbox, &pod, config).await;
                let start = node
                    .runtime
                    .start_container(StartContainerRequest {
                        container_id: id.clone(),
                    })
                    .await;
                // A link that leads out of the image leads to where the image itself has such a thing, never to the host's.
                assert_eq!(start.is_err(), part == "nowhere", "{part}: {start:?}");
                if part == "out" {
                    let group = text(&node.exec(&id, &["cat", "/part/group"]).await);
                    assert_eq!(group, "root:x:0:\nweb:x:1000:\n", "the image's, not the host's");
                }
            }
        }
        // It is in use: the name goes, the content stays until the last container does.
        let spec = ImageSpec {
            image: SITE.to_owned(),
            ..Default::default()
        };
        let remove = RemoveImageRequest { image: Some(spec) };
        node.images.remove_image(remove).await.expect("RemoveImage");
        let sandboxes = node
            .runtime
            .list_pod_sandbox(ListPodSandboxRequest { filter: None })
            .await
            .expect("list");
        for sandbox in sandboxes.into_inner().items {
            let filter = ContainerFilter {
                pod_sandbox_id: sandbox.id.clone(),
                ..Default::default()
            };
            let list = ListContainersRequest { filter: Some(filter) };
            let containers = node
                .runtime
                .list_containers(list)
                .await
                .expect("list")
                .into_inner()
                .containers;
            let site = containers
                .iter()
                .find(|one| one.metadata.as_ref().is_some_and(|known| known.name == "site"));
            let id = site.expect("the container").id.clone();
            assert_eq!(text(&node.exec(&id, &["cat", "/part/page"]).await), "hello\n");
            node.remove_pod(&sandbox.id).await;
        }
        let pod = node.pod("late");
        let sandbox = node.run_pod(&pod).await;
        let mut config = shell("late", WAIT);
        config.mounts = vec![volume("/all", SITE, "")];
        let error = refused(&mut node, &sandbox, &pod, config).await;
        assert_eq!(
            (error.code(), error.message().contains("site:test")),
            (Code::NotFound, true),
            "{error}"
        );
        node.undo();
    });
}

/// A directory with a tmpfs mounted below it, for as long as this lives.
struct Tree<'a>(&'a Path);

impl Tree<'_> {
    fn mount(path: &Path) -> Tree<'_> {
        fs::create_dir_all(path.join("below")).expect("directories");
        let flags = MsFlags::empty();
        mount(Some("tmpfs"), &path.join("below"), Some("tmpfs"), flags, None::<&str>).expect("mount a tmpfs");
        Tree(path)
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        let _ = umount2(&self.0.join("below"), MntFlags::MNT_DETACH);
    }
}

#[test]
fn mounts_are_read_only_as_far_down_as_is_asked() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("mounts");
        let sandbox = node.run_pod(&pod).await;
        let path = node.path("tree");
        let tree = Tree::mount(&path);
        let asked = |at: &str, recursive: bool| Mount {
            container_path: at.to_owned(),
            host_path: path.display().to_string(),
            readonly: true,
            recursive_read_only: recursive,
            mount_options: vec!["noexec".to_owned()],
            ..Default::default()
        };
        let mut config = shell("mounts", WAIT);
        config.mounts = vec![asked("/flat", false), asked("/deep", true)];
        let id = running(&mut node, &sandbox, &pod, config.clone()).await;
        let write = "echo > /flat/below/x && echo below is writable; echo > /flat/x; echo > /deep/below/x; \
                     grep -c noexec /proc/self/mountinfo > /dev/null; cat /proc/self/mounts | while read _ at _ how _; do \
                     [ $at = /flat ] && echo $how; done";
        let seen = text(&node.exec(&id, &["sh", "-c", write]).await);
        assert!(seen.contains("below is writable") && seen.contains("noexec"), "{seen}");
        assert_eq!(seen.matches("Read-only file system").count(), 2, "{seen}");
        config.metadata = Some(ContainerMetadata {
            name: "other".to_owned(),
            attempt: 0,
        });
        for change in [
            (|mount: &mut Mount| mount.readonly = false) as fn(&mut Mount),
            |mount| mount.set_propagation(MountPropagation::PropagationHostToContainer),
            |mount| mount.mount_options = vec!["exec".to_owned()],
        ] {
            let mut config = config.clone();
            change(&mut config.mounts[1]);
            let error = refused(&mut node, &sandbox, &pod, config).await;
            assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        }
        node.remove_pod(&sandbox).await;
        drop(tree);
        node.undo();
    });
}

#[test]
fn a_command_that_takes_too_long_ends_with_all_it_started() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("slow");
        let sandbox = node.run_pod(&pod).await;
        let id = running(&mut node, &sandbox, &pod, shell("slow", WAIT)).await;
        let request = ExecSyncRequest {
            container_id: id.clone(),
            cmd: ["sh", "-c", "sh -c 'sleep 4321; true' & sleep 4322; true"]
                .map(str::to_owned)
                .to_vec(),
            timeout: 1,
        };
        let error = node.runtime.exec_sync(request).await.expect_err("it takes too long");
        assert_eq!(error.code(), Code::DeadlineExceeded);
        let left = "for process in /proc/[0-9]*; do cat $process/cmdline; done";
        let left = text(&node.exec(&id, &["sh", "-c", left]).await);
        assert!(!left.contains("432"), "{left:?}");
        node.remove_pod(&sandbox).await;
        node.undo();
    });
}

#[test]
fn a_container_is_in_its_pods_namespaces() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let mut host = node.pod("host");
        options(&mut host).set_network(NamespaceMode::Node);
        let sandbox = node.run_pod(&host).await;
        // The container says nothing of the node's network; its pod does.
        let id = running(&mut node, &sandbox, &host, shell("host", WAIT)).await;
        let own = fs::read_link("/proc/thread-self/ns/net").expect("a namespace");
        let request = ContainerStatusRequest {
            container_id: id.clone(),
            verbose: true,
        };
        let info = node
            .runtime
            .container_status(request)
            .await
            .expect("ContainerStatus")
            .into_inner()
            .info;
        let info: serde_json::Value = serde_json::from_str(&info["info"]).expect("JSON");
        let namespace = fs::read_link(format!("/proc/{}/ns/net", info["pid"])).expect("a namespace");
        assert_eq!(namespace, own);

        let pod = node.pod("own");
        let sandbox = node.run_pod(&pod).await;
        let mut config = shell("spy", WAIT);
        let context = config
            .linux
            .get_or_insert_default()
            .security_context
            .get_or_insert_default();
        context.namespace_options = Some(NamespaceOption {
            pid: NamespaceMode::Target.into(),
            target_id: id,
            ..Default::default()
        });
        let error = refused(&mut node, &sandbox, &pod, config.clone()).await;
        assert!(error.message().contains("not running in this pod"), "{error}");
        let context = config
            .linux
            .get_or_insert_default()
            .security_context
            .get_or_insert_default();
        context.namespace_options = None;
        context.apparmor = Some(SecurityProfile {
            profile_type: security_profile::ProfileType::Localhost.into(),
            localhost_ref: "strict".to_owned(),
        });
        let error = refused(&mut node, &sandbox, &pod, config).await;
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        node.undo();
    });
}

#[test]
fn figures_have_the_names_that_dashboards_know() {
    in_namespace(|| async {
        let mut node = Node::start().await;
        let pod = node.pod("busy");
        let sandbox = node.run_pod(&pod).await;
        let id = running(&mut node, &sandbox, &pod, shell("busy", WAIT)).await;
        let descriptors = node
            .runtime
            .list_metric_descriptors(ListMetricDescriptorsRequest {})
            .await;
        let descriptors = descriptors.expect("ListMetricDescriptors").into_inner().descriptors;
        let metrics = node
            .runtime
            .list_pod_sandbox_metrics(ListPodSandboxMetricsRequest {})
            .await;
        let pods = metrics.expect("ListPodSandboxMetrics").into_inner().pod_metrics;
        assert_eq!((pods.len(), &pods[0].pod_sandbox_id), (1, &sandbox));
        let container = &pods[0].container_metrics[0];
        assert_eq!(container.container_id, id);
        let memory = container
            .metrics
            .iter()
            .find(|metric| metric.name == "container_memory_working_set_bytes");
        let memory = memory.expect("its memory");
        assert!(memory.value.is_some_and(|value| value.value > 0));
        let keys = &descriptors
            .iter()
            .find(|known| known.name == memory.name)
            .expect("a descriptor")
            .label_keys;
        let label = |key: &str| {
            keys.iter()
                .position(|known| known == key)
                .map(|at| memory.label_values[at].as_str())
        };
        assert_eq!(
            (label("pod"), label("container"), label("image")),
            (Some("busy"), Some("busy"), Some(IMAGE))
        );
        let network = pods[0]
            .metrics
            .iter()
            .any(|metric| metric.name == "container_network_receive_bytes_total");
        assert!(network, "the pod's network");
        let checkpoint = CheckpointContainerRequest {
            container_id: id,
            ..Default::default()
        };
        let error = node
            .runtime
            .checkpoint_container(checkpoint)
            .await
            .expect_err("there are none");
        assert_eq!(error.code(), Code::Unimplemented);
        node.undo();
    });
}

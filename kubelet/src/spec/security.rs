//! Security contexts: the pod's and the container's into the CRI's.
//!
//! Where a pod says nothing, it gets the runtime's default seccomp profile, and the paths of /proc and /sys that containers
//! have no business in are masked or read-only.

use k8s_openapi::api::core::v1::{self as core, Container, PodSecurityContext, SecurityContext};
use minik_api::cri::{
    Capability, Int64Value, LinuxContainerSecurityContext, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption,
    SeLinuxOption, SecurityProfile, UserNamespace, security_profile::ProfileType,
};

use crate::pod::Pod;

const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The container would run as root though it says that it must not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RootUser {
    /// `runAsUser: 0` beside `runAsNonRoot: true`.
    #[error("container's runAsUser breaks non-root policy: runAsNonRoot is true and runAsUser is 0")]
    Asked,
    /// The image's user is root.
    #[error("container has runAsNonRoot and image will run as root: set runAsUser, or use an image with a USER")]
    Image,
    /// The image's user is a name.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({0}), cannot verify user is non-root: set runAsUser"
    )]
    Name(String),
}

/// The sandbox's.
pub(crate) fn sandbox(pod: &Pod, users: Option<UserNamespace>) -> LinuxSandboxSecurityContext {
    let context = pod.spec.security_context.clone().unwrap_or_default();
    let is_privileged = pod
        .all_containers()
        .any(|container| own(container).privileged == Some(true));
    LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(pod, users)),
        selinux_options: context.se_linux_options.as_ref().map(selinux),
        run_as_user: context.run_as_user.map(|value| Int64Value { value }),
        run_as_group: context.run_as_group.map(|value| Int64Value { value }),
        supplemental_groups: groups(&context),
        privileged: is_privileged,
        seccomp: Some(profile(None, context.seccomp_profile.as_ref(), false)),
        ..Default::default()
    }
}

/// A container's; it sees the processes of the container `target_id`, if there is one.
pub(crate) fn container(
    pod: &Pod,
    container: &Container,
    target_id: Option<String>,
    users: Option<UserNamespace>,
) -> LinuxContainerSecurityContext {
    let pods = pod.spec.security_context.clone().unwrap_or_default();
    let own = own(container);
    let privileged = own.privileged == Some(true);
    let open_proc = privileged || own.proc_mount.as_deref() == Some("Unmasked");
    let paths = |paths: &[&str]| {
        if open_proc {
            Vec::new()
        } else {
            paths.iter().map(|path| (*path).to_owned()).collect()
        }
    };
    let capabilities = own.capabilities.clone().unwrap_or_default();
    LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: capabilities.add.unwrap_or_default(),
            drop_capabilities: capabilities.drop.unwrap_or_default(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(aimed(namespaces(pod, users), target_id)),
        selinux_options: own
            .se_linux_options
            .as_ref()
            .or(pods.se_linux_options.as_ref())
            .map(selinux),
        run_as_user: own.run_as_user.or(pods.run_as_user).map(|value| Int64Value { value }),
        run_as_group: own.run_as_group.or(pods.run_as_group).map(|value| Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups(&pods),
        supplemental_groups_policy: i32::from(pods.supplemental_groups_policy.as_deref() == Some("Strict")),
        no_new_privs: own.allow_privilege_escalation == Some(false) && !privileged,
        masked_paths: paths(&MASKED),
        readonly_paths: paths(&READ_ONLY),
        seccomp: Some(profile(
            own.seccomp_profile.as_ref(),
            pods.seccomp_profile.as_ref(),
            privileged,
        )),
        apparmor: app_armor(own.app_armor_profile.as_ref().or(pods.app_armor_profile.as_ref())),
        ..Default::default()
    }
}

/// Whether the container must be shown not to run as root, and the user is left to the image.
pub(crate) fn must_check_image_user(pod: &Pod, container: &Container) -> Result<bool, RootUser> {
    let pods = pod.spec.security_context.clone().unwrap_or_default();
    let own = own(container);
    if own.run_as_non_root.or(pods.run_as_non_root) != Some(true) {
        return Ok(false);
    }
    match own.run_as_user.or(pods.run_as_user) {
        Some(0) => Err(RootUser::Asked),
        Some(_) => Ok(false),
        None => Ok(true),
    }
}

/// Checks the user of an image whose container must not run as root.
pub(crate) fn check_image_user(image: &minik_api::cri::Image) -> Result<(), RootUser> {
    match (&image.uid, image.username.as_str()) {
        (Some(uid), _) if uid.value == 0 => Err(RootUser::Image),
        (Some(_), _) => Ok(()),
        (None, "") => Err(RootUser::Image),
        (None, name) => Err(RootUser::Name(name.to_owned())),
    }
}

fn own(container: &Container) -> SecurityContext {
    container.security_context.clone().unwrap_or_default()
}

fn namespaces(pod: &Pod, users: Option<UserNamespace>) -> NamespaceOption {
    let node_or = |is_host: Option<bool>, otherwise: NamespaceMode| {
        if is_host == Some(true) {
            NamespaceMode::Node
        } else {
            otherwise
        }
    };
    let pid = match pod.spec.share_process_namespace {
        Some(true) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    };
    NamespaceOption {
        network: node_or(pod.spec.host_network, NamespaceMode::Pod).into(),
        pid: node_or(pod.spec.host_pid, pid).into(),
        ipc: node_or(pod.spec.host_ipc, NamespaceMode::Pod).into(),
        userns_options: users,
        ..Default::default()
    }
}

/// A pod whose processes all see each other needs no target.
fn aimed(namespaces: NamespaceOption, target_id: Option<String>) -> NamespaceOption {
    match target_id {
        Some(target_id) if namespaces.pid == i32::from(NamespaceMode::Container) => NamespaceOption {
            pid: NamespaceMode::Target.into(),
            target_id,
            ..namespaces
        },
        _ => namespaces,
    }
}

fn groups(context: &PodSecurityContext) -> Vec<i64> {
    let mut groups = context.supplemental_groups.clone().unwrap_or_default();
    groups.extend(context.fs_group.filter(|group| !groups.contains(group)));
    groups
}

fn profile(
    own: Option<&core::SeccompProfile>,
    pods: Option<&core::SeccompProfile>,
    privileged: bool,
) -> SecurityProfile {
    let of = |kind: ProfileType, localhost: Option<&String>| SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: localhost.cloned().unwrap_or_default(),
    };
    match own.or(pods) {
        // A privileged container is not filtered, whatever is asked: so does Kubernetes.
        _ if privileged => of(ProfileType::Unconfined, None),
        Some(profile) => match profile.type_.as_str() {
            "Unconfined" => of(ProfileType::Unconfined, None),
            "Localhost" => of(ProfileType::Localhost, profile.localhost_profile.as_ref()),
            _ => of(ProfileType::RuntimeDefault, None),
        },
        None => of(ProfileType::RuntimeDefault, None),
    }
}

fn app_armor(profile: Option<&core::AppArmorProfile>) -> Option<SecurityProfile> {
    let profile = profile?;
    let kind = match profile.type_.as_str() {
        "Unconfined" => ProfileType::Unconfined,
        "Localhost" => ProfileType::Localhost,
        _ => ProfileType::RuntimeDefault,
    };
    Some(SecurityProfile {
        profile_type: kind.into(),
        localhost_ref: profile.localhost_profile.clone().unwrap_or_default(),
    })
}

fn selinux(options: &core::SELinuxOptions) -> SeLinuxOption {
    SeLinuxOption {
        user: options.user.clone().unwrap_or_default(),
        role: options.role.clone().unwrap_or_default(),
        r#type: options.type_.clone().unwrap_or_default(),
        level: options.level.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::pod::testing::pod;

    fn context(spec: serde_json::Value) -> LinuxContainerSecurityContext {
        let pod = pod(spec);
        container(&pod, &pod.containers()[0], None, None)
    }

    #[test]
    fn a_plain_container_is_confined() {
        let context = context(json!({"containers": [{"name": "a"}]}));
        let seccomp = context.seccomp.expect("always set");
        assert_eq!(seccomp.profile_type(), ProfileType::RuntimeDefault);
        assert!(context.masked_paths.contains(&"/proc/kcore".to_owned()));
        assert!(!context.privileged && !context.no_new_privs);
    }

    #[test]
    fn a_privileged_one_is_not() {
        let context = context(json!({"containers": [{"name": "a", "securityContext": {"privileged": true}}]}));
        let seccomp = context.seccomp.expect("always set");
        assert_eq!(seccomp.profile_type(), ProfileType::Unconfined);
        assert!(context.masked_paths.is_empty() && context.readonly_paths.is_empty());
    }

    #[test]
    fn the_containers_word_goes_before_the_pods() {
        let context = context(json!({
            "securityContext": {"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]},
            "containers": [{"name": "a", "securityContext": {"runAsUser": 9}}]}));
        assert_eq!(context.run_as_user.map(|user| user.value), Some(9));
        assert_eq!(context.run_as_group.map(|group| group.value), Some(2));
        assert_eq!(context.supplemental_groups, [4, 3]);
    }

    #[test]
    fn root_is_refused_where_it_is_ruled_out() {
        let zero =
            pod(json!({"containers": [{"name": "a", "securityContext": {"runAsNonRoot": true, "runAsUser": 0}}]}));
        assert_eq!(
            must_check_image_user(&zero, &zero.containers()[0]),
            Err(RootUser::Asked)
        );
        let open = pod(json!({"securityContext": {"runAsNonRoot": true}, "containers": [{"name": "a"}]}));
        assert_eq!(must_check_image_user(&open, &open.containers()[0]), Ok(true));
        let image = |uid: Option<i64>, username: &str| minik_api::cri::Image {
            uid: uid.map(|value| Int64Value { value }),
            username: username.into(),
            ..Default::default()
        };
        assert_eq!(check_image_user(&image(Some(0), "")), Err(RootUser::Image));
        assert_eq!(check_image_user(&image(None, "")), Err(RootUser::Image));
        assert_eq!(check_image_user(&image(None, "www")), Err(RootUser::Name("www".into())));
        assert_eq!(check_image_user(&image(Some(101), "")), Ok(()));
    }
}

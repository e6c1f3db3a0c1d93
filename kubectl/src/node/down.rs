//! `minikctl down`: stops pods and programs and undoes what they made in the kernel; the data stays, unless `--purge`.
//!
//! The order matters: the kubelet goes first (or it would start pods again), the runtime's own clean-up stops the pods and
//! takes back network, mounts and cgroups by its records; then whatever is still mounted below our directories goes. Only
//! directories that carry this instance's mark are removed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use nix::mount::{MntFlags, umount2};

use super::instance::Instance;
use super::kubeconfig::{KubeconfigError, Target};
use super::privilege::{self, NotRoot};
use super::progress::Progress;
use super::supervisor::control::{Connection, Message, Request, What};
use super::supervisor::{self, SupervisorError};

/// What `down` is asked for.
#[derive(Clone, Debug)]
pub struct DownOptions {
    /// Which node.
    pub instance: Instance,
    /// Remove its data and its kubeconfig context, too.
    pub purge: bool,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Down {
    /// Whether a supervisor ran before.
    pub ran: bool,
}

/// Why something is left.
#[derive(Debug, thiserror::Error)]
pub enum DownError {
    /// It needs root.
    #[error(transparent)]
    NotRoot(#[from] NotRoot),
    /// The supervisor's socket doesn't work.
    #[error("cannot talk to the supervisor on {}", socket.display())]
    Control {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Programs of a killed supervisor don't end.
    #[error(transparent)]
    Supervisor(#[from] SupervisorError),
    /// The runtime could not take everything back.
    #[error("cannot undo what the runtime made")]
    Runtime(#[source] anyhow::Error),
    /// A directory isn't marked as this instance's.
    #[error(
        "{} is not removed: it has no instance.json of instance {name:?}, so it may be somebody else's.\n\
         If it is a leftover of minik, remove it by hand",
        dir.display()
    )]
    NotOurs {
        /// Which directory.
        dir: PathBuf,
        /// The instance that was meant.
        name: String,
    },
    /// Something below a directory is still mounted; removing would reach through it.
    #[error("{} is still mounted and in use; {} is not removed. `fuser -vm` on it names the processes", mount.display(), dir.display())]
    Mounted {
        /// The mount point.
        mount: PathBuf,
        /// What was to be removed.
        dir: PathBuf,
    },
    /// A directory can't be removed.
    #[error("cannot remove {}", dir.display())]
    Remove {
        /// Which directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The user's kubeconfig can't be cleaned.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
}

/// Stops the node.
///
/// # Errors
/// When something could not be taken back; what could, is.
pub async fn down(options: &DownOptions, progress: &Progress) -> Result<Down, DownError> {
    let instance = &options.instance;
    privilege::require_root("down", instance)?;
    let ran = stop_programs(instance, progress).await?;
    supervisor::leftovers_gone(instance).await?;
    let began = Instant::now();
    progress.doing("stopping pods");
    if instance.data_dir.join("runtime").exists() || instance.run_dir.join("runtime").exists() {
        super::undo::pods(instance).await.map_err(DownError::Runtime)?;
        progress.done("pods stopped, network and cgroups taken back", began.elapsed());
    }
    if instance.runtime_endpoint.is_some() {
        super::undo::cgroup(instance);
    }
    unmount_below(&[&instance.run_dir, &instance.data_dir]);
    remove(instance, &instance.run_dir)?;
    if options.purge {
        progress.doing("removing the data");
        let began = Instant::now();
        let target = Target::find(instance.kubeconfig.as_deref())?;
        if target.remove(&instance.context)? {
            progress.done(
                format_args!("context {} removed from {}", instance.context, target.path.display()),
                began.elapsed(),
            );
        }
        let began = Instant::now();
        instance.forget();
        remove(instance, &instance.data_dir)?;
        progress.done(format_args!("{} removed", instance.data_dir.display()), began.elapsed());
    }
    progress.finish();
    Ok(Down { ran })
}

async fn stop_programs(instance: &Instance, progress: &Progress) -> Result<bool, DownError> {
    let socket = instance.supervisor_socket();
    let control = |source| DownError::Control {
        socket: socket.clone(),
        source,
    };
    let Some(mut connection) = Connection::open(&socket, Request::Stop).await.map_err(control)? else {
        return Ok(false);
    };
    let began = Instant::now();
    progress.doing("stopping programs");
    while let Some(message) = connection.next().await.map_err(control)? {
        if let Message::Phase(phase) = message
            && phase.what == What::Stopped
        {
            progress.doing(format_args!("{} stopped", phase.program));
        }
    }
    progress.done("programs stopped", began.elapsed());
    Ok(true)
}

/// Takes away every mount below `dirs`, the innermost first. What is busy is detached and goes with its last user.
fn unmount_below(dirs: &[&Path]) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for mount in mount_points_below(&mounts, dirs).into_iter().rev() {
        if let Err(error) = umount2(&mount, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW) {
            tracing::debug!(mount = %mount.display(), %error, "not unmounted");
        }
    }
}

/// Mount points strictly below `dirs`, in the order in which they were mounted: proc_pid_mountinfo(5), fifth field.
fn mount_points_below(mountinfo: &str, dirs: &[&Path]) -> Vec<PathBuf> {
    let points = mountinfo
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(|field| PathBuf::from(unescaped(field)));
    points
        .filter(|point| dirs.iter().any(|dir| point.starts_with(dir) && point != dir))
        .collect()
}

/// The kernel writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescaped(field: &str) -> String {
    let mut text = field.to_owned();
    for (code, character) in [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")] {
        text = text.replace(code, character);
    }
    text
}

fn remove(instance: &Instance, dir: &Path) -> Result<(), DownError> {
    if !dir.exists() {
        return Ok(());
    }
    if !instance.owns(dir) {
        return Err(DownError::NotOurs {
            dir: dir.to_owned(),
            name: instance.name.clone(),
        });
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    if let Some(mount) = mount_points_below(&mounts, &[dir]).into_iter().next() {
        return Err(DownError::Mounted {
            mount,
            dir: dir.to_owned(),
        });
    }
    fs::remove_dir_all(dir).map_err(|source| DownError::Remove {
        dir: dir.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_below_our_directories_are_taken_away() {
        let mountinfo = "\
22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:30 / /run/minik/default rw - tmpfs tmpfs rw
31 22 0:31 / /run/minik/default/runtime/a\\040b rw - tmpfs tmpfs rw
32 22 0:32 / /run/minik/default2/x rw - tmpfs tmpfs rw
33 22 0:33 / /var/lib/minik/default/kubelet/pods/1/token rw - tmpfs tmpfs rw
";
        let below = mount_points_below(
            mountinfo,
            &[Path::new("/run/minik/default"), Path::new("/var/lib/minik/default")],
        );
        assert_eq!(
            below,
            [
                Path::new("/run/minik/default/runtime/a b"),
                Path::new("/var/lib/minik/default/kubelet/pods/1/token")
            ]
        );
    }

    #[test]
    fn a_directory_without_our_mark_is_never_removed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let overrides = crate::node::instance::Overrides {
            data_dir: Some(dir.path().join("data")),
            run_dir: Some("/run/minik-test".into()),
            ..Default::default()
        };
        let instance = Instance::resolve("unmarked", &overrides).expect("resolves");
        fs::create_dir(&instance.data_dir).expect("writable");
        fs::write(instance.data_dir.join("thesis.txt"), "years of work").expect("writable");
        assert!(matches!(
            remove(&instance, &instance.data_dir),
            Err(DownError::NotOurs { .. })
        ));
        fs::write(
            instance.data_dir.join("instance.json"),
            serde_json::to_vec(&instance).expect("plain data"),
        )
        .expect("writable");
        remove(&instance, &instance.data_dir).expect("it is marked now");
        assert!(!instance.data_dir.exists());
    }
}

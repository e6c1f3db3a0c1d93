//! A bundle's root filesystem mounted where the whole host sees it, for OCI runtimes of others: they expect it to be there.
//! Our own launch mounts it in the container's mount namespace alone.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;

use nix::mount::{MntFlags, umount2};
use oci_spec::runtime::Spec;

use super::plan::{PlanError, rootfs, users};
use super::report::{Failure, InStep};
use super::steps::mounts;

/// What went wrong with a root filesystem.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// config.json doesn't say what to mount.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It can't be mounted.
    #[error(transparent)]
    Mount(#[from] Failure),
}

/// Mounts the layers of a bundle at its `rootfs`; nothing is to be done for a bundle that brings a plain directory.
///
/// The process's working directory is the root afterwards.
///
/// # Errors
/// As [`MountError`] says.
pub fn mount(spec: &Spec, bundle: &Path) -> Result<(), MountError> {
    let plan = rootfs(spec, bundle)?;
    if plan.overlay.is_some() {
        let users = users(spec)?.map(|(path, _)| File::open(&path).step("open namespace", &path));
        let users = users.transpose()?;
        let mounted = mounts::root(&plan, users.as_ref().map(AsFd::as_fd)).map(drop);
        nix::unistd::chdir("/").step("enter", "/")?;
        mounted?;
    }
    Ok(())
}

/// Takes it away; fine when it isn't there.
pub fn unmount(bundle: &Path) {
    // EINVAL: not a mount point; ENOENT: never made.
    while umount2(&bundle.join("rootfs"), MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
}

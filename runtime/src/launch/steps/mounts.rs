//! Root filesystem, mounts and pivot_root.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::Mode;
use nix::unistd::{chdir, fchdir, pivot_root};

use super::copy_up;
use super::resolve::{self, Missing};
use crate::launch::plan::{BindPlan, MountPlan, NewMountPlan, Overlay, Plan, RootfsPlan};
use crate::launch::report::{Failure, InStep};
use crate::sys::mounts::{MountAttributes, attribute, mount_setattr, move_mount, new_mount, open_tree, open_tree_of};

/// Copies the trees to bind while the host's mounts are still peers of ours: only then can a mount made in the container
/// reach the host (Bidirectional), and one made on the host the container (HostToContainer).
///
/// For a container in a user namespace, what only the host's root can make or map is opened here, too.
pub(crate) fn open_sources(
    mounts: &[MountPlan],
    mappings: &[Option<OwnedFd>],
    users: Option<BorrowedFd<'_>>,
) -> Result<Vec<Option<OwnedFd>>, Failure> {
    let open = |bind: &BindPlan, mapping: Option<BorrowedFd<'_>>| {
        let tree = match &bind.sub_path {
            None => open_tree(&bind.source, bind.recursive).step("open mount source", lossy(&bind.source))?,
            Some(sub_path) => part(lossy(&bind.source), sub_path, bind.recursive)?,
        };
        let set = |attributes, recursive| set_attributes(&tree, attributes, recursive);
        set(&bind.attributes, false)
            .and_then(|()| set(&bind.recursive_attributes, true))
            .step("set mount attributes", lossy(&bind.source))?;
        if let Some(users) = mapping.or(users.filter(|_| bind.idmapped)) {
            map_owners(&tree, users, bind.maps_below).step("map owners of", lossy(&bind.source))?;
        }
        Ok(tree)
    };
    let mappings = mappings.iter().map(|fd| fd.as_ref().map(AsFd::as_fd));
    mounts
        .iter()
        .zip(mappings.chain(std::iter::repeat(None)))
        .map(|(mount, mapping)| match mount {
            MountPlan::Bind(bind) => open(bind, mapping).map(Some),
            MountPlan::New(new) if users.is_some() && new.is_of_host() => make(new).map(Some),
            MountPlan::New(_) | MountPlan::Layers(_) => Ok(None),
        })
        .collect()
}

/// Mounts what volumes show of images, one after the other where the root will be, and keeps each aside.
pub(crate) fn open_layers(
    mounts: &[MountPlan],
    sources: &mut [Option<OwnedFd>],
    target: &Path,
    users: Option<BorrowedFd<'_>>,
) -> Result<(), Failure> {
    for (plan, source) in mounts.iter().zip(sources) {
        let MountPlan::Layers(layers) = plan else { continue };
        mount_overlay(&layers.overlay, target, users)?;
        let sub_path = layers.sub_path.as_deref().unwrap_or(Path::new(""));
        let tree = part(target, sub_path, false)?;
        set_attributes(&tree, &layers.attributes, false).step("set mount attributes", &layers.destination)?;
        *source = Some(tree);
        // The view of the mapped layers is below it.
        while umount2(target, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW).is_ok() {}
    }
    Ok(())
}

/// A copy of the mount of a part of `source`. No link in there leads out of it.
fn part(source: &Path, sub_path: &Path, recursive: bool) -> Result<OwnedFd, Failure> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let whole = nix::fcntl::open(source, flags, Mode::empty()).step("open mount source", source)?;
    let part = resolve::open(whole.as_fd(), sub_path).step("open subPath", sub_path)?;
    open_tree_of(part.as_fd(), recursive).step("open subPath", sub_path)
}

/// A filesystem that can't do it says `EINVAL`: 9p, NFS and FUSE among others (mount_setattr(2)).
fn map_owners(tree: &OwnedFd, users: BorrowedFd<'_>, recursive: bool) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set: attribute::IDMAP,
        userns_fd: users.as_raw_fd().cast_unsigned().into(),
        ..MountAttributes::default()
    };
    mount_setattr(tree.as_fd(), &attributes, recursive)
}

/// Nothing that is mounted from here on may reach the host, unless it was asked for.
pub(crate) fn propagate(asked: u64) -> Result<(), Failure> {
    let flags = match MsFlags::from_bits_truncate(asked) {
        none if none.is_empty() => MsFlags::MS_SLAVE | MsFlags::MS_REC,
        asked => asked,
    };
    mount(None::<&str>, "/", None::<&str>, flags, None::<&str>).step("set propagation of the host's mounts", "/")
}

/// pivot_root(2) wants private mounts, so a root that is to be anything else becomes so afterwards.
pub(crate) fn propagate_root(asked: u64) -> Result<(), Failure> {
    let asked = MsFlags::from_bits_truncate(asked);
    if !asked.intersects(MsFlags::MS_SHARED | MsFlags::MS_UNBINDABLE) {
        return Ok(());
    }
    mount(None::<&str>, "/", None::<&str>, asked, None::<&str>).step("set propagation of the root", "/")
}

/// Mounts the root filesystem in this mount namespace alone, and opens it.
pub(crate) fn root(plan: &RootfsPlan, users: Option<BorrowedFd<'_>>) -> Result<OwnedFd, Failure> {
    let target = plan.target.as_path();
    if let Some(overlay) = &plan.overlay {
        mount_overlay(overlay, target, users)?;
    } else {
        // pivot_root(2) wants a mount point.
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(target), target, None::<&str>, flags, None::<&str>).step("bind rootfs", target)?;
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(target, flags, Mode::empty()).step("open rootfs", target)
}

/// Neither the new root nor what it is mounted on may be shared when the roots are exchanged (pivot_root(2)).
pub(crate) fn make_exchangeable(root: &OwnedFd, plan: &Plan) -> Result<(), Failure> {
    if plan.propagation & MsFlags::MS_SHARED.bits() == 0 {
        return Ok(());
    }
    let target = plan.rootfs.target.as_path();
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let parent = nix::fcntl::openat(root, "..", flags, Mode::empty()).step("open parent of rootfs", target)?;
    make_private(root, target)?;
    let below = mount_above(parent).step("find the mount below rootfs", target)?;
    make_private(&below, target)
}

fn make_private(mount: &OwnedFd, thing: &Path) -> Result<(), Failure> {
    let private = MountAttributes {
        propagation: MsFlags::MS_PRIVATE.bits(),
        ..MountAttributes::default()
    };
    set_attributes(mount, &private, false).step("make rootfs private", thing)
}

/// The root of the mount that a directory lies in: the last one on the way up that is on the same mount.
fn mount_above(directory: OwnedFd) -> Result<OwnedFd, Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut here = directory;
    loop {
        let above = nix::fcntl::openat(&here, "..", flags, Mode::empty())?;
        let (own, other) = (mount_id(&here)?, mount_id(&above)?);
        let top = nix::sys::stat::fstat(&here)?.st_ino == nix::sys::stat::fstat(&above)?.st_ino;
        if own != other || top {
            return Ok(here);
        }
        here = above;
    }
}

/// From /proc/self/fdinfo, where each descriptor's mount stands.
fn mount_id(fd: &OwnedFd) -> Result<String, Errno> {
    let path = format!("/proc/self/fdinfo/{}", std::os::fd::AsRawFd::as_raw_fd(fd));
    let text = std::fs::read_to_string(path).map_err(|_| Errno::ENOENT)?;
    let line = text.lines().find_map(|line| line.strip_prefix("mnt_id:"));
    Ok(line.unwrap_or_default().trim().to_owned())
}

fn mount_overlay(overlay: &Overlay, target: &Path, users: Option<BorrowedFd<'_>>) -> Result<(), Failure> {
    match users.filter(|_| overlay.idmapped) {
        Some(users) => enter_mapped(&overlay.directory, target, users)?,
        None => chdir(&overlay.directory).step("enter the layers' directory", &overlay.directory)?,
    }
    let options = Some(overlay.options.as_c_str());
    mount(Some("overlay"), target, Some("overlay"), MsFlags::empty(), options).step("mount overlay", target)
}

/// Enters a view of the layers whose owners are the container's. It is mounted where the root will be, on top of it: the
/// kernel takes layers only from mounts of this namespace.
fn enter_mapped(layers: &Path, target: &Path, users: BorrowedFd<'_>) -> Result<(), Failure> {
    let path = CString::new(layers.as_os_str().as_encoded_bytes());
    let path = path.map_err(|_| Failure::new("open layers", layers.to_string_lossy(), Errno::EINVAL))?;
    let tree = open_tree(&path, false).step("open layers", layers)?;
    map_owners(&tree, users, false).step("map owners of", layers)?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let at = nix::fcntl::open(target, flags, Mode::empty()).step("open rootfs", target)?;
    move_mount(tree.as_fd(), at.as_fd()).step("mount layers", target)?;
    fchdir(&tree).step("enter the layers' directory", layers)
}

/// Attaches all mounts beneath the root, in their order.
pub(crate) fn attach(root: BorrowedFd<'_>, mounts: &[MountPlan], sources: Vec<Option<OwnedFd>>) -> Result<(), Failure> {
    let mut to_seal = Vec::new();
    for (plan, source) in mounts.iter().zip(sources) {
        let destination = plan.destination();
        let (tree, missing) = match (plan, source) {
            (MountPlan::Bind(_) | MountPlan::Layers(_), Some(tree)) => {
                let directory = resolve::is_directory(&tree).step("inspect source of mount", destination)?;
                (tree, if directory { Missing::Directory } else { Missing::File })
            }
            (MountPlan::New(_), Some(tree)) => (tree, Missing::Directory),
            (MountPlan::New(new), None) => (make(new)?, Missing::Directory),
            (MountPlan::Bind(_) | MountPlan::Layers(_), None) => unreachable!("each has been opened"),
        };
        let target = resolve::open_or_make(root, destination, missing).step("make mount point", destination)?;
        if matches!(plan, MountPlan::New(new) if new.is_of_kernel()) {
            // Whoever looks for /proc has to find the kernel's, whatever a link says later (CVE-2023-27561).
            resolve::open_plain(root, destination, OFlag::O_PATH)
                .step("mount on what has to be an ordinary directory", destination)?;
        }
        if matches!(plan, MountPlan::New(new) if new.copy_up) {
            copy_up::copy(target.as_fd(), tree.as_fd()).step("copy up what is covered", destination)?;
        }
        move_mount(tree.as_fd(), target.as_fd()).step("mount", destination)?;
        if matches!(plan, MountPlan::New(new) if new.seal) {
            to_seal.push((tree, destination));
        }
    }
    let readonly = MountAttributes {
        set: attribute::RDONLY,
        ..MountAttributes::default()
    };
    let seal = |(tree, path): (OwnedFd, &Path)| set_attributes(&tree, &readonly, false).step("make read-only", path);
    to_seal.into_iter().try_for_each(seal)
}

fn make(new: &NewMountPlan) -> Result<OwnedFd, Failure> {
    let options: Vec<_> = new
        .options
        .iter()
        .map(|(key, value)| (key.as_c_str(), value.as_deref()))
        .collect();
    let thing = new.destination.as_path();
    let tree = new_mount(&new.filesystem, &options, new.attributes).step("create filesystem for", thing)?;
    let propagation = MountAttributes {
        propagation: new.propagation,
        ..MountAttributes::default()
    };
    set_attributes(&tree, &propagation, false).step("set mount attributes", thing)?;
    Ok(tree)
}

fn set_attributes(tree: &OwnedFd, attributes: &MountAttributes, recursive: bool) -> Result<(), Errno> {
    if *attributes == MountAttributes::default() {
        return Ok(());
    }
    mount_setattr(tree.as_fd(), attributes, recursive)
}

/// Makes `root` the root of this mount namespace and takes the old one away.
///
/// Both arguments of pivot_root may be the same directory: the old root is then mounted over the new one and can be taken
/// away without a directory in the image to put it (pivot_root(2), "pivot_root(".", ".")").
pub(crate) fn pivot(root: &OwnedFd) -> Result<(), Failure> {
    fchdir(root).step("enter rootfs", "/")?;
    pivot_root(".", ".").step("pivot_root", ".")?;
    umount2(".", MntFlags::MNT_DETACH).step("unmount the host's root", ".")?;
    chdir("/").step("enter the new root", "/")
}

/// Makes `root` the root where pivot_root(2) refuses, as on the initial ramdisk: moved over `/`, with the old root beneath.
pub(crate) fn move_root(root: &OwnedFd) -> Result<(), Failure> {
    fchdir(root).step("enter rootfs", "/")?;
    mount(Some("."), "/", None::<&str>, MsFlags::MS_MOVE, None::<&str>).step("move rootfs to", "/")?;
    nix::unistd::chroot(".").step("chroot", ".")?;
    chdir("/").step("enter the new root", "/")
}

/// Makes the root mount read-only, and leaves those on top of it as they are.
pub(crate) fn root_read_only() -> Result<(), Failure> {
    let readonly = MountAttributes {
        set: attribute::RDONLY,
        ..MountAttributes::default()
    };
    let root = resolve::current_root().step("open the root", "/")?;
    mount_setattr(root.as_fd(), &readonly, false).step("make the root read-only", "/")
}

fn lossy(path: &std::ffi::CStr) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()))
}

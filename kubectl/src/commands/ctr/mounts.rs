//! `ctr image mount` and `unmount`: the runtime keeps the layers, this process mounts them, as containerd's client does.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use minik_api::images::{MountAnswer, MountRequest, UnmountRequest};
use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::Client;

#[derive(Args, Debug)]
pub(super) struct Mount {
    #[arg(value_name = "REF")]
    image: String,
    #[arg(value_name = "TARGET")]
    target: String,
    /// With a writable layer on top.
    #[arg(long)]
    rw: bool,
    #[arg(long, hide = true)]
    platform: Option<String>,
}

#[derive(Args, Debug)]
pub(super) struct Unmount {
    #[arg(value_name = "TARGET")]
    target: String,
    /// Let the layers go, too.
    #[arg(long)]
    rm: bool,
}

impl Mount {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let target = std::path::absolute(&self.target)?;
        let path = target.to_string_lossy().into_owned();
        anyhow::ensure!(target.is_dir(), "{path}: no such directory");
        let request = MountRequest {
            namespace: client.namespace.clone(),
            image: self.image,
            target: path.clone(),
            writable: self.rw,
        };
        let answer = client.runtime.images().mount(request).await?.into_inner();
        if let Err(error) = mount_at(&answer, &target) {
            // What was kept for it is let go again.
            let _ = client.runtime.images().unmount(UnmountRequest { target: path }).await;
            return Err(error);
        }
        let mut out = anstream::stdout();
        writeln!(out, "{}\n{path}", answer.chain)?;
        Ok(())
    }
}

/// overlayfs takes a single read-only layer only with another one: that is a bind mount.
fn mount_at(answer: &MountAnswer, target: &Path) -> anyhow::Result<()> {
    let failed = || format!("mount the image at {}", target.display());
    if let ([only], "") = (answer.lower.as_slice(), answer.upper.as_str()) {
        let flags = MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        let none = None::<&str>;
        mount(Some(only.as_str()), target, none, flags, none).with_context(failed)?;
        return mount(none, target, none, flags | MsFlags::MS_REMOUNT, none)
            .inspect_err(|_| {
                let _ = umount2(target, MntFlags::MNT_DETACH);
            })
            .with_context(failed);
    }
    let mut options = format!("lowerdir={}", answer.lower.join(":"));
    let mut flags = MsFlags::empty();
    if answer.upper.is_empty() {
        flags |= MsFlags::MS_RDONLY;
    } else {
        options += &format!(",upperdir={},workdir={}", answer.upper, answer.work);
    }
    let overlay = Some("overlay");
    mount(overlay, target, overlay, flags, Some(options.as_str())).with_context(failed)
}

impl Unmount {
    pub(super) async fn run(self, client: &Client) -> anyhow::Result<()> {
        let target = std::path::absolute(&self.target)?;
        let path = target.to_string_lossy().into_owned();
        match umount2(&target, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) => {}
            // Not mounted: what is left is to let the layers go.
            Err(nix::errno::Errno::EINVAL | nix::errno::Errno::ENOENT) if self.rm => {}
            Err(errno) => return Err(errno).with_context(|| format!("unmount {path}")),
        }
        if self.rm {
            let request = UnmountRequest { target: path.clone() };
            client.runtime.images().unmount(request).await?;
        }
        writeln!(anstream::stdout(), "{path}")?;
        Ok(())
    }
}

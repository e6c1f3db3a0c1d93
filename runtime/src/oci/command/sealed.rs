//! Before anything of a container is touched, this program is executed anew from where containers can't write to it.
//!
//! On its way into a container a process is still this program, and an image can make it execute `/proc/self/exe`: either way
//! code in a container may open our executable file and, as root, replace the host's copy (CVE-2019-5736). So it is executed
//! from a detached, read-only mount of itself, or, by who may not mount, from a sealed copy in memory.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::fexecve;

use super::CommandError;
use crate::launch::executable;

const OWN: &str = "/proc/self/exe";

/// Returns when the program that runs can't be written to; else it begins again from its sealed self.
pub(super) fn ensure() -> Result<(), CommandError> {
    let failed = CommandError::file("seal", OWN);
    if is_sealed().unwrap_or(false) {
        return Ok(());
    }
    let sealed = executable::sealed(Path::new(OWN))
        .or_else(|_| in_memory())
        .map_err(failed)?;
    let strings = |all: Vec<std::ffi::OsString>| -> Vec<CString> {
        all.into_iter()
            .filter_map(|text| CString::new(text.into_vec()).ok())
            .collect()
    };
    let line = strings(std::env::args_os().collect());
    let env = strings(
        std::env::vars_os()
            .map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                name
            })
            .collect(),
    );
    match fexecve(sealed, &line, &env) {
        Err(errno) => Err(CommandError::file("execute the sealed copy of", OWN)(errno.into())),
        Ok(never) => match never {},
    }
}

fn is_sealed() -> io::Result<bool> {
    if statvfs(OWN)?.flags().contains(FsFlags::ST_RDONLY) {
        return Ok(true);
    }
    let own = File::open(OWN)?;
    let seals = fcntl(&own, FcntlArg::F_GET_SEALS).unwrap_or(0);
    Ok(SealFlag::from_bits_truncate(seals).contains(SealFlag::F_SEAL_WRITE))
}

fn in_memory() -> io::Result<OwnedFd> {
    let copy = memfd_create(c"minirunc", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    let mut target = File::from(copy);
    io::copy(&mut File::open(OWN)?, &mut target)?;
    let seals = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&target, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(target.into())
}

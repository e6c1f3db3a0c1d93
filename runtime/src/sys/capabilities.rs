//! Capability sets: capset(2), and the bounding and ambient sets by prctl(2).

use nix::errno::Errno;

use super::check;

const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Sets the calling thread's effective, permitted and inheritable sets; bit n is capability number n.
///
/// # Errors
/// `EPERM` when a set is larger than the kernel allows.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let data = [half(0), half(32)];
    // SAFETY: version 3 means a header and two data elements, which is what both pointers point to.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// The calling thread's permitted set.
///
/// # Errors
/// None that can be expected.
pub fn permitted() -> Result<u64, Errno> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 means that the kernel fills two data elements, which is what there are.
    check(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    Ok(u64::from(data[0].permitted) | u64::from(data[1].permitted) << 32)
}

/// Whether a capability is in the bounding set; `EINVAL` when the kernel doesn't know it.
///
/// # Errors
/// `EINVAL` for a number above the kernel's last capability.
pub fn bounding_has(capability: u32) -> Result<bool, Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(capability), 0, 0, 0) }.into())
        .map(|v| v == 1)
}

/// Removes a capability from the bounding set.
///
/// # Errors
/// `EPERM` without CAP_SETPCAP.
pub fn bounding_drop(capability: u32) -> Result<(), Errno> {
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(capability), 0, 0, 0) }.into()).map(drop)
}

/// Adds a capability to the ambient set.
///
/// # Errors
/// `EPERM` when it is not both permitted and inheritable.
pub fn ambient_raise(capability: u32) -> Result<(), Errno> {
    let raise = libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong;
    // SAFETY: integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, raise, libc::c_ulong::from(capability), 0, 0) }.into()).map(drop)
}

//! Extended attributes, xattr(7): of the path itself, never of what a last symbolic link points at.

use std::ffi::CStr;
use std::io;

/// lsetxattr(2): creates or replaces one attribute.
///
/// # Errors
/// The system call's: `ENOTSUP` where the file system has none of this namespace, `EPERM` without the capability for it.
pub fn set(path: &CStr, name: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: both strings end with NUL and outlive the call; the kernel reads exactly value.len() bytes of value.
    let result = unsafe { libc::lsetxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    if result == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// lgetxattr(2): the attribute's value, none if the path has no such attribute.
///
/// # Errors
/// The system call's, but `ENODATA`.
pub fn get(path: &CStr, name: &CStr) -> io::Result<Option<Vec<u8>>> {
    let read = |buffer: &mut [u8]| {
        // SAFETY: both strings end with NUL and outlive the call; the kernel writes at most buffer.len() bytes.
        unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    };
    match grow_until_it_fits(read) {
        Err(error) if error.raw_os_error() == Some(libc::ENODATA) => Ok(None),
        other => other.map(Some),
    }
}

/// llistxattr(2): the names of all attributes, each ended by NUL, one after the other.
///
/// # Errors
/// The system call's.
pub fn list(path: &CStr) -> io::Result<Vec<u8>> {
    grow_until_it_fits(|buffer| {
        // SAFETY: the path ends with NUL and outlives the call; the kernel writes at most buffer.len() bytes.
        unsafe { libc::llistxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    })
}

/// The attribute may grow between asking for its size and reading it, hence a loop: `ERANGE` asks again.
fn grow_until_it_fits(read: impl Fn(&mut [u8]) -> isize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 256];
    loop {
        if let Ok(length) = usize::try_from(read(&mut buffer)) {
            buffer.truncate(length);
            return Ok(buffer);
        }
        let error = io::Error::last_os_error();
        // XATTR_SIZE_MAX is 64 KiB: nothing larger exists.
        if error.raw_os_error() != Some(libc::ERANGE) || buffer.len() > 64 * 1024 {
            return Err(error);
        }
        buffer.resize(buffer.len() * 4, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn what_is_set_is_read_and_listed() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = CString::new(file.path().as_os_str().as_bytes()).expect("no NUL in a path");
        assert_eq!(get(&path, c"trusted.minik").expect("read"), None);
        let long = vec![7; 1000];
        set(&path, c"trusted.minik", &long).expect("needs root and a file system with extended attributes");
        assert_eq!(get(&path, c"trusted.minik").expect("read"), Some(long));
        assert!(
            list(&path)
                .expect("list")
                .split(|b| *b == 0)
                .any(|name| name == b"trusted.minik")
        );
    }
}

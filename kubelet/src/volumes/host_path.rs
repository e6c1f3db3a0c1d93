//! `hostPath`: a path of the host, checked or made as its type says.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use k8s_openapi::api::core::v1::HostPathVolumeSource;

use super::VolumeError;
use super::files::{directory, making};

/// Checks the type, or makes what is to be made.
pub(crate) fn check(source: &HostPathVolumeSource) -> Result<(), VolumeError> {
    let path = Path::new(&source.path);
    let found = fs::metadata(path).ok().map(|metadata| metadata.file_type());
    let is = |test: fn(&fs::FileType) -> bool| found.as_ref().is_some_and(test);
    let wanted = match source.type_.as_deref() {
        None | Some("") => return Ok(()),
        Some("DirectoryOrCreate") if found.is_none() => return directory(path, 0o755),
        Some("FileOrCreate") if found.is_none() => {
            let made = OpenOptions::new().create_new(true).write(true).open(path);
            return made.map(drop).map_err(making(path));
        }
        Some("Directory" | "DirectoryOrCreate") => ("directory", is(fs::FileType::is_dir)),
        Some("File" | "FileOrCreate") => ("file", is(fs::FileType::is_file)),
        Some("Socket") => ("socket", is(FileTypeExt::is_socket)),
        Some("CharDevice") => ("character device", is(FileTypeExt::is_char_device)),
        Some("BlockDevice") => ("block device", is(FileTypeExt::is_block_device)),
        Some(_) => ("known type", false),
    };
    match wanted {
        (_, true) => Ok(()),
        (wanted, false) => Err(VolumeError::HostPathType {
            path: source.path.clone(),
            wanted,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_as(path: &Path, kind: &str) -> Result<(), VolumeError> {
        check(&HostPathVolumeSource {
            path: path.to_string_lossy().into_owned(),
            type_: Some(kind.into()),
        })
    }

    #[test]
    fn types_are_checked_and_made() {
        let root = tempfile::tempdir().expect("a temporary directory");
        assert!(check_as(root.path(), "Directory").is_ok());
        assert!(check_as(root.path(), "File").is_err());
        let fresh = root.path().join("a/b");
        assert!(check_as(&fresh, "Directory").is_err());
        assert!(check_as(&fresh, "DirectoryOrCreate").is_ok() && fresh.is_dir());
        let file = fresh.join("c");
        assert!(check_as(&file, "FileOrCreate").is_ok() && file.is_file());
        assert!(check_as(&file, "").is_ok());
        assert!(check_as(Path::new("/dev/null"), "CharDevice").is_ok());
        let error = check_as(&file, "Socket").expect_err("a file");
        assert!(error.to_string().ends_with("is not a socket"), "{error}");
    }
}

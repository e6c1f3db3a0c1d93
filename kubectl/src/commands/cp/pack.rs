//! A file or folder of this machine as a tar stream for a container.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Writes `from` under the name `name`: folders with what is in them, symbolic links as such.
///
/// # Errors
/// Those of reading the files and of writing the stream.
pub fn pack(from: &Path, name: &Path, out: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(out);
    archive.follow_symlinks(false);
    // The path that the user named may itself be a link: what is meant is behind it.
    let from = fs::canonicalize(from)?;
    append(&mut archive, &from, name)?;
    archive.into_inner()?.flush()
}

fn append(archive: &mut tar::Builder<impl Write>, path: &Path, name: &Path) -> io::Result<()> {
    let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let metadata = fs::symlink_metadata(path).map_err(at)?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        archive.append_dir(name, path).map_err(at)?;
        let mut entries = fs::read_dir(path)
            .map_err(at)?
            .collect::<io::Result<Vec<_>>>()
            .map_err(at)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            append(archive, &entry.path(), &name.join(entry.file_name()))?;
        }
        return Ok(());
    }
    if kind.is_file() || kind.is_symlink() {
        return archive.append_path_with_name(path, name).map_err(at);
    }
    // A socket, a pipe or a device means nothing elsewhere.
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn folders_go_with_what_is_in_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join("d").join(name);
        fs::create_dir_all(at("sub")).expect("a folder");
        fs::create_dir(at("empty")).expect("a folder");
        fs::write(at("sub/f"), "text").expect("a file");
        symlink("/etc/passwd", at("link")).expect("a link");
        let mut stream = Vec::new();
        pack(&folder.path().join("d"), Path::new("e"), &mut stream).expect("packed");
        let mut archive = tar::Archive::new(stream.as_slice());
        let names: Vec<String> = archive
            .entries()
            .expect("a stream")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let name = entry.path().expect("a name").display().to_string();
                match entry.link_name().expect("a name") {
                    Some(to) => format!("{name} -> {}", to.display()),
                    None => name,
                }
            })
            .collect();
        let names: Vec<&str> = names.iter().map(|name| name.trim_end_matches('/')).collect();
        assert_eq!(names, ["e", "e/empty", "e/link -> /etc/passwd", "e/sub", "e/sub/f"]);
    }
}

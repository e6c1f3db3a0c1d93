//! A container's tar stream into files of this machine. The container may be hostile, and its tar with it.
//!
//! Nothing is written outside the destination (CVE-2019-1002101, CVE-2019-11246): every name must begin with what was asked
//! for, have no `..` behind it, and lead over no symbolic link below the destination; links, devices and pipes are left out;
//! of the permissions only those for reading, writing and executing are kept.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use tar::EntryType;

/// Writes what the stream has below `prefix` to `to`. `hint` tells the user how to get what is left out.
///
/// # Errors
/// When the stream is no tar, has names that were not asked for, or a file can't be written.
pub fn unpack(stream: impl Read, prefix: &[String], to: &Path, hint: &str) -> anyhow::Result<()> {
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().context("the container's tar stream can't be read")? {
        let mut entry = entry.context("the container's tar stream can't be read")?;
        let name = entry
            .path()
            .context("the tar stream has a name that is none")?
            .into_owned();
        let path = match beneath(&name, prefix) {
            Named::Asked(rest) => rest,
            Named::Outside => {
                warn(&format!("file {name:?} is outside target destination, skipping"));
                continue;
            }
            Named::Unasked => bail!("tar contents corrupted: nobody asked for {name:?}"),
        };
        let file = if path.as_os_str().is_empty() {
            to.to_owned()
        } else {
            to.join(&path)
        };
        match entry.header().entry_type() {
            EntryType::Directory => {
                make_folders(to, &path)?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                match (path.parent(), to.parent()) {
                    (Some(folders), _) => make_folders(to, folders)?,
                    // The destination is the file itself.
                    (None, Some(folder)) if !folder.as_os_str().is_empty() => make_folders(folder, Path::new(""))?,
                    (None, _) => {}
                }
                let mode = entry.header().mode().unwrap_or(0o644) & 0o777;
                write(&mut entry, &file, mode, !path.as_os_str().is_empty())
                    .with_context(|| format!("open {}", file.display()))?;
            }
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name().ok().flatten().unwrap_or_default().into_owned();
                warn(&format!("skipping symlink: {file:?} -> {target:?} ({hint})"));
            }
            _ => warn(&format!("skipping special file: {file:?}")),
        }
    }
    Ok(())
}

/// What a name in the stream is.
#[derive(Debug, PartialEq)]
enum Named {
    /// Asked for; this is what it is called below that.
    Asked(PathBuf),
    /// It would lead out of the destination.
    Outside,
    /// Something else than what was asked for.
    Unasked,
}

/// What a name is, seen from what was asked for. Pure.
fn beneath(name: &Path, prefix: &[String]) -> Named {
    let mut parts = Vec::new();
    for component in name.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Named::Outside,
        }
    }
    let asked = parts.len() >= prefix.len() && parts.iter().zip(prefix).all(|(part, wanted)| *part == wanted.as_str());
    if !asked {
        return Named::Unasked;
    }
    Named::Asked(parts[prefix.len()..].iter().collect())
}

/// Makes the folders of `path` below `to`, and refuses one that is a link to somewhere else.
fn make_folders(to: &Path, path: &Path) -> anyhow::Result<()> {
    let mut folder = to.to_owned();
    fs::create_dir_all(&folder).with_context(|| format!("mkdir {}", folder.display()))?;
    for part in path.components() {
        folder.push(part);
        match fs::symlink_metadata(&folder) {
            Ok(metadata) if metadata.is_symlink() => {
                bail!("{} is a symbolic link: nothing is written through it", folder.display())
            }
            Ok(metadata) if !metadata.is_dir() => bail!("mkdir {}: not a directory", folder.display()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir(&folder).with_context(|| format!("mkdir {}", folder.display()))?;
            }
            Err(error) => return Err(error).with_context(|| folder.display().to_string()),
        }
    }
    Ok(())
}

/// Writes one file; what the user named itself may be a link, what the stream names may not.
fn write(entry: &mut impl Read, file: &Path, mode: u32, below: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    if below {
        options.custom_flags(libc::O_NOFOLLOW);
    }
    let mut out = options.open(file)?;
    io::copy(entry, &mut out)?;
    out.flush()
}

fn warn(text: &str) {
    // Nothing can be said when stderr is gone.
    let _ = writeln!(anstream::stderr(), "warning: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    /// A stream of (name, type, content or link's target); names are written as they are, which no honest tar does.
    fn stream(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o6755);
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            let body = if is_link { "" } else { content };
            header.set_size(u64::try_from(body.len()).expect("short"));
            header.as_gnu_mut().expect("a GNU header").name[..name.len()].copy_from_slice(name.as_bytes());
            if is_link {
                header.as_gnu_mut().expect("a GNU header").linkname[..content.len()]
                    .copy_from_slice(content.as_bytes());
            }
            header.set_cksum();
            archive
                .append(&header, body.as_bytes())
                .expect("a vector takes everything");
        }
        archive.into_inner().expect("a vector takes everything")
    }

    fn prefix(path: &str) -> Vec<String> {
        super::super::place::prefix(path)
    }

    #[test]
    fn files_arrive_where_they_were_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let to = folder.path().join("not/yet");
        let bytes = stream(&[
            ("tmp/d/", EntryType::Directory, ""),
            ("tmp/d/f", EntryType::Regular, "text"),
            ("tmp/d/sub/g", EntryType::Regular, "more"),
        ]);
        unpack(bytes.as_slice(), &prefix("/tmp/d"), &to, "").expect("unpacked");
        assert_eq!(fs::read_to_string(to.join("f")).expect("there"), "text");
        assert_eq!(fs::read_to_string(to.join("sub/g")).expect("there"), "more");
        let mode = fs::metadata(to.join("f")).expect("there").permissions().mode();
        assert_eq!(mode & 0o7000, 0, "nobody becomes root by a copied file");

        let one = stream(&[("etc/hosts", EntryType::Regular, "hosts")]);
        let file = folder.path().join("new/hosts");
        unpack(one.as_slice(), &prefix("/etc/hosts"), &file, "").expect("unpacked");
        assert_eq!(fs::read_to_string(file).expect("there"), "hosts");
    }

    #[test]
    fn nothing_is_written_outside() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to, outside) = (folder.path().join("to"), folder.path().join("outside"));
        fs::create_dir(&outside).expect("a folder");
        let target = outside.to_string_lossy().into_owned();
        let file = format!("{target}/file");
        for entries in [
            // CVE-2018-1002100: names that climb.
            vec![("d/../../outside/file", EntryType::Regular, "x")],
            // CVE-2019-1002101, CVE-2019-11246: a link first, then a file through it.
            vec![
                ("d/link", EntryType::Symlink, target.as_str()),
                ("d/link/file", EntryType::Regular, "x"),
            ],
            vec![
                ("d/link", EntryType::Symlink, file.as_str()),
                ("d/link", EntryType::Regular, "x"),
            ],
            vec![
                ("d/hard", EntryType::Link, file.as_str()),
                ("d/hard", EntryType::Regular, "x"),
            ],
            vec![("d/pipe", EntryType::Fifo, ""), ("d/null", EntryType::Char, "")],
        ] {
            let _ = unpack(stream(&entries).as_slice(), &prefix("d"), &to, "");
            let written = fs::read_dir(&outside).expect("a folder").count();
            assert_eq!(written, 0, "{entries:?}");
        }
        let links = fs::read_dir(&to).expect("a folder").flatten();
        assert!(
            links
                .into_iter()
                .all(|entry| !entry.file_type().expect("a type").is_symlink())
        );
    }

    #[test]
    fn links_that_were_there_are_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (to, outside) = (folder.path().join("to"), folder.path().join("outside"));
        fs::create_dir(&outside).expect("a folder");
        fs::create_dir(&to).expect("a folder");
        symlink(&outside, to.join("folder")).expect("a link");
        symlink(outside.join("file"), to.join("file")).expect("a link");
        for name in ["d/folder/file", "d/file"] {
            let bytes = stream(&[(name, EntryType::Regular, "x")]);
            assert!(unpack(bytes.as_slice(), &prefix("d"), &to, "").is_err(), "{name}");
        }
        assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0);
    }

    #[test]
    fn what_nobody_asked_for_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = stream(&[("other/file", EntryType::Regular, "x")]);
        let error = unpack(bytes.as_slice(), &prefix("/d"), folder.path(), "").expect_err("refused");
        assert!(error.to_string().contains("tar contents corrupted"), "{error}");
        assert!(
            unpack(
                &b"not a tar at all, but long enough to be read as one"[..],
                &prefix("d"),
                folder.path(),
                ""
            )
            .is_err()
        );
    }
}

//! Writes a volume's files so that a reader sees all of the old or all of the new ones.
//!
//! The files lie in a directory of their own, `..TIME`; `..data` is a symlink to it and each visible name one to
//! `..data/NAME`. A change makes a new directory and swaps the one symlink by rename(2), which is atomic.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use jiff::Timestamp;

use super::VolumeError;
use super::files::{directory, give_to_group, making};
use super::payload::Payload;

const DATA: &str = "..data";

/// Makes the volume's content what the payload says. Does nothing if it is that already.
pub(crate) fn write(volume: &Path, payload: &Payload, group: Option<i64>) -> Result<(), VolumeError> {
    if is_current(&volume.join(DATA), payload) {
        return Ok(());
    }
    let name = format!("..{}", Timestamp::now().as_nanosecond());
    let fresh = volume.join(&name);
    directory(&fresh, 0o755)?;
    fill(&fresh, payload, group)?;
    let before = fs::read_link(volume.join(DATA)).ok();
    swap(volume, &name).map_err(making(volume))?;
    show(volume, payload).map_err(making(volume))?;
    if let Some(before) = before {
        // A reader that still holds a file of it open keeps that.
        fs::remove_dir_all(volume.join(before)).map_err(making(volume))?;
    }
    Ok(())
}

/// Whether the files below `data` are exactly these.
fn is_current(data: &Path, payload: &Payload) -> bool {
    let is_same =
        |path: &String, file: &super::payload::File| fs::read(data.join(path)).is_ok_and(|known| known == file.content);
    let shown = fs::read_dir(data).map(|entries| {
        entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect()
    });
    let wanted: BTreeSet<String> = payload.keys().map(|path| top(path).to_owned()).collect();
    shown.is_ok_and(|shown: BTreeSet<String>| shown == wanted) && payload.iter().all(|(path, file)| is_same(path, file))
}

fn fill(into: &Path, payload: &Payload, group: Option<i64>) -> Result<(), VolumeError> {
    for (path, file) in payload {
        let path = into.join(path);
        if let Some(parent) = path.parent().filter(|parent| *parent != into) {
            directory(parent, 0o755)?;
        }
        // A group of its own must be able to read what it was given.
        let mode = if group.is_some() { file.mode | 0o040 } else { file.mode };
        let make = || {
            fs::write(&path, &file.content)?;
            fs::set_permissions(&path, Permissions::from_mode(mode))?;
            group.map_or(Ok(()), |group| give_to_group(&path, group))
        };
        make().map_err(making(&path))?;
    }
    Ok(())
}

fn swap(volume: &Path, name: &str) -> io::Result<()> {
    let beside = volume.join("..data_tmp");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(name, &beside)?;
    fs::rename(&beside, volume.join(DATA))
}

/// Brings the visible names in line with the payload.
fn show(volume: &Path, payload: &Payload) -> io::Result<()> {
    let wanted: BTreeSet<&str> = payload.keys().map(|path| top(path)).collect();
    for name in &wanted {
        let link = volume.join(name);
        if link.symlink_metadata().is_err() {
            symlink(Path::new(DATA).join(name), link)?;
        }
    }
    for entry in fs::read_dir(volume)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !wanted.contains(name.as_str()) {
            fs::remove_file(volume.join(name))?;
        }
    }
    Ok(())
}

/// The first part of a path.
fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::super::payload::File;
    use super::*;

    fn payload(files: &[(&str, &str)]) -> Payload {
        let file = |content: &str| File {
            mode: 0o640,
            content: content.into(),
        };
        files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), file(content)))
            .collect()
    }

    fn visible(volume: &Path) -> Vec<String> {
        let names = fs::read_dir(volume).expect("the volume is there");
        let mut names: Vec<String> = names
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.retain(|name| !name.starts_with(".."));
        names.sort();
        names
    }

    #[test]
    fn files_change_names_vanish_and_modes_hold() {
        let volume = tempfile::tempdir().expect("a temporary directory");
        let volume = volume.path();
        write(volume, &payload(&[("a", "1"), ("d/e", "2")]), None).expect("written");
        assert_eq!(visible(volume), ["a", "d"]);
        assert_eq!(fs::read_to_string(volume.join("d/e")).expect("a file"), "2");
        let mode = fs::metadata(volume.join("a")).expect("a file").permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);

        write(volume, &payload(&[("a", "3")]), None).expect("written again");
        assert_eq!(visible(volume), ["a"]);
        assert_eq!(fs::read_to_string(volume.join("a")).expect("a file"), "3");
        assert_eq!(
            fs::read_dir(volume).expect("there").count(),
            3,
            "..data, its directory and a"
        );
    }

    #[test]
    fn nothing_is_touched_when_nothing_changed() {
        let volume = tempfile::tempdir().expect("a temporary directory");
        write(volume.path(), &payload(&[("a", "1")]), None).expect("written");
        let before = fs::read_link(volume.path().join(DATA)).expect("a link");
        write(volume.path(), &payload(&[("a", "1")]), None).expect("kept");
        assert_eq!(fs::read_link(volume.path().join(DATA)).expect("a link"), before);
    }
}

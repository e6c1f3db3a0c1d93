//! Why execve failed, in words: which file was not there, and what is nearest to it.
//!
//! It runs in the child after the failure, inside the container's root, where all paths mean what the user means. It only
//! reads, and a directory that can't be read just isn't considered.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::plan::ProcessPlan;
use super::report::Failure;

/// Longest first line of a script that the kernel reads (binfmt_script).
const FIRST_LINE: usize = 256;

pub(super) fn explain(process: &ProcessPlan, errno: Errno) -> Failure {
    let command = process
        .argv
        .first()
        .map(|arg| arg.to_string_lossy().into_owned())
        .unwrap_or_default();
    let candidates: Vec<PathBuf> = process
        .candidates
        .iter()
        .map(|c| PathBuf::from(OsStr::from_bytes(c.to_bytes())))
        .collect();
    let mut failure = Failure::new("execve", command.as_str(), errno);
    failure.reason = reason(&command, &candidates, errno, Path::new("/"));
    failure
}

/// `root` stands for `/`, so that a test can bring its own.
fn reason(command: &str, candidates: &[PathBuf], errno: Errno, root: &Path) -> String {
    let within = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    let existing = candidates.iter().find(|candidate| within(candidate).exists());
    match (errno, existing) {
        (Errno::ENOENT, Some(file)) => match interpreter(&within(file)) {
            Some(interpreter) => {
                format!(
                    "no such file or directory: {} is there, but its interpreter {interpreter} is not",
                    file.display()
                )
            }
            None => format!("no such file or directory, although {} is there", file.display()),
        },
        (Errno::ENOENT | Errno::ENOTDIR, None) => missing(command, candidates, &within),
        (Errno::EACCES, Some(file)) => {
            let kind = if within(file).is_dir() {
                "is a directory"
            } else {
                "is not executable for this user"
            };
            format!("permission denied: {} {kind}", file.display())
        }
        (Errno::ENOEXEC, Some(file)) => format!("exec format error: {} {}", file.display(), format_of(&within(file))),
        _ => format!("{} ({errno:?})", errno.desc()),
    }
}

fn missing(command: &str, candidates: &[PathBuf], within: &dyn Fn(&Path) -> PathBuf) -> String {
    let directories: Vec<&Path> = candidates.iter().filter_map(|candidate| candidate.parent()).collect();
    let name = Path::new(command)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let names = directories.iter().flat_map(|dir| {
        let entries = std::fs::read_dir(within(dir)).into_iter().flatten().flatten();
        entries.map(|entry| dir.join(entry.file_name())).collect::<Vec<_>>()
    });
    let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let distance = |path: &PathBuf| strsim::osa_distance(&name, &file_name(path));
    let nearest = names.map(|path| (distance(&path), path)).min();
    let hint = match nearest {
        // Further than a third of its letters away is another word.
        Some((distance, path)) if distance <= name.len() / 3 => format!("; did you mean {}?", path.display()),
        _ => String::new(),
    };
    if command.contains('/') {
        format!("no such file or directory{hint}")
    } else {
        let searched: Vec<_> = directories.iter().map(|dir| dir.to_string_lossy()).collect();
        format!("executable file not found in $PATH ({}){hint}", searched.join(":"))
    }
}

/// The interpreter that a file names: a script's `#!` line, or an ELF program's PT_INTERP.
fn interpreter(file: &Path) -> Option<String> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(64 * 1024).read_to_end(&mut head).ok()?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = &line[..line.len().min(FIRST_LINE)];
        let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let text = String::from_utf8_lossy(line);
        let name = text
            .trim_matches([' ', '\t'])
            .split([' ', '\t'])
            .next()
            .unwrap_or_default();
        return Some(name.replace(
            '\r',
            "\\r (the line ends as on Windows; save the script with UNIX line ends)",
        ));
    }
    elf_interpreter(&head)
}

/// Reads PT_INTERP of a 64-bit little-endian ELF file (elf(5)); all offsets come from outside, so none is trusted.
fn elf_interpreter(head: &[u8]) -> Option<String> {
    const PT_INTERP: u32 = 3;
    let number = |at: usize, length: usize| {
        let bytes = head.get(at..at.checked_add(length)?)?;
        Some(
            bytes
                .iter()
                .rev()
                .fold(0_u64, |value, byte| value << 8 | u64::from(*byte)),
        )
    };
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let table = usize::try_from(number(32, 8)?).ok()?;
    let (size, count) = (
        usize::try_from(number(54, 2)?).ok()?,
        usize::try_from(number(56, 2)?).ok()?,
    );
    let entries = (0..count).filter_map(|index| table.checked_add(index.checked_mul(size)?));
    let found = entries
        .into_iter()
        .find(|at| number(*at, 4) == Some(u64::from(PT_INTERP)))?;
    let offset = usize::try_from(number(found + 8, 8)?).ok()?;
    let length = usize::try_from(number(found + 32, 8)?).ok()?;
    let text = head.get(offset..offset.checked_add(length)?)?;
    Some(String::from_utf8_lossy(text).trim_end_matches('\0').to_owned())
}

fn format_of(file: &Path) -> String {
    let mut head = [0; 20];
    let read = File::open(file).and_then(|mut file| file.read_exact(&mut head));
    if read.is_err() || &head[..4] != b"\x7fELF" {
        return "is neither a program nor a script that begins with #!".to_owned();
    }
    let machine = match u16::from_le_bytes([head[18], head[19]]) {
        3 => "i386",
        40 => "arm",
        62 => "x86_64",
        183 => "aarch64",
        243 => "riscv64",
        _ => "another architecture",
    };
    format!(
        "is a program for {machine}, and this machine is {}",
        std::env::consts::ARCH
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(command: &str, files: &[(&str, &[u8])], errno: Errno) -> String {
        let root = tempfile::tempdir().expect("a temporary directory");
        std::fs::create_dir_all(root.path().join("usr/bin")).expect("a directory");
        for (path, content) in files {
            std::fs::write(root.path().join(path), content).expect("a file");
        }
        let path = if command.contains('/') {
            command.to_owned()
        } else {
            format!("/usr/bin/{command}")
        };
        reason(command, &[PathBuf::from(path)], errno, root.path())
    }

    #[test]
    fn a_missing_command_names_the_nearest() {
        let text = explained("ngnix", &[("usr/bin/nginx", b""), ("usr/bin/ls", b"")], Errno::ENOENT);
        assert_eq!(
            text,
            "executable file not found in $PATH (/usr/bin); did you mean /usr/bin/nginx?"
        );
        let text = explained("python", &[("usr/bin/nginx", b"")], Errno::ENOENT);
        assert_eq!(text, "executable file not found in $PATH (/usr/bin)");
        let text = explained("/usr/bin/ngnix", &[("usr/bin/nginx", b"")], Errno::ENOENT);
        assert_eq!(text, "no such file or directory; did you mean /usr/bin/nginx?");
    }

    #[test]
    fn a_missing_interpreter_is_told_from_a_missing_command() {
        let text = explained("run", &[("usr/bin/run", b"#!/bin/bash -e\necho\n")], Errno::ENOENT);
        assert!(text.contains("its interpreter /bin/bash is not"), "{text}");
        let text = explained("run", &[("usr/bin/run", b"#!/bin/sh\r\necho\r\n")], Errno::ENOENT);
        assert!(text.contains("UNIX line ends"), "{text}");
        let shell = std::fs::read("/bin/sh").expect("a dynamically linked shell");
        let text = explained("run", &[("usr/bin/run", &shell)], Errno::ENOENT);
        assert!(text.contains("its interpreter /lib"), "{text}");
    }

    #[test]
    fn a_file_that_is_no_program_is_told() {
        let text = explained("run", &[("usr/bin/run", b"echo hello")], Errno::ENOEXEC);
        assert!(text.contains("neither a program nor a script"), "{text}");
        let text = explained("run", &[("usr/bin/run", b"echo hello")], Errno::EACCES);
        assert!(text.contains("not executable"), "{text}");
    }

    #[test]
    fn a_cut_program_is_survived() {
        let shell = std::fs::read("/bin/sh").expect("a dynamically linked shell");
        for length in 0..200 {
            let _ = elf_interpreter(&shell[..length]);
        }
        let mut hostile = shell[..64].to_vec();
        hostile[32..64].fill(0xff);
        assert_eq!(elf_interpreter(&hostile), None);
    }
}

//! Stand-ins for Docker Hub's images where it can't be reached: the same programs from the distribution's own packages.
//!
//! mmdebstrap unpacks the packages from the mirror that /etc/apt names and writes a tar; what a container doesn't need is left
//! out, what packages' scripts would have made is added, and the result is an OCI archive that says of itself what it is.

mod packages;
mod recipes;

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::oci::{self, Descriptor, Hashing};
use packages::{codename, prepare, sources};
pub use recipes::Recipe;
use recipes::{FOLDERS, LEFT_OUT, RECIPES};

/// Where stand-ins are kept: for all nodes of this machine, and longer than any of them.
pub const KEPT: &str = "/var/cache/minik/stand-ins";

/// The label by which an image says that it is not what its name says.
pub const LABEL: &str = "dev.minik.stand-in";

/// Why there is no stand-in.
#[derive(Debug, thiserror::Error)]
pub enum StandInError {
    /// It takes Debian's tools.
    #[error(
        "stand-ins are built from Debian's or Ubuntu's packages by mmdebstrap, which is not here; install it, or bring the images yourself: `sudo minikctl image import FILE` takes what `docker save` writes"
    )]
    NoMmdebstrap,
    /// apt could not install them.
    #[error("apt-get could not install mmdebstrap: {0}")]
    Install(String),
    /// A program could not be started.
    #[error("can't run {program}: {source}")]
    Run {
        /// Which.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// mmdebstrap gave up.
    #[error("mmdebstrap could not unpack the packages for {image}: {words}")]
    Packages {
        /// For which image.
        image: &'static str,
        /// What it said last.
        words: String,
    },
    /// The image can't be written.
    #[error("can't write the stand-in for {image} to {}: {source}", .path.display())]
    Write {
        /// Which image.
        image: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Recipe {
    /// The recipe for an image, if there is one.
    #[must_use]
    pub fn of(image: &str) -> Option<&'static Self> {
        RECIPES.iter().find(|recipe| recipe.image == image)
    }

    /// Where the archive is kept below a folder. Another recipe or release of the distribution gives another name.
    #[must_use]
    pub fn archive(&self, folder: &Path) -> PathBuf {
        let made_of = json!([self.packages, self.files, self.links, (self.config)(), codename()]).to_string();
        let digest = oci::hex(&Sha256::digest(made_of));
        folder.join(format!("{}-{}.tar", self.image.replace(':', "-"), &digest[..12]))
    }

    /// Makes the archive, unless it is there already, and tells what is being done. Blocks.
    ///
    /// # Errors
    /// When the packages can't be had, or the archive can't be written.
    pub fn build(&self, folder: &Path, tell: &dyn Fn(&str)) -> Result<PathBuf, StandInError> {
        let archive = self.archive(folder);
        if archive.exists() {
            return Ok(archive);
        }
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |source| StandInError::Write {
                image: self.image,
                path,
                source,
            }
        };
        prepare(tell)?;
        fs::create_dir_all(folder).map_err(wrong(folder))?;
        let layer = archive.with_extension("layer");
        let unfinished = archive.with_extension("part");
        let _remove = RemoveAtEnd([layer.clone(), unfinished.clone()]);
        let descriptor = self.unpack(&layer, tell)?;
        let mut config = (self.config)();
        config["config"]["Labels"] = json!({
            LABEL: "true",
            "org.opencontainers.image.description":
                format!("A stand-in for {}, made of this distribution's packages: {}", self.image, self.packages),
        });
        oci::write(&unfinished, self.reference, &config, &layer, &descriptor).map_err(wrong(&unfinished))?;
        // Under its own name only when it is whole.
        fs::rename(&unfinished, &archive).map_err(wrong(&archive))?;
        Ok(archive)
    }

    /// Lets mmdebstrap unpack the packages and makes a layer of them.
    fn unpack(&self, layer: &Path, tell: &dyn Fn(&str)) -> Result<Descriptor, StandInError> {
        let run = |source| StandInError::Run {
            program: "mmdebstrap",
            source,
        };
        let mut command = Command::new("mmdebstrap");
        command.args(["--variant=extract", "--mode=root", "--format=tar"]);
        command.arg(format!("--include={}", self.packages));
        command.args([codename().as_str(), "-"]).args(sources());
        command
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().map_err(run)?;
        let stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let (copied, words) = std::thread::scope(|scope| {
            let copying = scope.spawn(|| -> io::Result<Descriptor> {
                let mut stdout = BufReader::new(stdout);
                let copied = self.layer(&mut stdout, BufWriter::new(File::create(layer)?));
                // Read to its end even after an error, or mmdebstrap would wait for ever.
                io::copy(&mut stdout, &mut io::sink())?;
                copied
            });
            let mut words = Vec::new();
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                match line.strip_prefix("I: ") {
                    Some(doing) => tell(doing),
                    None => words.push(line),
                }
            }
            (copying.join(), words)
        });
        let status = child.wait().map_err(run)?;
        if !status.success() {
            let from = words.len().saturating_sub(4);
            return Err(StandInError::Packages {
                image: self.image,
                words: words[from..].join("\n  "),
            });
        }
        copied
            .expect("copying does not panic")
            .map_err(|source| StandInError::Write {
                image: self.image,
                path: layer.to_owned(),
                source,
            })
    }

    /// The layer of an unpacked root: filtered, and completed.
    fn layer(&self, from: impl Read, to: impl Write) -> io::Result<Descriptor> {
        let mut tar = tar::Builder::new(Hashing::new(to));
        let mut archive = tar::Archive::new(from);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let path = path.strip_prefix(".").unwrap_or(&path).to_owned();
            if path.as_os_str().is_empty() || self.is_left_out(&path) {
                continue;
            }
            let mut header = entry.header().clone();
            match entry.link_name()?.map(std::borrow::Cow::into_owned) {
                Some(target) => {
                    // Hard links name their target from the root, too.
                    let hard = header.entry_type().is_hard_link();
                    let target = if hard {
                        target.strip_prefix(".").unwrap_or(&target).to_owned()
                    } else {
                        target
                    };
                    tar.append_link(&mut header, &path, &target)?;
                }
                None => tar.append_data(&mut header, &path, &mut entry)?,
            }
        }
        for (path, mode) in FOLDERS {
            let mut header = header(tar::EntryType::Directory, mode, 0);
            tar.append_data(&mut header, format!("{path}/"), io::empty())?;
        }
        for (path, text) in self.files {
            let mut header = header(tar::EntryType::Regular, 0o644, text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes())?;
        }
        for (path, target) in self.links {
            let mut header = header(tar::EntryType::Symlink, 0o777, 0);
            tar.append_link(&mut header, path, target)?;
        }
        tar.into_inner()?.finish()
    }

    fn is_left_out(&self, path: &Path) -> bool {
        LEFT_OUT.iter().any(|folder| path.starts_with(folder))
            || path.components().any(|part| part.as_os_str() == "gconv")
            || self.files.iter().any(|(own, _)| path == Path::new(own))
            || self.links.iter().any(|(own, _)| path == Path::new(own))
    }
}

fn header(kind: tar::EntryType, mode: u32, length: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(length);
    header
}

/// Files that are in nobody's way once they are gone.
struct RemoveAtEnd([PathBuf; 2]);

impl Drop for RemoveAtEnd {
    fn drop(&mut self) {
        for path in &self.0 {
            // Gone already when all went well.
            let _ = fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::recipes::NGINX_CONF;
    use super::*;

    fn unpacked() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for path in [
            "./etc/nginx/nginx.conf",
            "./usr/share/doc/x",
            "./usr/sbin/nginx",
            "./usr/lib/x86_64-linux-gnu/gconv/a.so",
            "./var/lib/dpkg/status",
        ] {
            let mut header = header(tar::EntryType::Regular, 0o755, 3);
            tar.append_data(&mut header, path, &b"old"[..])
                .expect("a vector takes everything");
        }
        let mut link = header(tar::EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut link, "./bin/sh", "dash")
            .expect("a vector takes everything");
        let mut hard = header(tar::EntryType::Link, 0o755, 0);
        tar.append_link(&mut hard, "./usr/sbin/again", "./usr/sbin/nginx")
            .expect("a vector takes everything");
        tar.into_inner().expect("a vector takes everything")
    }

    #[test]
    fn a_layer_has_what_the_program_needs_and_no_more() {
        let recipe = Recipe::of("nginx:stable").expect("there is one");
        let mut bytes = Vec::new();
        let descriptor = recipe
            .layer(unpacked().as_slice(), &mut bytes)
            .expect("a vector takes everything");
        assert_eq!(descriptor.length, bytes.len() as u64);
        let mut entries: BTreeMap<String, (String, String)> = BTreeMap::new();
        for entry in tar::Archive::new(bytes.as_slice()).entries().expect("a tar") {
            let mut entry = entry.expect("an entry");
            let path = entry.path().expect("a path").display().to_string();
            let link = entry
                .link_name()
                .expect("readable")
                .map(|link| link.display().to_string())
                .unwrap_or_default();
            let mut text = String::new();
            entry.read_to_string(&mut text).expect("text");
            assert!(
                entries.insert(path.clone(), (text, link)).is_none(),
                "{path} is there once"
            );
        }
        assert_eq!(entries["etc/nginx/nginx.conf"].0, NGINX_CONF);
        assert_eq!(entries["usr/sbin/nginx"].0, "old");
        assert_eq!(entries["bin/sh"].1, "dash");
        assert_eq!(entries["usr/sbin/again"].1, "usr/sbin/nginx");
        assert!(entries.contains_key("etc/passwd") && entries.contains_key("tmp/"));
        for gone in [
            "usr/share/doc/x",
            "usr/lib/x86_64-linux-gnu/gconv/a.so",
            "var/lib/dpkg/status",
        ] {
            assert!(!entries.contains_key(gone), "{gone}");
        }
    }

    #[test]
    fn an_archive_that_is_there_is_not_built_again() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recipe = Recipe::of("python:3-slim").expect("there is one");
        let archive = recipe.archive(folder.path());
        fs::write(&archive, "kept").expect("written");
        assert_eq!(
            recipe
                .build(folder.path(), &|_| panic!("nothing to do"))
                .expect("it is there"),
            archive
        );
    }
}

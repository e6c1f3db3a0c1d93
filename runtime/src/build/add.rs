//! COPY, ADD and the directory of a WORKDIR: files from the context, a stage, an image or the network, as the next layer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use tonic::{Code, Status};

use super::copy::{self, Chosen, Copying};
use super::dockerfile::{Copy, From};
use super::engine::{Engine, blocking};
use super::expand::expand_text;
use super::run::RunError;
use super::stage::Stage;
use super::tarball::Tarball;
use crate::cri::with_code;
use crate::daemon::now_nanos;
use crate::images::compose::Layer;
use crate::images::digest::{Digest, Hasher};
use crate::images::error::chain;
use crate::oci::{self, Users};
use crate::snapshots::View;

/// Longest /etc/passwd or /etc/group that is read.
const USER_FILE_LIMIT: u64 = 1024 * 1024;
/// First bytes of what tar can be packed in: gzip, zstd, bzip2, xz.
const PACKED: [(&[u8], bool); 4] = [
    (&[0x1f, 0x8b], true),
    (&[0x28, 0xb5, 0x2f, 0xfd], true),
    (b"BZh", false),
    (&[0xfd, b'7', b'z', b'X', b'Z'], false),
];

/// Options of a COPY or ADD, understood.
#[derive(Default)]
struct Options {
    from: Option<String>,
    owner: Option<String>,
    mode: Option<u32>,
    checksum: Option<Digest>,
}

/// What goes to the destination.
enum Piece {
    Chosen(Chosen),
    Text(String, Vec<u8>),
    /// What an archive of an ADD holds.
    Unpacked(PathBuf),
}

impl Engine {
    /// What a copy depends on beside its text: the content of its sources.
    pub(super) async fn fingerprint(&mut self, stage: &Stage, copy: &Copy) -> Result<String, RunError> {
        let options = options(stage, copy).map_err(RunError::Wrong)?;
        let words = copy.sources.iter().filter_map(|source| match source {
            From::Path(path) if !(copy.add && is_url(path)) => Some(path.clone()),
            _ => None,
        });
        let words: Vec<String> = words.collect();
        let words = stage.expanded(&words).map_err(RunError::Wrong)?;
        let destination = stage.path(&copy.destination).map_err(RunError::Wrong)?;
        let arguments = format!("{destination:?} {:?}", stage.arguments);
        if words.is_empty() {
            return Ok(arguments);
        }
        let (view, known) = self.source(options.from.as_deref()).await?;
        if let Some(known) = known {
            return Ok(format!("{arguments} {known} {words:?}"));
        }
        let hashed = blocking(move || {
            let mut hasher = Hasher::default();
            for word in words {
                for chosen in copy::choose(&view, &word)? {
                    hasher.update(format!("{:?}\n", chosen.name).as_bytes());
                    copy::digest(&view, &chosen, &mut hasher)?;
                }
            }
            Ok::<_, std::io::Error>(hasher.finish())
        });
        let hashed = hashed.await?.map_err(|error| RunError::Wrong(error.to_string()))?;
        Ok(format!("{arguments} {hashed}"))
    }

    pub(super) async fn copy(&mut self, stage: &Stage, copy: &Copy) -> Result<Option<Layer>, RunError> {
        let options = options(stage, copy).map_err(RunError::Wrong)?;
        let to = self.view(stage.chain.as_ref())?;
        let owner = options.owner.as_deref().map(|owner| identity(&to, owner)).transpose()?;
        // The client's numbers mean nobody here.
        let owner = owner.or(options.from.is_none().then_some((0, 0)));
        let (from, pieces) = self.pieces(stage, copy, &options).await?;
        let written = stage.expand(&copy.destination).map_err(RunError::Wrong)?;
        let destination = stage.config.path(&written);
        let many = pieces.len() > 1;
        let is_folder = written.ends_with(['/', '.']);
        if many && !is_folder {
            return Err(RunError::Wrong(format!(
                "several sources need a folder: end {written} with /"
            )));
        }
        let (images, parent, epoch) = (self.images.clone(), stage.chain.clone(), self.request.source_date_epoch);
        let mode = options.mode;
        let made = blocking(move || {
            let layer = images.add_layer(parent.as_ref(), |out| {
                let mut tarball = Tarball::new(out, epoch);
                let mut copying = Copying {
                    to: &to,
                    owner,
                    mode,
                    now: now_nanos() / 1_000_000_000,
                    made: BTreeSet::new(),
                };
                let folder = copying.target(&destination)?;
                let within = is_folder || copying.is_directory(&folder);
                for piece in &pieces {
                    let named = |name: &Path| {
                        let name = copy::base_name(name);
                        if within {
                            destination.join(name)
                        } else {
                            destination.clone()
                        }
                    };
                    match piece {
                        Piece::Chosen(chosen) if chosen.is_dir() => {
                            copying.copy(&from, chosen, &folder, &mut tarball)?;
                        }
                        Piece::Chosen(chosen) => {
                            let target = copying.target(&named(&chosen.name))?;
                            copying.copy(&from, chosen, &target, &mut tarball)?;
                        }
                        Piece::Text(name, content) => {
                            let target = copying.target(&named(Path::new(name)))?;
                            copying.text(&target, content, &mut tarball)?;
                        }
                        Piece::Unpacked(directory) => {
                            let archive = View {
                                lower: vec![directory.clone()],
                            };
                            for root in copy::choose(&archive, "/")? {
                                copying.copy(&archive, &root, &folder, &mut tarball)?;
                            }
                        }
                    }
                }
                tarball.finish()
            });
            layer.map_err(|error| chain(&error))
        });
        made.await?.map_err(RunError::Wrong)
    }

    /// Makes the directory of a WORKDIR if it is missing.
    pub(super) async fn directory(&mut self, stage: &Stage) -> Result<Option<Layer>, RunError> {
        let path = PathBuf::from(stage.config.text("WorkingDir"));
        let to = self.view(stage.chain.as_ref())?;
        let (images, parent, epoch) = (self.images.clone(), stage.chain.clone(), self.request.source_date_epoch);
        let made = blocking(move || {
            let layer = images.add_layer(parent.as_ref(), |out| {
                let mut tarball = Tarball::new(out, epoch);
                let mut copying = Copying {
                    to: &to,
                    owner: None,
                    mode: None,
                    now: now_nanos() / 1_000_000_000,
                    made: BTreeSet::new(),
                };
                let target = copying.target(&path)?;
                copying.make(&target, &mut tarball)?;
                tarball.finish()
            });
            layer.map_err(|error| chain(&error))
        });
        made.await?.map_err(RunError::Wrong)
    }

    async fn pieces(&mut self, stage: &Stage, copy: &Copy, options: &Options) -> Result<(View, Vec<Piece>), RunError> {
        let mut pieces = Vec::new();
        let mut from = View::default();
        for (number, source) in copy.sources.iter().enumerate() {
            match source {
                From::Text { name, content, expand } => {
                    let content = if *expand {
                        expand_text(content, &|name| stage.value(name)).map_err(RunError::Wrong)?
                    } else {
                        content.clone()
                    };
                    pieces.push(Piece::Text(name.clone(), content.into_bytes()));
                }
                From::Path(written) => {
                    let path = stage.expand(written).map_err(RunError::Wrong)?;
                    if is_url(&path) {
                        return Err(RunError::Wrong(format!(
                            "{path}: fetching is left out yet; do it in a RUN, or put the file into the context"
                        )));
                    }
                    let view = self.source(options.from.as_deref()).await?.0;
                    let chosen = copy::choose(&view, &path).map_err(|error| RunError::Wrong(error.to_string()))?;
                    if chosen.is_empty() {
                        return Err(RunError::Wrong(missing(&path, options.from.as_deref())));
                    }
                    from = view;
                    for chosen in chosen {
                        let unpack = copy.add && options.from.is_none() && !chosen.is_dir();
                        let archive = if unpack { is_archive(chosen.on_disk())? } else { false };
                        if !archive {
                            pieces.push(Piece::Chosen(chosen));
                            continue;
                        }
                        let directory = self.work.join(format!("archive-{number}-{}", pieces.len()));
                        let (archive, into) = (chosen.on_disk().to_owned(), directory.clone());
                        let unpacked = blocking(move || unpack_archive(&archive, &into)).await?;
                        unpacked.map_err(|what| RunError::Wrong(format!("unpack {path}: {what}")))?;
                        pieces.push(Piece::Unpacked(directory));
                    }
                }
            }
        }
        Ok((from, pieces))
    }
}

fn is_url(path: &str) -> bool {
    ["http://", "https://", "git@", "git://"]
        .iter()
        .any(|scheme| path.starts_with(scheme))
}

fn missing(path: &str, from: Option<&str>) -> String {
    match from {
        Some(from) => format!("{from} has no {path}"),
        None => format!(
            "the context has no {path}: paths begin at the folder that is built, and .dockerignore may leave it out"
        ),
    }
}

fn options(stage: &Stage, copy: &Copy) -> Result<Options, String> {
    let mut options = Options::default();
    for (name, value) in &copy.options {
        match name.as_str() {
            "from" => options.from = Some(stage.expand(value)?),
            "chown" => options.owner = Some(stage.expand(value)?),
            "chmod" => {
                let value = stage.expand(value)?;
                let mode = u32::from_str_radix(&value, 8).ok().filter(|mode| *mode <= 0o7777);
                options.mode = Some(mode.ok_or_else(|| format!("--chmod={value}: write an octal number such as 755"))?);
            }
            "checksum" => {
                let checksum = stage.expand(value)?.parse();
                options.checksum = Some(checksum.map_err(|error| format!("--checksum: {error}"))?);
            }
            // How layers are stacked is the same here in any case.
            "link" => {}
            other => {
                let what = if copy.add { "ADD" } else { "COPY" };
                return Err(format!("{what} has no option --{other} here"));
            }
        }
    }
    Ok(options)
}

/// A user and group by name or number, as the image knows them.
fn identity(image: &View, owner: &str) -> Result<(u32, u32), RunError> {
    let read = |name: &str| {
        let bytes = image.read(Path::new(name), USER_FILE_LIMIT);
        let bytes = bytes.map_err(|error| Status::unknown(format!("read /{name} of the image: {error}")))?;
        Ok::<_, Status>(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
    };
    let (passwd, group) = (read("etc/passwd")?, read("etc/group")?);
    let users = Users {
        passwd: &passwd,
        group: &group,
    };
    let identity = oci::resolve_user(owner, &users).map_err(|error| with_code(Code::InvalidArgument)(&error))?;
    // A number without a group is both, as docker has it.
    let gid = match owner.contains(':') {
        false if owner.parse::<u32>().is_ok() => identity.uid,
        _ => identity.gid,
    };
    Ok((identity.uid, gid))
}

/// Whether a file is a tar archive, packed or not. One that can't be unpacked here is refused, rather than copied as it is.
fn is_archive(path: &Path) -> Result<bool, RunError> {
    let failed = |error: std::io::Error| RunError::Wrong(format!("read {}: {error}", path.display()));
    let mut first = Vec::new();
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(false);
    }
    file.take(512).read_to_end(&mut first).map_err(failed)?;
    if first.get(257..262) == Some(b"ustar") {
        return Ok(true);
    }
    match PACKED.iter().find(|(magic, _)| first.starts_with(magic)) {
        None => Ok(false),
        Some((_, true)) => {
            // A packed file need not be an archive.
            let mut first = Vec::new();
            let opened = File::open(path).and_then(|file| crate::images::decompressed(BufReader::new(file)));
            let read = opened.and_then(|reader| reader.take(512).read_to_end(&mut first));
            Ok(read.is_ok() && first.get(257..262) == Some(b"ustar"))
        }
        Some((_, false)) => Err(RunError::Wrong(
            "archives packed by xz and bzip2 can't be unpacked here: COPY it and unpack it in a RUN".to_owned(),
        )),
    }
}

fn unpack_archive(archive: &Path, into: &Path) -> Result<(), String> {
    let unpacked = std::fs::create_dir_all(into)
        .and_then(|()| File::open(archive))
        .and_then(|file| crate::images::decompressed(BufReader::new(file)));
    let reader = unpacked.map_err(|error| error.to_string())?;
    let unpacked = crate::images::unpack::unpack(reader, into);
    unpacked.map(drop).map_err(|error| chain(&error))
}

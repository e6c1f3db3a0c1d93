//! Gathers what the fields of Kubernetes' types mean, for OpenAPI and `kubectl explain`, and packs it.
//!
//! The texts are upstream's and no part of this repository: they stand in the sources of k8s-openapi, which every build has.
//! Reading them there costs less than a second; compiling that crate once more, with its feature `schemars`, a minute.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::Compression;
use flate2::write::DeflateEncoder;

/// The folder of the level of the API in the crate's sources.
const LEVEL: &str = "src/v1_36";
/// What doesn't change the documents doesn't change their hashes: everything that the documents are made from.
const MADE_FROM: [&str; 3] = ["build.rs", "src/discovery/openapi", "../api/src/schema"];

fn main() -> io::Result<()> {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=../Cargo.lock");
    let mut descriptions = BTreeMap::new();
    match sources() {
        Some(sources) => read_folder(&sources.join(LEVEL), &mut descriptions)?,
        None => {
            println!("cargo::warning=the sources of k8s-openapi aren't found: OpenAPI and explain have no descriptions")
        }
    }
    let text: String = descriptions.into_values().collect();
    let mut packed = DeflateEncoder::new(fs::File::create(out.join("descriptions"))?, Compression::best());
    packed.write_all(text.as_bytes())?;
    packed.finish()?;
    let mut fingerprint = Fingerprint::default();
    fingerprint.add(text.as_bytes());
    for place in MADE_FROM {
        println!("cargo::rerun-if-changed={place}");
        fingerprint.add_all(Path::new(place))?;
    }
    println!("cargo::rustc-env=MINIK_OPENAPI_FINGERPRINT={:016x}", fingerprint.0);
    Ok(())
}

/// Where cargo has unpacked k8s-openapi, of the version that the lock file says.
fn sources() -> Option<PathBuf> {
    in_registry().or_else(by_metadata)
}

fn in_registry() -> Option<PathBuf> {
    let lock = fs::read_to_string("../Cargo.lock").ok()?;
    let (_, behind) = lock.split_once("name = \"k8s-openapi\"\nversion = \"")?;
    let (version, _) = behind.split_once('"')?;
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")))?;
    let registries = fs::read_dir(home.join("registry/src")).ok()?;
    let crates = registries.filter_map(|registry| Some(registry.ok()?.path().join(format!("k8s-openapi-{version}"))));
    crates.filter(|found| found.join(LEVEL).is_dir()).min()
}

/// Slower, but right for sources that are vendored or patched.
fn by_metadata() -> Option<PathBuf> {
    let cargo = env::var_os("CARGO")?;
    let target = env::var("TARGET").ok()?;
    let mut command = Command::new(cargo);
    command.args([
        "metadata",
        "--format-version",
        "1",
        "--locked",
        "--offline",
        "--filter-platform",
        &target,
    ]);
    let metadata = String::from_utf8(command.output().ok()?.stdout).ok()?;
    let (_, behind) = metadata.split_once("\"name\":\"k8s-openapi\"")?;
    let (_, behind) = behind.split_once("\"manifest_path\":\"")?;
    let (manifest, _) = behind.split_once('"')?;
    let sources = Path::new(manifest).parent()?;
    sources.join(LEVEL).is_dir().then(|| sources.to_owned())
}

fn read_folder(folder: &Path, descriptions: &mut BTreeMap<String, String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            // `v1alpha1`, `v1beta2`: not served.
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !name.contains("alpha") && !name.contains("beta") {
                read_folder(&path, descriptions)?;
            }
        } else if let Some((name, text)) = read_definition(&fs::read_to_string(&path)?) {
            descriptions.insert(name, text);
        }
    }
    Ok(())
}

/// `=NAME<tab>description` and a line `field<tab>description` for each field. The generated schema in the source is laid out
/// one thing a line, at depths that tell what it belongs to.
fn read_definition(source: &str) -> Option<(String, String)> {
    let (name, _) = source.strip_prefix("// Generated from definition ")?.split_once('\n')?;
    let (_, schema) = source.split_once("json_schema!({\n")?;
    let mut text = String::new();
    let mut field = None;
    for line in schema.lines() {
        let trimmed = line.trim_start();
        let depth = line.len() - trimmed.len();
        if depth == 16
            && let Some((key, _)) = trimmed.strip_prefix('"').and_then(|line| line.split_once('"'))
        {
            field = Some(key);
        }
        let Some(description) = description(trimmed) else {
            continue;
        };
        match (depth, field) {
            (12, _) => text = format!("={name}\t{description}\n{text}"),
            (20, Some(field)) => text.push_str(&format!("{field}\t{description}\n")),
            _ => {}
        }
    }
    if !text.starts_with('=') {
        text = format!("={name}\t\n{text}");
    }
    Some((name.to_owned(), text))
}

/// The text of a line that describes, still escaped as in the source: `"description": "…",` or an insertion of it.
fn description(line: &str) -> Option<&str> {
    let plain = line
        .strip_prefix("\"description\": \"")
        .and_then(|line| line.strip_suffix("\","));
    plain.or_else(|| {
        let (_, inserted) = line.split_once(".insert(\"description\".into(), \"")?;
        inserted.strip_suffix("\".into());")
    })
}

/// FNV-1a: tells versions of the documents apart, and is the same wherever it is built.
struct Fingerprint(u64);

impl Default for Fingerprint {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Fingerprint {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn add_all(&mut self, path: &Path) -> io::Result<()> {
        if !path.is_dir() {
            self.add(&fs::read(path)?);
            return Ok(());
        }
        let mut inside: Vec<PathBuf> = Vec::new();
        for entry in fs::read_dir(path)? {
            inside.push(entry?.path());
        }
        inside.sort();
        inside.iter().try_for_each(|path| self.add_all(path))
    }
}

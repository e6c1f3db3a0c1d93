//! Where manifests come from: files, folders, `-` and URLs, each read as text within a limit.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ManifestError;
use crate::resources::nearest;

/// No honest manifest is larger; the server takes at most 3 MiB an object.
pub const MAX_SOURCE_BYTES: u64 = 16 << 20;

/// A source's name and what it says.
type Text = (String, Result<String, ManifestError>);

pub(super) async fn texts(source: &str, recursive: bool) -> Result<Vec<Text>, ManifestError> {
    if source == "-" {
        let text = read_limited(io::stdin().lock(), "STDIN");
        return Ok(vec![("STDIN".to_owned(), text)]);
    }
    if source.starts_with("http://") || source.starts_with("https://") {
        return Ok(vec![(source.to_owned(), fetch(source).await)]);
    }
    let path = Path::new(source);
    if !path.exists() {
        return Err(ManifestError::Missing {
            path: source.to_owned(),
            nearest: file_like(path),
        });
    }
    if !path.is_dir() {
        return Ok(vec![(source.to_owned(), read_file(path))]);
    }
    let mut files = Vec::new();
    list(path, recursive, &mut files).map_err(|error| ManifestError::Read {
        path: source.to_owned(),
        source: error,
    })?;
    if files.is_empty() {
        return Err(ManifestError::NoManifests {
            path: source.to_owned(),
        });
    }
    Ok(files
        .iter()
        .map(|file| (file.display().to_string(), read_file(file)))
        .collect())
}

/// The manifests of a folder, in the order of their names.
fn list(folder: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        // A link to a folder could lead in circles.
        if path.is_dir() && !path.is_symlink() {
            if recursive {
                list(&path, recursive, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<String, ManifestError> {
    let name = path.display().to_string();
    let file = fs::File::open(path).map_err(|source| ManifestError::Read {
        path: name.clone(),
        source,
    })?;
    read_limited(file, &name)
}

fn read_limited(reader: impl io::Read, name: &str) -> Result<String, ManifestError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_SOURCE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|source| ManifestError::Read {
            path: name.to_owned(),
            source,
        })?;
    if bytes.len() as u64 > MAX_SOURCE_BYTES {
        return Err(ManifestError::TooLarge { path: name.to_owned() });
    }
    String::from_utf8(bytes).map_err(|error| ManifestError::NotText {
        path: name.to_owned(),
        offset: error.utf8_error().valid_up_to(),
    })
}

async fn fetch(url: &str) -> Result<String, ManifestError> {
    let failed = |problem: String| ManifestError::Fetch {
        url: url.to_owned(),
        problem,
    };
    // Fails only when a provider is there already, which is what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(30))
        .build()
        .map_err(|error| failed(innermost(&error)))?;
    let mut answer = client
        .get(url)
        .send()
        .await
        .map_err(|error| failed(innermost(&error)))?;
    if !answer.status().is_success() {
        return Err(failed(format!("server reported {}", answer.status())));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(innermost(&error)))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > MAX_SOURCE_BYTES {
            return Err(ManifestError::TooLarge { path: url.to_owned() });
        }
    }
    read_limited(bytes.as_slice(), url)
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn file_like(path: &Path) -> Option<String> {
    let wanted = path.file_name()?.to_string_lossy().into_owned();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let names = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned());
    let name = nearest(names.map(|name| (name.clone(), name)), &wanted)?;
    Some(path.with_file_name(name).display().to_string())
}

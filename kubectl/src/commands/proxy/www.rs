//! Files of a folder, for pages that talk to the API through the proxy. Nothing outside the folder is served.

use std::fs;
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};

use super::forward::{Answer, bytes, plain};

/// A folder and where it is found.
pub struct Www {
    folder: PathBuf,
    prefix: String,
}

impl Www {
    /// Serves `folder` below `prefix`.
    #[must_use]
    pub fn new(folder: PathBuf, prefix: &str) -> Self {
        let inner = prefix.trim_matches('/');
        let prefix = if inner.is_empty() {
            "/".to_owned()
        } else {
            format!("/{inner}/")
        };
        Self { folder, prefix }
    }

    /// The file that a request asks for; nothing where it asks for something else than files.
    #[must_use]
    pub fn answer<B>(&self, request: &Request<B>) -> Option<Response<Answer>> {
        let asked = request.uri().path().strip_prefix(&self.prefix)?;
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Some(plain(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed"));
        }
        let read = self
            .file(asked)
            .and_then(|path| fs::read(&path).ok().map(|content| (path, content)));
        Some(match read {
            Some((path, content)) => bytes(StatusCode::OK, kind_of(&path), Bytes::from(content)),
            None => plain(StatusCode::NOT_FOUND, "404 page not found"),
        })
    }

    /// The file's path, links followed, if it is beneath the folder.
    fn file(&self, asked: &str) -> Option<PathBuf> {
        let asked = Path::new(asked);
        if !asked.components().all(|part| matches!(part, Component::Normal(_))) {
            return None;
        }
        let root = self.folder.canonicalize().ok()?;
        let mut path = root.join(asked).canonicalize().ok()?;
        if path.is_dir() {
            path = path.join("index.html").canonicalize().ok()?;
        }
        (path.starts_with(&root) && path.is_file()).then_some(path)
    }
}

/// The content type of a file, by its name.
fn kind_of(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html" | "htm") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_folder_are_served() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        fs::create_dir(&root).expect("a folder");
        fs::write(folder.path().join("secret"), "x").expect("a file");
        fs::write(root.join("index.html"), "<p>").expect("a file");
        std::os::unix::fs::symlink(folder.path().join("secret"), root.join("link")).expect("a link");
        let www = Www::new(root, "/static/");
        let status = |path: &str| {
            let request = Request::get(path).body(()).expect("a request");
            www.answer(&request).map(|answer| answer.status().as_u16())
        };
        assert_eq!(status("/static/"), Some(200));
        assert_eq!(status("/static/index.html"), Some(200));
        assert_eq!(status("/static/../secret"), Some(404));
        assert_eq!(status("/static/link"), Some(404));
        assert_eq!(status("/api"), None);
    }
}

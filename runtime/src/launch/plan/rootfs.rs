//! The root filesystem: an overlay of the image's layers, or a directory as it is.

use std::ffi::CString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use oci_spec::runtime::Spec;

use super::{PlanError, users};
use crate::oci::{Rootfs, annotation};

/// The kernel copies a mount's options from one page and wants the last byte to be NUL.
const PAGE: usize = 4095;

/// How the root comes to be.
#[derive(Debug, PartialEq, Eq)]
pub struct RootfsPlan {
    /// Where it is mounted before pivot_root: the bundle's `rootfs`.
    pub target: PathBuf,
    /// An overlay to mount there; without one, the directory is bound onto itself.
    pub overlay: Option<Overlay>,
    /// Whether it is read-only to the container.
    pub readonly: bool,
}

/// An overlay mount whose paths are relative to a directory, so that many layers fit into a page.
#[derive(Debug, PartialEq, Eq)]
pub struct Overlay {
    /// Directory to stand in while mounting.
    pub directory: PathBuf,
    /// Options for mount(2).
    pub options: CString,
    /// Whether the layers' owners are translated by the container's user namespace. The directory to stand in is the
    /// layers' then, and the writable layer has absolute paths: it holds the host's numbers, as containerd has it.
    pub idmapped: bool,
}

/// Decides how a bundle's root filesystem comes to be.
///
/// # Errors
/// There is none, or the annotation with its layers can't be carried out.
pub fn rootfs(spec: &Spec, bundle: &Path) -> Result<RootfsPlan, PlanError> {
    let root = spec.root().as_ref().ok_or(PlanError::Missing("root"))?;
    let layers = spec.annotations().as_ref().and_then(|all| all.get(annotation::ROOTFS));
    let overlay = layers.map(|json| {
        let rootfs: Rootfs = serde_json::from_str(json).map_err(|error| PlanError::Annotation {
            key: annotation::ROOTFS,
            reason: error.to_string(),
        })?;
        overlay(
            &rootfs.lower,
            Some((&rootfs.upper, &rootfs.work)),
            users(spec)?.is_some(),
        )
    });
    Ok(RootfsPlan {
        target: bundle.join(root.path()),
        overlay: overlay.transpose()?,
        readonly: root.readonly().unwrap_or(false),
    })
}

/// An overlay of layers, topmost first, with a directory to write to and overlayfs' own, if it is to be written to.
pub(crate) fn overlay(
    lower: &[PathBuf],
    writable: Option<(&Path, &Path)>,
    idmapped: bool,
) -> Result<Overlay, PlanError> {
    let besides = writable.filter(|_| !idmapped).map(|(upper, work)| [upper, work]);
    let all = lower.iter().map(PathBuf::as_path).chain(besides.into_iter().flatten());
    let directory = common_ancestor(all);
    let relative = |path: &Path| escape(path.strip_prefix(&directory).unwrap_or(path));
    let mut options = b"lowerdir=".to_vec();
    let lower: Vec<Vec<u8>> = lower.iter().map(|path| relative(path)).collect();
    options.extend(lower.join(&b':'));
    if let Some((upper, work)) = writable {
        let path = |path: &Path| if idmapped { escape(path) } else { relative(path) };
        options.extend([b",upperdir=".as_slice(), &path(upper), b",workdir=", &path(work)].concat());
    }
    if options.len() > PAGE {
        return Err(PlanError::TooManyLayers(options.len()));
    }
    let options = CString::new(options).map_err(|error| PlanError::Nul {
        field: "rootfs",
        value: String::from_utf8_lossy(&error.into_vec()).into_owned(),
    })?;
    Ok(Overlay {
        directory,
        options,
        idmapped,
    })
}

/// The deepest directory that holds all of these.
fn common_ancestor<'a>(mut paths: impl Iterator<Item = &'a Path>) -> PathBuf {
    let mut common: Vec<Component<'_>> = paths.next().map(|p| p.components().collect()).unwrap_or_default();
    common.pop();
    for path in paths {
        let same = common
            .iter()
            .zip(path.components())
            .take_while(|(a, b)| **a == *b)
            .count();
        common.truncate(same);
    }
    if common.is_empty() {
        PathBuf::from("/")
    } else {
        common.iter().collect()
    }
}

/// overlayfs takes `:` and `,` as separators and `\` as their escape.
fn escape(path: &Path) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path.as_os_str().len());
    for byte in path.as_os_str().to_owned().into_vec() {
        if matches!(byte, b':' | b',' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    debug_assert!(escaped.len() >= path.as_os_str().as_bytes().len());
    escaped
}

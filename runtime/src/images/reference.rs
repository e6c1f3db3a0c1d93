//! Image references as users write them, by docker's rules (the grammar of distribution/reference).
//!
//! `nginx` is `docker.io/library/nginx:latest`: the first part is a registry only if it has a dot or a port or is
//! `localhost`; one-part names on Docker Hub get `library/`; without tag and digest the tag is `latest`. A reference is parsed
//! once and kept in its full form.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::digest::{Digest, InvalidDigest};

/// Docker Hub's name in references; its registry answers at another host.
pub const DOCKER_HUB: &str = "docker.io";

const LEGACY_DOCKER_HUB: &str = "index.docker.io";
const OFFICIAL_NAMESPACE: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// Longest registry and repository together: distribution/reference's limit.
const NAME_LENGTH: usize = 255;
const TAG_LENGTH: usize = 128;

/// A parsed reference in its full form. Has a tag, a digest or both; the digest decides what is pulled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidReference {
    /// Nothing there.
    #[error("the image name is empty")]
    Empty,
    /// A bare id where a name is needed.
    #[error("{0:?} is an image id, not a name that a registry knows; write NAME@sha256:{0}")]
    BareId(String),
    /// Upper case outside the registry and the tag.
    #[error("repository name {0:?} has upper-case letters; registries know only lower-case names")]
    UpperCase(String),
    /// The registry's host or port.
    #[error("{0:?} is no registry: expected a host name and an optional port")]
    Registry(String),
    /// The repository.
    #[error(
        "{0:?} is no repository name: expected lower-case letters, digits, and . _ __ - between them, in parts divided by /"
    )]
    Repository(String),
    /// The tag.
    #[error("{0:?} is no tag: expected at most 128 letters, digits, _ . -, and no . or - at the beginning")]
    Tag(String),
    /// The digest.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
    /// Over the limit for registry and repository together.
    #[error("the name is {0} characters long; registries allow 255")]
    TooLong(usize),
    /// A URL was written.
    #[error("{0:?} begins with a scheme; an image name has none (HOST[:PORT]/NAME)")]
    Scheme(String),
}

impl Reference {
    /// Host and port as in references: `docker.io`, `localhost:5000`.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `library/nginx`.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, if one was written or nothing was.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one was written.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository: `docker.io/library/nginx`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// `NAME:TAG`, what an image is listed under; none for a pull by digest alone.
    #[must_use]
    pub fn tagged(&self) -> Option<String> {
        self.tag.as_ref().map(|tag| format!("{}:{tag}", self.name()))
    }

    /// What follows `/manifests/` in a registry's URL: the digest wins over the tag.
    #[must_use]
    pub fn object(&self) -> &str {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.as_str(),
            (None, Some(tag)) => tag,
            (None, None) => unreachable!("parsing sets the default tag when there is no digest"),
        }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        refuse_what_is_no_name(text)?;
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        // A colon after the last slash begins the tag; one before it is a registry's port.
        let name_start = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_start..].find(':') {
            Some(colon) => (&rest[..name_start + colon], Some(&rest[name_start + colon + 1..])),
            None => (rest, None),
        };
        let (registry, repository) = split_registry(name);
        check_registry(&registry)?;
        check_repository(&repository)?;
        let length = registry.len() + 1 + repository.len();
        if length > NAME_LENGTH {
            return Err(InvalidReference::TooLong(length));
        }
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(InvalidReference::Tag(tag.to_owned()));
        }
        let default = digest.is_none().then_some(DEFAULT_TAG);
        Ok(Self {
            registry,
            repository,
            tag: tag.or(default).map(str::to_owned),
            digest,
        })
    }
}

fn refuse_what_is_no_name(text: &str) -> Result<(), InvalidReference> {
    if text.is_empty() {
        return Err(InvalidReference::Empty);
    }
    if text.contains("://") {
        return Err(InvalidReference::Scheme(text.to_owned()));
    }
    if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Err(InvalidReference::BareId(text.to_owned()));
    }
    Ok(())
}

fn split_registry(name: &str) -> (String, String) {
    let (registry, repository) = match name.split_once('/') {
        Some((first, rest)) if names_a_registry(first) => (first, rest),
        _ => (DOCKER_HUB, name),
    };
    let registry = if registry == LEGACY_DOCKER_HUB {
        DOCKER_HUB
    } else {
        registry
    };
    if registry == DOCKER_HUB && !repository.contains('/') {
        return (registry.to_owned(), format!("{OFFICIAL_NAMESPACE}{repository}"));
    }
    (registry.to_owned(), repository.to_owned())
}

fn names_a_registry(first: &str) -> bool {
    first.contains(['.', ':', '[']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_registry(registry: &str) -> Result<(), InvalidReference> {
    let (host, port) = match registry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("ipv6", port.strip_prefix(':')),
        _ => match registry.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (registry, None),
        },
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let port_is_right = port.is_none_or(|port| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok());
    if !port_is_right || !host.split('.').all(is_label) {
        return Err(InvalidReference::Registry(registry.to_owned()));
    }
    Ok(())
}

fn check_repository(repository: &str) -> Result<(), InvalidReference> {
    if repository.split('/').all(is_path_component) {
        return Ok(());
    }
    let lower = repository.to_ascii_lowercase();
    if lower != repository && lower.split('/').all(is_path_component) {
        return Err(InvalidReference::UpperCase(repository.to_owned()));
    }
    Err(InvalidReference::Repository(repository.to_owned()))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(component: &str) -> bool {
    let alphanumeric = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    let bytes = component.as_bytes();
    let mut runs = bytes.chunk_by(|a, b| alphanumeric(*a) == alphanumeric(*b));
    let ends_are_right =
        bytes.first().copied().is_some_and(alphanumeric) && bytes.last().copied().is_some_and(alphanumeric);
    ends_are_right
        && runs.all(|run| alphanumeric(run[0]) || matches!(run, b"." | b"_" | b"__") || run.iter().all(|b| *b == b'-'))
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    tag.len() <= TAG_LENGTH
        && !tag.is_empty()
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Reference {
    type Error = InvalidReference;

    fn try_from(text: String) -> Result<Self, InvalidReference> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn short_names_are_completed() {
        for (text, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("user/app", "docker.io/user/app:latest"),
            ("docker.io/nginx", "docker.io/library/nginx:latest"),
            ("index.docker.io/library/nginx", "docker.io/library/nginx:latest"),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:5000/a/b:c", "localhost:5000/a/b:c"),
            ("quay.io/a/b", "quay.io/a/b:latest"),
            ("[::1]:5000/app", "[::1]:5000/app:latest"),
            ("Foo/bar", "Foo/bar:latest"),
            ("a/b__c/d--e.f_g", "docker.io/a/b__c/d--e.f_g:latest"),
        ] {
            assert_eq!(
                text.parse::<Reference>().map(|r| r.to_string()).as_deref(),
                Ok(full),
                "{text}"
            );
        }
    }

    #[test]
    fn a_digest_replaces_the_default_tag_and_wins_over_a_written_one() {
        let bare: Reference = format!("nginx@sha256:{HEX}").parse().expect("a reference");
        assert_eq!((bare.tag(), bare.tagged()), (None, None));
        assert_eq!(bare.object(), format!("sha256:{HEX}"));
        let both: Reference = format!("nginx:1.27@sha256:{HEX}").parse().expect("a reference");
        assert_eq!(both.tag(), Some("1.27"));
        assert_eq!(both.object(), format!("sha256:{HEX}"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        use InvalidReference as I;
        let long = format!("quay.io/{}", "a".repeat(250));
        let parse = |text: &str| text.parse::<Reference>().expect_err(text);
        assert_eq!(parse(""), I::Empty);
        assert_eq!(parse(HEX), I::BareId(HEX.to_owned()));
        assert_eq!(parse("Nginx"), I::UpperCase("library/Nginx".to_owned()));
        assert_eq!(parse("https://quay.io/a"), I::Scheme("https://quay.io/a".to_owned()));
        assert_eq!(parse("a..b"), I::Repository("library/a..b".to_owned()));
        assert_eq!(parse("a:b:c"), I::Tag("b:c".to_owned()));
        assert_eq!(parse("nginx:"), I::Tag(String::new()));
        assert_eq!(parse("nginx:-x"), I::Tag("-x".to_owned()));
        assert_eq!(parse("local_host:5000/a"), I::Registry("local_host:5000".to_owned()));
        assert_eq!(parse("localhost:99999/a"), I::Registry("localhost:99999".to_owned()));
        assert_eq!(parse("quay.io/"), I::Repository(String::new()));
        assert_eq!(parse(&long), I::TooLong(258));
        assert!(matches!(parse("nginx@sha256:12"), I::Digest(_)));
        assert!(matches!(parse(" nginx"), I::Repository(_)));
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "\\PC{0,60}") {
            let _ = text.parse::<Reference>();
        }

        #[test]
        fn the_full_form_parses_to_itself(text in "([a-z]{1,5}(\\.[a-z]{2})?(:[1-9][0-9]{0,3})?/)?[a-z0-9]{1,5}(/[a-z0-9]{1,3}([._-][a-z]{1,3})?){0,2}(:[A-Za-z0-9_][a-z0-9._-]{0,8})?") {
            let Ok(reference) = text.parse::<Reference>() else {
                return Ok(());
            };
            prop_assert_eq!(reference.to_string().parse::<Reference>(), Ok(reference));
        }
    }
}

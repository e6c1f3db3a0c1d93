//! How users name objects: `pods`, `pod nginx`, `pod/nginx svc/web`, `pods,services`.

use anyhow::bail;
use serde_json::Value;

use crate::client::Session;
use crate::failure::Failure;
use crate::resources::{Resource, escape};

/// A kind and some of its objects; no names means all of them.
#[derive(Clone, Debug)]
pub struct Target {
    /// The kind.
    pub resource: Resource,
    /// The objects' names.
    pub names: Vec<String>,
    /// Where they are, when it is another namespace than the session's: a file says so.
    pub namespace: Option<String>,
}

/// Which words name kinds, and which objects. Pure.
///
/// # Errors
/// When the words contradict each other.
pub fn split(words: &[String]) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let Some(first) = words.first() else {
        return Ok(Vec::new());
    };
    if words.iter().any(|word| word.contains('/')) {
        let mut pairs = Vec::new();
        for word in words {
            let Some((kind, name)) = word.split_once('/') else {
                bail!(
                    "there is no need to specify a resource type as a separate argument when passing arguments in \
                     resource/name form (e.g. 'minikctl get resource/<resource_name>' instead of 'minikctl get \
                     resource resource/<resource_name>')"
                );
            };
            if kind.is_empty() || name.is_empty() || name.contains('/') {
                bail!("arguments in resource/name form must have a single resource and name: {word:?}");
            }
            pairs.push((kind.to_owned(), vec![name.to_owned()]));
        }
        return Ok(pairs);
    }
    let kinds: Vec<&str> = first.split(',').filter(|kind| !kind.is_empty()).collect();
    Ok(kinds
        .into_iter()
        .map(|kind| (kind.to_owned(), words[1..].to_vec()))
        .collect())
}

/// The kinds and objects that words name.
///
/// # Errors
/// When a kind is unknown, with the nearest one.
pub async fn resolve(session: &Session, words: &[String]) -> anyhow::Result<Vec<Target>> {
    let mut targets: Vec<Target> = Vec::new();
    for (kind, names) in split(words)? {
        for resource in session.called(&kind).await? {
            match targets
                .last_mut()
                .filter(|last| last.resource == resource && !last.names.is_empty())
            {
                Some(last) => last.names.extend(names.clone()),
                None => targets.push(Target {
                    resource,
                    names: names.clone(),
                    namespace: None,
                }),
            }
        }
    }
    Ok(targets)
}

/// What narrows a list down.
#[derive(Clone, Debug, Default)]
pub struct Selectors {
    /// `-l`.
    pub labels: Option<String>,
    /// `--field-selector`.
    pub fields: Option<String>,
}

impl Selectors {
    /// As a query string with further parameters; empty when there is nothing.
    #[must_use]
    pub fn query(&self, further: &[(&str, &str)]) -> String {
        let own = [("labelSelector", &self.labels), ("fieldSelector", &self.fields)];
        let own = own
            .into_iter()
            .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)));
        query(&own.chain(further.iter().copied()).collect::<Vec<_>>())
    }
}

/// A list, page by page of at most `chunk` objects (0: all at once), as far as it came, and why it came no further.
pub async fn pages(
    session: &Session,
    collection: &str,
    selectors: &Selectors,
    chunk: u32,
    accept: &str,
    further: &[(&str, &str)],
) -> (Vec<Value>, Result<(), Failure>) {
    let limit = chunk.to_string();
    let (mut pages, mut next) = (Vec::new(), String::new());
    loop {
        let mut parameters = further.to_vec();
        if chunk > 0 {
            parameters.push(("limit", &limit));
        }
        if !next.is_empty() {
            parameters.push(("continue", &next));
        }
        let path = format!("{collection}{}", selectors.query(&parameters));
        let page = match session.get_as(&path, accept).await {
            Ok(page) => page,
            Err(failure) => return (pages, Err(failure)),
        };
        next = page["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        pages.push(page);
        if next.is_empty() {
            return (pages, Ok(()));
        }
    }
}

/// `?a=b&c=d`; empty when there are no parameters.
#[must_use]
pub fn query(parameters: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", escape(value)))
        .collect();
    if pairs.is_empty() {
        String::new()
    } else {
        format!("?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> anyhow::Result<Vec<(String, Vec<String>)>> {
        split(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn words_are_kinds_and_names() {
        let pair = |kind: &str, names: &[&str]| {
            (
                kind.to_owned(),
                names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(),
            )
        };
        assert_eq!(words("pods").expect("fine"), [pair("pods", &[])]);
        assert_eq!(words("pod a b").expect("fine"), [pair("pod", &["a", "b"])]);
        assert_eq!(words("pods,svc").expect("fine"), [pair("pods", &[]), pair("svc", &[])]);
        assert_eq!(
            words("pod/a svc/b").expect("fine"),
            [pair("pod", &["a"]), pair("svc", &["b"])]
        );
        assert!(words("pod pod/a").is_err());
        assert!(words("pod/").is_err());
        assert!(words("a/b/c").is_err());
    }

    #[test]
    fn queries_are_escaped() {
        let selectors = Selectors {
            labels: Some("app in (a,b)".to_owned()),
            fields: None,
        };
        assert_eq!(
            selectors.query(&[("watch", "true")]),
            "?labelSelector=app%20in%20%28a%2Cb%29&watch=true"
        );
        assert_eq!(Selectors::default().query(&[]), "");
    }
}

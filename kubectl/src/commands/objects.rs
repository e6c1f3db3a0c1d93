//! The objects that a verb's words, files and selectors mean, together: what `patch`, `label`, `delete`, `wait`, `edit` and the
//! like begin with.
//!
//! A file's objects are known by name alone, a selector's come with what the server has of them.

use anyhow::{anyhow, bail};
use clap::Args;
use serde_json::Value;

use crate::client::Session;
use crate::commands::following::Followed;
use crate::commands::target::{self, Selectors};
use crate::failure::{Failure, Several};
use crate::manifest::{self, Document};
use crate::resources::Resource;

/// `-f` and `-R`.
#[derive(Args, Clone, Debug, Default)]
pub struct Files {
    /// The objects that a file, folder or URL names; - is what is piped in.
    #[arg(short, long = "filename", value_name = "FILE")]
    pub filename: Vec<String>,
    /// Read folders with what is below them.
    #[arg(short = 'R', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false, action = clap::ArgAction::Set, hide_possible_values = true, hide_default_value = true)]
    pub recursive: bool,
}

/// `-l`, `--field-selector`, `--all` and `-A`.
#[derive(Args, Clone, Debug, Default)]
pub struct Selection {
    /// Only objects with these labels: app=web,tier!=db.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Only objects with these fields: status.phase=Running.
    #[arg(long, value_name = "SELECTOR")]
    pub field_selector: Option<String>,
    /// All objects of the kind in the namespace.
    #[arg(long)]
    pub all: bool,
    /// In all namespaces.
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

impl Selection {
    /// Whether anything is selected other than by name.
    #[must_use]
    pub fn is_given(&self) -> bool {
        self.all || self.selector.is_some() || self.field_selector.is_some()
    }

    /// What narrows the list down.
    #[must_use]
    pub fn selectors(&self) -> Selectors {
        Selectors {
            labels: self.selector.clone(),
            fields: self.field_selector.clone(),
        }
    }
}

/// One object, by its name, as far as it is known.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its kind.
    pub resource: Resource,
    /// Its namespace, where its kind has them.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What a file says of it.
    pub document: Option<Document>,
    /// What the server had of it, when it was found by a list.
    pub object: Option<Value>,
}

impl Named {
    /// Its path on the server.
    #[must_use]
    pub fn path(&self) -> String {
        self.resource.object(&self.namespace, &self.name)
    }

    /// The object as something to follow.
    #[must_use]
    pub fn followed(&self) -> Followed<'_> {
        Followed {
            resource: &self.resource,
            namespace: &self.namespace,
            name: &self.name,
        }
    }

    /// `pod/nginx`, as messages name it.
    #[must_use]
    pub fn shown(&self) -> String {
        self.resource.named(&self.name)
    }

    /// The file that names it, as messages do.
    #[must_use]
    pub fn place(&self) -> Option<String> {
        self.document.as_ref().map(Document::place)
    }

    /// What the server has of it.
    ///
    /// # Errors
    /// Those of asking.
    pub async fn fetch(&self, session: &Session) -> Result<Value, Failure> {
        match &self.object {
            Some(object) => Ok(object.clone()),
            None => session.get(&self.path()).await,
        }
    }
}

impl Files {
    /// Finds what the files name, in their order; what can't be found is told beside those that can.
    ///
    /// # Errors
    /// As [`Wanted::find`].
    pub async fn find(&self, session: &Session) -> anyhow::Result<(Vec<Named>, Vec<anyhow::Error>)> {
        let wanted = Wanted {
            words: &[],
            files: self,
            selection: &Selection::default(),
            kind_is_enough: false,
        };
        wanted.find(session).await
    }
}

/// What a user gave to say which objects.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// `pod nginx`, `pod/nginx svc/web`.
    pub words: &'a [String],
    /// `-f`.
    pub files: &'a Files,
    /// `-l`, `--all`, ...
    pub selection: &'a Selection,
    /// Whether a kind alone means all its objects.
    pub kind_is_enough: bool,
}

impl Wanted<'_> {
    /// Finds them, in the order in which they were named; what can't be found is told beside those that can.
    ///
    /// # Errors
    /// What makes the whole command meaningless: a kind that isn't there, no name.
    pub async fn find(&self, session: &Session) -> anyhow::Result<(Vec<Named>, Vec<anyhow::Error>)> {
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        if self.words.is_empty() && self.files.filename.is_empty() {
            bail!(
                "You must provide one or more resources by argument or filename: `pod nginx`, `pod/nginx` or `-f FILE`"
            );
        }
        if !self.words.is_empty() && !self.files.filename.is_empty() {
            bail!("when paths, URLs, or stdin is provided as input, you may not specify resource arguments as well");
        }
        for document in manifest::read(&self.files.filename, self.files.recursive).await {
            let named = async {
                let mut document = document?;
                let resource = place(session, &mut document).await?;
                Ok::<_, anyhow::Error>(Named {
                    resource,
                    namespace: document.text("/metadata/namespace").to_owned(),
                    name: document.text("/metadata/name").to_owned(),
                    document: Some(document),
                    object: None,
                })
            };
            match named.await {
                Ok(named) => found.push(named),
                Err(error) => errors.push(error),
            }
        }
        for target in target::resolve(session, self.words).await? {
            if !target.names.is_empty() && self.selection.is_given() {
                bail!("name cannot be provided when a selector is specified");
            }
            let named = |name: &str, namespace: &str, object: Option<Value>| Named {
                resource: target.resource.clone(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
                document: None,
                object,
            };
            if !target.names.is_empty() && self.selection.all_namespaces {
                bail!("a resource cannot be retrieved by name across all namespaces");
            }
            found.extend(target.names.iter().map(|name| named(name, &session.namespace, None)));
            if target.names.is_empty() {
                if !self.kind_is_enough && !self.selection.is_given() {
                    bail!("resource(s) were provided, but no name was specified: name the objects, or say --all or -l");
                }
                let namespace = (!self.selection.all_namespaces).then_some(session.namespace.as_str());
                let path = format!(
                    "{}{}",
                    target.resource.collection(namespace),
                    self.selection.selectors().query(&[])
                );
                for object in items(session.get(&path).await?, &target.resource) {
                    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
                    found.push(named(&text("name"), &text("namespace"), Some(object)));
                }
            }
        }
        Ok((found, errors))
    }
}

/// The objects of a list, each with its kind, which lists leave out; or the object itself.
#[must_use]
pub fn items(answer: Value, resource: &Resource) -> Vec<Value> {
    let Value::Object(mut map) = answer else {
        return Vec::new();
    };
    let Some(Value::Array(mut items)) = map.remove("items") else {
        return vec![Value::Object(map)];
    };
    for item in &mut items {
        item["apiVersion"] = Value::from(resource.api_version());
        item["kind"] = Value::from(resource.kind.as_str());
    }
    items
}

/// Nothing, the one error, or all of them.
///
/// # Errors
/// Those given.
pub fn finish(mut errors: Vec<anyhow::Error>) -> anyhow::Result<()> {
    match errors.len() {
        0 => Ok(()),
        1 => Err(errors.remove(0)),
        _ => Err(Several(errors).into()),
    }
}

/// Finds the kind that serves a document, and puts the document into its namespace.
///
/// # Errors
/// When no kind serves it, it has no name, or it belongs to another namespace than `-n` says.
pub async fn place(session: &Session, document: &mut Document) -> anyhow::Result<Resource> {
    let resource = kind_of(session, document).await?;
    if document.text("/metadata/name").is_empty() {
        if !document.text("/metadata/generateName").is_empty() {
            return Err(anyhow!(
                "from {}: cannot use generate name with apply",
                document.text("/metadata/generateName")
            ));
        }
        return Err(anyhow!(
            "unable to decode {}: metadata.name is missing",
            document.place()
        ));
    }
    Ok(resource)
}

/// The same for what is only created: the server may make its name.
///
/// # Errors
/// As [`place`], but for the name.
pub async fn kind_of(session: &Session, document: &mut Document) -> anyhow::Result<Resource> {
    let (api_version, kind) = (document.text("/apiVersion"), document.text("/kind"));
    let Some(resource) = session.serving(api_version, kind).await? else {
        return Err(no_match(session, document).await);
    };
    if resource.namespaced {
        let own = document.text("/metadata/namespace");
        if own.is_empty() {
            document.object["metadata"]["namespace"] = Value::from(session.namespace.as_str());
        } else if session.namespace_is_explicit && own != session.namespace {
            return Err(anyhow!(
                "the namespace from the provided object {own:?} does not match the namespace {:?}. You must pass \
                 '--namespace={own}' to perform this operation.",
                session.namespace
            ));
        }
    }
    Ok(resource)
}

async fn no_match(session: &Session, document: &Document) -> anyhow::Error {
    let (api_version, kind) = (document.text("/apiVersion"), document.text("/kind"));
    let resources = match session.resources().await {
        Ok(resources) => resources,
        Err(failure) => return failure.into(),
    };
    let near = resources.nearest_kind(kind);
    let hint = match near {
        Some(near) => format!(
            "did you mean `apiVersion: {}` and `kind: {}`?",
            near.api_version(),
            near.kind
        ),
        None => "ensure CRDs are installed first".to_owned(),
    };
    anyhow!(
        "resource mapping not found for name: {:?} namespace: {:?} from {}: no matches for kind {kind:?} in version {api_version:?}\n{hint}",
        document.text("/metadata/name"),
        document.text("/metadata/namespace"),
        document.place(),
    )
}

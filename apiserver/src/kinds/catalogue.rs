//! The catalogue: every kind that is served now, the built-in ones and those that CustomResourceDefinitions add while the
//! server runs.
//!
//! ```text
//! CustomResourceDefinition --customs/--> Vec<CustomKind> --replace--> Kinds --at, rules--> http/, registry/, discovery/
//! ```
//! An identity (`&'static Kind`) is interned: made once, and found again when the same one comes back, so that everything can
//! hold it without counting. The rules behind it follow the current definition; whoever needs them asks for them once a
//! request. Reading takes no lock but for the copy of one pointer.

use std::collections::{HashMap, HashSet};
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

use minik_api::kinds::{self, Kind, Subresource};
use tokio::sync::watch;

use super::{Rules, rules};

/// What all interned identities may take; more than any number of definitions that anybody has, less than hurts. An identity
/// stays for as long as the process.
const INTERNED_MAX_BYTES: usize = 32 * 1024 * 1024;

/// The rules of a kind, as they were when they were asked for.
#[derive(Clone)]
pub(crate) enum KindRules {
    /// Compiled in.
    BuiltIn(&'static dyn Rules),
    /// Made from a definition.
    Custom(Arc<dyn Rules>),
}

impl Deref for KindRules {
    type Target = dyn Rules;

    fn deref(&self) -> &Self::Target {
        match self {
            Self::BuiltIn(rules) => *rules,
            Self::Custom(rules) => &**rules,
        }
    }
}

/// A kind that somebody defined.
#[derive(Clone)]
pub(crate) struct CustomKind {
    /// Its identity, from [`intern`].
    pub(crate) kind: &'static Kind,
    /// Its rules.
    pub(crate) rules: Arc<dyn Rules>,
}

type Place = (&'static str, &'static str, &'static str);

/// The customs of one moment.
#[derive(Default)]
struct Customs {
    /// By group, version and plural, in the order of discovery.
    kinds: Vec<CustomKind>,
    places: HashMap<Place, usize>,
}

impl Customs {
    fn at(&self, group: &str, version: &str, plural: &str) -> Option<&CustomKind> {
        let index = self.places.get(&(group, version, plural))?;
        self.kinds.get(*index)
    }
}

/// Every kind that is served.
#[derive(Default)]
pub(crate) struct Kinds {
    customs: RwLock<Arc<Customs>>,
    changes: watch::Sender<()>,
}

impl Kinds {
    fn current(&self) -> Arc<Customs> {
        self.customs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of them: the table first, then the customs.
    pub(crate) fn all(&self) -> Vec<&'static Kind> {
        let customs = self.current();
        let customs = customs.kinds.iter().map(|custom| custom.kind);
        kinds::all().iter().chain(customs).collect()
    }

    /// The kind served at this group, version and plural.
    pub(crate) fn at(&self, group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
        kinds::at(group, version, plural).or_else(|| Some(self.current().at(group, version, plural)?.kind))
    }

    /// A custom kind of this group and plural, in any of its versions: they have the same objects.
    pub(crate) fn of_resource(&self, group: &str, plural: &str) -> Option<&'static Kind> {
        let customs = self.current();
        let mut kinds = customs.kinds.iter().map(|custom| custom.kind);
        kinds.find(|kind| (kind.group, kind.plural) == (group, plural))
    }

    /// The rules of a kind, those of now.
    pub(crate) fn rules(&self, kind: &'static Kind) -> KindRules {
        let customs = self.current();
        match customs.at(kind.group, kind.version, kind.plural) {
            Some(custom) => KindRules::Custom(custom.rules.clone()),
            None => KindRules::BuiltIn(rules(kind)),
        }
    }

    /// The customs, for those who describe them.
    pub(crate) fn customs(&self) -> Vec<CustomKind> {
        self.current().kinds.clone()
    }

    /// Serves these customs from now on, and no others. None may stand in the place of a built-in kind.
    pub(crate) fn replace(&self, mut kinds: Vec<CustomKind>) {
        let place = |custom: &CustomKind| (custom.kind.group, custom.kind.version, custom.kind.plural);
        kinds.retain(|custom| {
            let (group, version, plural) = place(custom);
            kinds::at(group, version, plural).is_none()
        });
        kinds.sort_by(|a, b| {
            let (a, b) = (a.kind, b.kind);
            let by_version = precedence(b.version)
                .cmp(&precedence(a.version))
                .then(a.version.cmp(b.version));
            a.group.cmp(b.group).then(by_version).then(a.plural.cmp(b.plural))
        });
        let places = kinds.iter().enumerate().map(|(index, custom)| (place(custom), index));
        let places = places.collect();
        let mut current = self.customs.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::new(Customs { kinds, places });
        drop(current);
        self.changes.send_replace(());
    }

    /// Wakes whoever serves a custom kind for long: it may be gone.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Ceases to serve a custom kind, named as its definition is: `widgets.example.com`.
    pub(crate) fn withdraw(&self, resource: &str) {
        let mut kinds = self.customs();
        kinds.retain(|custom| custom.kind.resource() != resource);
        self.replace(kinds);
    }
}

/// How versions are preferred (apimachinery's `version.CompareKubeAwareVersionStrings`): `v2`, `v1`, `v2beta1`, `v1alpha1`, and
/// what isn't written like that last.
fn precedence(version: &str) -> (u8, u64, u64) {
    let Some(rest) = version.strip_prefix('v') else {
        return (0, 0, 0);
    };
    let (major, stage) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let Ok(major) = major.parse() else {
        return (0, 0, 0);
    };
    let minor = |level: u8, minor: &str| minor.parse().map_or((0, 0, 0), |minor| (level, major, minor));
    match (stage.strip_prefix("beta"), stage.strip_prefix("alpha")) {
        _ if stage.is_empty() => (3, major, 0),
        (Some(number), _) => minor(2, number),
        (_, Some(number)) => minor(1, number),
        _ => (0, 0, 0),
    }
}

/// A kind as a definition describes it, before it is interned.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// The version in which objects are kept, when there are several.
    pub(crate) stored_in: Option<String>,
    pub(crate) subresources: &'static [Subresource],
}

#[derive(Default)]
struct Interned {
    kinds: HashMap<Identity, &'static Kind>,
    texts: HashSet<&'static str>,
    bytes: usize,
}

static INTERNED: LazyLock<Mutex<Interned>> = LazyLock::new(Mutex::default);

/// The one `Kind` of an identity; `None` when there have been too many different ones since the process began.
pub(crate) fn intern(identity: &Identity) -> Option<&'static Kind> {
    let mut interned = INTERNED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(kind) = interned.kinds.get(identity) {
        return Some(kind);
    }
    interned.bytes += size_of::<Identity>() + size_of::<Kind>();
    let kind = Kind {
        group: interned.text(&identity.group)?,
        version: interned.text(&identity.version)?,
        kind: interned.text(&identity.kind)?,
        plural: interned.text(&identity.plural)?,
        singular: interned.text(&identity.singular)?,
        short_names: interned.texts(&identity.short_names)?,
        categories: interned.texts(&identity.categories)?,
        namespaced: identity.namespaced,
        verbs: kinds::VERBS,
        stored_in: match &identity.stored_in {
            Some(version) => Some((interned.text(&identity.group)?, interned.text(version)?)),
            None => None,
        },
        subresources: identity.subresources,
    };
    let kind: &'static Kind = Box::leak(Box::new(kind));
    interned.kinds.insert(identity.clone(), kind);
    Some(kind)
}

impl Interned {
    fn text(&mut self, text: &str) -> Option<&'static str> {
        if let Some(known) = self.texts.get(text) {
            return Some(known);
        }
        // The identity keeps a copy of its own.
        self.bytes += 2 * text.len() + size_of::<String>();
        if self.bytes > INTERNED_MAX_BYTES {
            return None;
        }
        let text: &'static str = Box::leak(text.into());
        self.texts.insert(text);
        Some(text)
    }

    fn texts(&mut self, texts: &[String]) -> Option<&'static [&'static str]> {
        self.bytes += texts.len() * (size_of::<&str>() + size_of::<String>());
        let texts: Option<Vec<&'static str>> = texts.iter().map(|text| self.text(text)).collect();
        Some(Box::leak(texts?.into_boxed_slice()))
    }
}

#[cfg(test)]
mod tests {
    use minik_api::path::ResourcePath;

    use super::*;

    struct Nothing;

    impl Rules for Nothing {}

    fn identity(group: &str, plural: &str) -> Identity {
        Identity {
            group: group.into(),
            version: "v1".into(),
            kind: "Widget".into(),
            plural: plural.into(),
            singular: "widget".into(),
            namespaced: true,
            ..Identity::default()
        }
    }

    fn custom(group: &str, plural: &str) -> CustomKind {
        CustomKind {
            kind: intern(&identity(group, plural)).expect("there is room"),
            rules: Arc::new(Nothing),
        }
    }

    #[test]
    fn an_identity_that_comes_back_is_the_same() {
        let first = intern(&identity("a.example", "widgets")).expect("there is room");
        let again = intern(&identity("a.example", "widgets")).expect("there is room");
        assert!(std::ptr::eq(first, again));
        let other = intern(&identity("b.example", "widgets")).expect("there is room");
        assert_ne!(first, other);
    }

    #[test]
    fn customs_come_and_go_and_never_hide_what_is_built_in() {
        let kinds = Kinds::default();
        let path = "/apis/a.example/v1/namespaces/n/widgets/w";
        let parse = |path| ResourcePath::parse_with(path, &|group, version, plural| kinds.at(group, version, plural));
        assert_eq!(parse(path), None);
        kinds.replace(vec![custom("a.example", "widgets"), custom("", "pods")]);
        assert_eq!(parse(path).expect("served now").kind.kind, "Widget");
        assert_eq!(kinds.at("", "v1", "pods").expect("built in").kind, "Pod");
        assert_eq!(kinds.all().len(), kinds::all().len() + 1);
        let widget = custom("a.example", "widgets").kind;
        assert!(matches!(kinds.rules(widget), KindRules::Custom(_)));
        kinds.replace(Vec::new());
        assert_eq!(parse(path), None);
        assert!(matches!(kinds.rules(widget), KindRules::BuiltIn(_)));
    }

    #[test]
    fn versions_are_preferred_as_in_kubernetes() {
        let mut versions = ["foo", "v1alpha1", "v10", "v1", "v2beta1", "v2", "v1beta2"];
        versions.sort_by(|a, b| precedence(b).cmp(&precedence(a)).then(a.cmp(b)));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1beta2", "v1alpha1", "foo"]);
    }
}

//! What a name in a proxy's path says: `web`, `web:80`, `https:web:metrics`.

/// `[scheme:]name[:port]`
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// TLS is to be spoken.
    pub(super) https: bool,
    /// Which object.
    pub(super) name: &'a str,
    /// A number, or for services a name; empty: the object's first.
    pub(super) port: &'a str,
}

impl<'a> Asked<'a> {
    /// Reads it; `None` when it is something else (net.SplitSchemeNamePort of apimachinery).
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let parts: Vec<&str> = text.split(':').collect();
        let (https, name, port) = match parts.as_slice() {
            [name] => (false, *name, ""),
            [name, port] => (false, *name, *port),
            ["http" | "", name, port] => (false, *name, *port),
            ["https", name, port] => (true, *name, *port),
            _ => return None,
        };
        (!name.is_empty()).then_some(Self { https, name, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_a_scheme_and_a_port() {
        let asked = |https, name, port| Some(Asked { https, name, port });
        for (text, expected) in [
            ("a", asked(false, "a", "")),
            ("a:80", asked(false, "a", "80")),
            ("a:", asked(false, "a", "")),
            ("http:a:web", asked(false, "a", "web")),
            ("https:a:", asked(true, "a", "")),
            (":a:80", asked(false, "a", "80")),
            ("ftp:a:80", None),
            ("https::80", None),
            ("", None),
            ("a:b:c:d", None),
        ] {
            assert_eq!(Asked::parse(text), expected, "{text}");
        }
    }
}

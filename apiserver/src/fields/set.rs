//! `Set`: a set of fields, a tree of elements whose nodes say whether they belong to it themselves.
//!
//! What a node's children are says nothing of the node: a manager can own `.metadata.labels.app` without `.metadata.labels`.
//! All operations go through the tree once. Invariant: every node is a member or has members below it.

use std::collections::BTreeMap;

use super::element::Element;

/// A set of fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Set {
    nodes: BTreeMap<Element, Node>,
}

/// A field and what is below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    /// The field itself is in the set.
    pub(crate) member: bool,
    /// The fields below it.
    pub(crate) below: Set,
}

impl Node {
    /// The field itself and nothing below it.
    pub(crate) fn leaf() -> Self {
        Self {
            member: true,
            below: Set::default(),
        }
    }

    /// Nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }

    fn remove(&mut self, other: &Self, recursive: bool) {
        self.member &= !other.member;
        if other.member && recursive {
            self.below = Set::default();
        } else {
            self.below.remove(&other.below, recursive);
        }
    }
}

impl Set {
    /// The set of fields with these names, `metadata.name`.
    pub(crate) fn of(paths: &[&str]) -> Self {
        let mut set = Self::default();
        for path in paths {
            let elements: Vec<Element> = path.split('.').map(|name| Element::Field(name.to_owned())).collect();
            set.insert(&elements);
        }
        set
    }

    /// Nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Adds a field, but not those above it.
    pub(crate) fn insert(&mut self, path: &[Element]) {
        match path {
            [] => {}
            [last] => self.nodes.entry(last.clone()).or_default().member = true,
            [first, rest @ ..] => self.nodes.entry(first.clone()).or_default().below.insert(rest),
        }
    }

    /// Adds what is at and below an element.
    pub(crate) fn put(&mut self, element: Element, node: Node) {
        if node.is_empty() {
            return;
        }
        let there = self.nodes.entry(element).or_default();
        there.member |= node.member;
        there.below = std::mem::take(&mut there.below).union(node.below);
    }

    /// Whether the field is in the set.
    pub(crate) fn has(&self, path: &[Element]) -> bool {
        match path {
            [] => false,
            [last] => self.nodes.get(last).is_some_and(|node| node.member),
            [first, rest @ ..] => self.nodes.get(first).is_some_and(|node| node.below.has(rest)),
        }
    }

    /// What is at and below an element.
    pub(crate) fn get(&self, element: &Element) -> Option<&Node> {
        self.nodes.get(element)
    }

    /// The elements at the top, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Element, &Node)> {
        self.nodes.iter()
    }

    /// What is in one or the other.
    pub(crate) fn union(mut self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        for (element, node) in other.nodes {
            self.put(element, node);
        }
        self
    }

    /// What is in both.
    pub(crate) fn intersection(&self, other: &Self) -> Self {
        let both = self.nodes.iter().filter_map(|(element, node)| {
            let other = other.nodes.get(element)?;
            let node = Node {
                member: node.member && other.member,
                below: node.below.intersection(&other.below),
            };
            (!node.is_empty()).then(|| (element.clone(), node))
        });
        Self { nodes: both.collect() }
    }

    /// What is in this set and not in the other.
    pub(crate) fn difference(mut self, other: &Self) -> Self {
        self.remove(other, false);
        self
    }

    /// The same, without what is below members of the other set.
    pub(crate) fn recursive_difference(mut self, other: &Self) -> Self {
        self.remove(other, true);
        self
    }

    /// Goes through the smaller of the two: there may be many managers, or much that has changed.
    fn remove(&mut self, other: &Self, recursive: bool) {
        if self.nodes.len() < other.nodes.len() {
            self.nodes.retain(|element, node| {
                if let Some(other) = other.nodes.get(element) {
                    node.remove(other, recursive);
                }
                !node.is_empty()
            });
            return;
        }
        for (element, other) in &other.nodes {
            if let Some(node) = self.nodes.get_mut(element) {
                node.remove(other, recursive);
                if node.is_empty() {
                    self.nodes.remove(element);
                }
            }
        }
    }

    /// Each field, with its way; members of a level before what is below them, as upstream lists them.
    pub(crate) fn paths(&self) -> Vec<Vec<Element>> {
        let mut paths = Vec::new();
        self.gather(&mut Vec::new(), &mut paths);
        paths
    }

    fn gather(&self, way: &mut Vec<Element>, paths: &mut Vec<Vec<Element>>) {
        for (element, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            way.push(element.clone());
            paths.push(way.clone());
            way.pop();
        }
        for (element, node) in &self.nodes {
            way.push(element.clone());
            node.below.gather(way, paths);
            way.pop();
        }
    }
}

/// A way as messages show it: `.spec.containers[name="web"].image`.
pub(crate) fn text(path: &[Element]) -> String {
    path.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_not_those_above_or_below_it() {
        let set = Set::of(&["a.b", "c"]);
        let path = |text: &str| -> Vec<Element> { text.split('.').map(|name| Element::Field(name.into())).collect() };
        assert!(set.has(&path("a.b")) && set.has(&path("c")));
        assert!(!set.has(&path("a")) && !set.has(&path("a.b.c")) && !set.has(&[]));
        assert_eq!(Set::of(&["a", "a.b"]).difference(&Set::of(&["a"])), Set::of(&["a.b"]));
        assert_eq!(Set::of(&["a.b"]).difference(&Set::of(&["a"])), Set::of(&["a.b"]));
        let without = Set::of(&["a", "a.b", "c.d"]).recursive_difference(&Set::of(&["a"]));
        assert_eq!(without, Set::of(&["c.d"]));
        assert!(Set::of(&["a.b"]).difference(&Set::of(&["a.b"])).is_empty());
    }

    #[test]
    fn members_come_before_what_is_below_them() {
        let paths: Vec<String> = Set::of(&["a.b", "a", "c"])
            .paths()
            .iter()
            .map(|path| text(path))
            .collect();
        assert_eq!(paths, [".a", ".c", ".a.b"]);
    }
}

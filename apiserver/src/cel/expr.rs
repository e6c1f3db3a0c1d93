//! The tree of an expression: what a parser makes and an evaluation walks.

use std::sync::Arc;

/// An expression and where it begins in its source, in characters.
#[derive(Debug)]
pub(super) struct Expr {
    pub(super) at: usize,
    pub(super) node: Node,
    /// How many levels it has, itself included: what walks it needs as much stack.
    pub(super) depth: usize,
}

impl Expr {
    pub(super) fn new(at: usize, node: Node) -> Self {
        let mut deepest = 0;
        node.children(&mut |child| deepest = deepest.max(child.depth));
        Self {
            at,
            node,
            depth: deepest + 1,
        }
    }
}

impl Node {
    /// Shows every expression right below.
    pub(super) fn children<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Self::Literal(_) | Self::Ident(_) => {}
            Self::Select { of, .. } | Self::Has { of, .. } | Self::Not(of) | Self::Negate(of) => visit(of),
            Self::Index { of, index, .. } => [of, index].into_iter().for_each(|child| visit(child)),
            Self::Call {
                receiver, arguments, ..
            } => receiver.iter().map(|child| &**child).chain(arguments).for_each(visit),
            Self::Binary(_, left, right) => [left, right].into_iter().for_each(|child| visit(child)),
            Self::And(parts) | Self::Or(parts) => parts.iter().for_each(visit),
            Self::Conditional(parts) => parts.iter().for_each(visit),
            Self::List(items) => items.iter().for_each(|(_, item)| visit(item)),
            Self::Map(entries) => {
                for (_, key, value) in entries {
                    visit(key);
                    visit(value);
                }
            }
            Self::Comprehension(comprehension) => {
                let Comprehension {
                    range,
                    condition,
                    result,
                    ..
                } = &**comprehension;
                std::iter::once(range).chain(condition).chain(result).for_each(visit);
            }
        }
    }
}

#[derive(Debug)]
pub(super) enum Node {
    Literal(Literal),
    Ident(Arc<str>),
    /// `a.b`, `a.?b`
    Select {
        of: Box<Expr>,
        field: Arc<str>,
        optional: bool,
    },
    /// `has(a.b)`
    Has {
        of: Box<Expr>,
        field: Arc<str>,
    },
    /// `a[b]`, `a[?b]`
    Index {
        of: Box<Expr>,
        index: Box<Expr>,
        optional: bool,
    },
    /// `f(a)`, `a.f(b)`
    Call {
        receiver: Option<Box<Expr>>,
        name: Arc<str>,
        arguments: Vec<Expr>,
    },
    Not(Box<Expr>),
    Negate(Box<Expr>),
    Binary(Operator, Box<Expr>, Box<Expr>),
    /// `a && b && c` in one: long chains are common, deep trees are not wanted.
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Conditional(Box<[Expr; 3]>),
    /// The flags: an item is optional (`[?a]`).
    List(Vec<(bool, Expr)>),
    Map(Vec<(bool, Expr, Expr)>),
    Comprehension(Box<Comprehension>),
}

#[derive(Clone, Debug)]
pub(super) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
}

/// A macro over the items of a list or the entries of a map.
#[derive(Debug)]
pub(super) struct Comprehension {
    pub(super) kind: Macro,
    pub(super) range: Expr,
    /// The item, or index (key) and item.
    pub(super) variables: Vec<Arc<str>>,
    /// What is asked of each item, or which items are taken.
    pub(super) condition: Option<Expr>,
    /// What becomes of an item.
    pub(super) result: Option<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Macro {
    All,
    Exists,
    ExistsOne,
    Filter,
    /// A list of results; also `transformList`.
    Map,
    /// A map with the same keys.
    TransformMap,
    /// The items in the order of their results.
    SortBy,
    /// `cel.bind(name, value, result)`
    Bind,
    /// `optional.optMap(name, result)`
    OptMap,
    /// The same, whose result is optional itself.
    OptFlatMap,
}

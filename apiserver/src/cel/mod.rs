//! CEL, the Common Expression Language, as Kubernetes has it: for the rules of custom kinds and of admission policies.
//!
//! ```text
//! source --token, parse--> tree --check--> Program --eval, with variables and a budget--> value
//! ```
//! The language is cel-spec's, with the libraries that Kubernetes adds (lists, regex, URLs, addresses, quantities, formats,
//! sets, optional values). It is written here because the budget has to be in the middle of it: an expression comes from
//! whoever may define a kind, runs with every write, and has to end. The crates that there are evaluate without a budget, and
//! parse by recursion that takes megabytes of stack for what is nested a few dozen levels deep.

mod arithmetic;
mod check;
mod duration;
mod eval;
mod expr;
mod functions;
mod parse;
#[cfg(test)]
mod tests;
mod token;
mod value;

pub(crate) use check::Declaration;
pub(crate) use duration::parse as parse_duration;
pub(crate) use functions::authorizer::{Asked, Decide, ResourceAsked};
pub(crate) use value::{Kind, Map, Scalar, Typed, Value};

use crate::customs::schema::pattern;

use eval::Patterns;
use expr::{Expr, Literal, Node};

/// What one evaluation may cost (upstream's `PerCallLimit`).
pub(crate) const CALL_LIMIT: u64 = 1_000_000;
/// What all rules of one object may cost together (upstream's `RuntimeCELCostBudget`).
pub(crate) const OBJECT_BUDGET: u64 = 10_000_000;

/// The source is no expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct SyntaxError {
    /// Where, in characters.
    at: usize,
    message: String,
}

/// An evaluation came to no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// It would have cost too much.
    #[error("operation cancelled: actual cost limit exceeded")]
    CostExceeded,
    /// What it met on the way can't be.
    #[error("{0}")]
    Undefined(String),
}

impl Failure {
    fn new(message: impl Into<String>) -> Self {
        Self::Undefined(message.into())
    }

    fn no_overload() -> Self {
        Self::new("no such overload")
    }

    fn overflow() -> Self {
        Self::new("integer overflow")
    }

    /// Whether values had types that the operation hasn't.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(self, Self::Undefined(message) if message == "no such overload")
    }
}

/// An expression that can be evaluated.
#[derive(Debug)]
pub(crate) struct Program {
    expr: Expr,
    patterns: Patterns,
}

/// What came of an evaluation.
pub(crate) struct Evaluated<'a> {
    /// The value.
    pub(crate) outcome: Result<Value<'a>, Failure>,
    /// What it cost.
    pub(crate) cost: u64,
}

impl Program {
    /// Reads a source, and checks it against what its variables are declared to be.
    ///
    /// # Errors
    /// Why it doesn't compile, in cel-go's form: where, and the line with a mark below.
    pub(crate) fn compile(source: &str, declared: &[Declaration<'_>], wanted: Kind) -> Result<Self, String> {
        let expr = parse::parse(source).map_err(|error| located(source, &error))?;
        let mut errors = check::check(&expr, declared, wanted);
        let mut patterns = Patterns::new();
        compile_patterns(&expr, &mut patterns, &mut errors);
        if errors.is_empty() {
            return Ok(Self { expr, patterns });
        }
        let errors: Vec<String> = errors.iter().map(|error| located(source, error)).collect();
        Err(errors.join("\n"))
    }

    /// Evaluates with these variables, for at most this cost.
    pub(crate) fn evaluate<'a>(&'a self, variables: Vec<(&'a str, Value<'a>)>, budget: u64) -> Evaluated<'a> {
        let mut evaluation = eval::Evaluation::new(variables, &self.patterns, budget);
        let outcome = evaluation.eval(&self.expr);
        Evaluated {
            outcome,
            cost: budget - evaluation.left(),
        }
    }

    /// Whether the expression asks for this variable.
    pub(crate) fn uses(&self, name: &str) -> bool {
        check::uses(&self.expr, name)
    }
}

/// The patterns that stand in the source as they are.
fn compile_patterns(expr: &Expr, patterns: &mut Patterns, errors: &mut Vec<SyntaxError>) {
    if let Node::Call { name, arguments, .. } = &expr.node
        && ["matches", "find", "findAll"].contains(&&**name)
        && let Some(Node::Literal(Literal::Text(source))) = arguments.first().map(|argument| &argument.node)
    {
        match pattern::compile(source) {
            Ok(compiled) => drop(patterns.insert(source.clone(), compiled)),
            Err(error) => errors.push(SyntaxError {
                at: expr.at,
                message: format!("invalid {name} argument: {error}"),
            }),
        }
    }
    expr.node
        .children(&mut |child| compile_patterns(child, patterns, errors));
}

fn located(source: &str, error: &SyntaxError) -> String {
    let before: String = source.chars().take(error.at).collect();
    let line_number = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count();
    let line = source.lines().nth(line_number - 1).unwrap_or_default();
    format!(
        "ERROR: <input>:{line_number}:{}: {}\n | {line}\n | {}^",
        column + 1,
        error.message,
        ".".repeat(column)
    )
}

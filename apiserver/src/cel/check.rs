//! What can be said about an expression before there are values: names that nobody declared, functions that there aren't,
//! fields that a schema hasn't, a result of the wrong kind. What isn't known isn't judged.

use super::SyntaxError;
use super::expr::{Comprehension, Expr, Literal, Macro, Node, Operator};
use super::functions;
use super::value::{Kind, Typed, unescaped};

/// A variable and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Declaration<'a> {
    pub(crate) name: &'a str,
    pub(crate) of: Option<&'a dyn Typed>,
}

/// What is known of an expression's value.
#[derive(Clone, Copy)]
struct Known<'a> {
    kind: Kind,
    of: Option<&'a dyn Typed>,
}

const ANY: Known<'static> = Known {
    kind: Kind::Any,
    of: None,
};

/// What is wrong with an expression whose value has to be of the kind `wanted`.
pub(super) fn check(expr: &Expr, declared: &[Declaration<'_>], wanted: Kind) -> Vec<SyntaxError> {
    let mut check = Check {
        variables: declared.iter().map(|one| (one.name, typed(one.of))).collect(),
        errors: Vec::new(),
    };
    let found = check.expr(expr);
    if check.errors.is_empty() && wanted != Kind::Any && found.kind != Kind::Any && found.kind != wanted {
        let name = if wanted == Kind::Bool { "bool" } else { "string" };
        check.fail(expr, format!("must evaluate to {name}"));
    }
    check.errors
}

/// Whether a variable is asked for.
pub(super) fn uses(expr: &Expr, name: &str) -> bool {
    if matches!(&expr.node, Node::Ident(ident) if &**ident == name) {
        return true;
    }
    let mut found = false;
    expr.node.children(&mut |child| found = found || uses(child, name));
    found
}

fn typed(of: Option<&dyn Typed>) -> Known<'_> {
    Known {
        kind: of.map_or(Kind::Any, Typed::kind),
        of,
    }
}

fn plain(kind: Kind) -> Known<'static> {
    Known { kind, of: None }
}

struct Check<'a> {
    variables: Vec<(&'a str, Known<'a>)>,
    errors: Vec<SyntaxError>,
}

impl<'a> Check<'a> {
    fn fail(&mut self, expr: &Expr, message: String) {
        self.errors.push(SyntaxError { at: expr.at, message });
    }

    fn is_variable(&self, name: &str) -> bool {
        self.variables.iter().any(|(one, _)| *one == name)
    }

    fn expr(&mut self, expr: &'a Expr) -> Known<'a> {
        match &expr.node {
            Node::Literal(literal) => plain(match literal {
                Literal::Bool(_) => Kind::Bool,
                Literal::Int(_) => Kind::Int,
                Literal::Double(_) => Kind::Double,
                Literal::Text(_) => Kind::Text,
                Literal::Bytes(_) => Kind::Bytes,
                Literal::Null | Literal::Uint(_) => Kind::Any,
            }),
            Node::Ident(name) => self.ident(expr, name),
            Node::Select { of, field, optional } => {
                let of = self.expr(of);
                let found = self.field(expr, of, field);
                if *optional { ANY } else { found }
            }
            Node::Has { of, field } => {
                let of = self.expr(of);
                self.field(expr, of, field);
                plain(Kind::Bool)
            }
            Node::Index { of, index, optional } => {
                let of = self.expr(of);
                self.expr(index);
                let item = match of.kind {
                    Kind::List => of.of.and_then(Typed::items),
                    Kind::Map => of.of.and_then(|of| of.field("")),
                    _ => None,
                };
                if *optional { ANY } else { typed(item) }
            }
            Node::Call {
                receiver,
                name,
                arguments,
            } => self.call(expr, receiver.as_deref(), name, arguments),
            Node::Not(inner) => {
                self.boolean(inner, "!_");
                plain(Kind::Bool)
            }
            Node::Negate(inner) => self.expr(inner),
            Node::Binary(operator, left, right) => self.binary(expr, *operator, left, right),
            Node::And(parts) | Node::Or(parts) => {
                let sign = if matches!(expr.node, Node::And(_)) {
                    "_&&_"
                } else {
                    "_||_"
                };
                for part in parts {
                    self.boolean(part, sign);
                }
                plain(Kind::Bool)
            }
            Node::Conditional(parts) => {
                self.boolean(&parts[0], "_?_:_");
                let (then, otherwise) = (self.expr(&parts[1]), self.expr(&parts[2]));
                if then.kind == otherwise.kind { then } else { ANY }
            }
            Node::List(items) => {
                for (_, item) in items {
                    self.expr(item);
                }
                plain(Kind::List)
            }
            Node::Map(entries) => {
                for (_, key, value) in entries {
                    self.expr(key);
                    self.expr(value);
                }
                plain(Kind::Map)
            }
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn boolean(&mut self, expr: &'a Expr, sign: &str) {
        let found = self.expr(expr);
        if !matches!(found.kind, Kind::Bool | Kind::Any) {
            let message = format!(
                "found no matching overload for '{sign}' applied to '({})'",
                shown(found.kind)
            );
            self.fail(expr, message);
        }
    }

    fn ident(&mut self, expr: &Expr, name: &str) -> Known<'a> {
        let mut known = self.variables.iter().rev();
        if let Some((_, found)) = known.find(|(one, _)| *one == name) {
            return *found;
        }
        if functions::type_named(name).is_none() {
            self.fail(expr, format!("undeclared reference to '{name}' (in container '')"));
        }
        ANY
    }

    fn field(&mut self, expr: &Expr, of: Known<'a>, name: &str) -> Known<'a> {
        let Some(schema) = of.of else {
            if matches!(of.kind, Kind::Text | Kind::Int | Kind::Double | Kind::Bool | Kind::List) {
                self.fail(
                    expr,
                    format!("type '{}' does not support field selection", shown(of.kind)),
                );
            }
            return ANY;
        };
        let found = schema.field(name).or_else(|| schema.field(&unescaped(name)));
        match (of.kind, found) {
            (Kind::Fields | Kind::Map, Some(found)) => typed(Some(found)),
            (Kind::Fields, None) => {
                self.fail(expr, format!("undefined field '{name}'"));
                ANY
            }
            (Kind::Any | Kind::Map, _) => ANY,
            _ => {
                self.fail(
                    expr,
                    format!("type '{}' does not support field selection", shown(of.kind)),
                );
                ANY
            }
        }
    }

    fn call(&mut self, expr: &Expr, receiver: Option<&'a Expr>, name: &str, arguments: &'a [Expr]) -> Known<'a> {
        match receiver.map(|receiver| (&receiver.node, receiver)) {
            Some((Node::Ident(space), _)) if functions::is_namespace(space) && !self.is_variable(space) => {}
            Some((_, receiver)) => drop(self.expr(receiver)),
            None => {}
        }
        for argument in arguments {
            self.expr(argument);
        }
        if !functions::is_known(name) {
            self.fail(expr, format!("undeclared reference to '{name}' (in container '')"));
        }
        plain(match name {
            "size" | "int" => Kind::Int,
            "startsWith" | "endsWith" | "matches" | "isSorted" | "hasValue" | "bool" | "isURL" | "isIP" | "isCIDR"
            | "isQuantity" => Kind::Bool,
            "string" | "lowerAscii" | "upperAscii" | "join" | "trim" | "charAt" => Kind::Text,
            "double" => Kind::Double,
            _ => Kind::Any,
        })
    }

    fn binary(&mut self, expr: &Expr, operator: Operator, left: &'a Expr, right: &'a Expr) -> Known<'a> {
        let (left, right) = (self.expr(left), self.expr(right));
        let is_arithmetic = matches!(
            operator,
            Operator::Add | Operator::Subtract | Operator::Multiply | Operator::Divide | Operator::Remainder
        );
        let number = |kind| matches!(kind, Kind::Int | Kind::Double);
        let simple = |kind| matches!(kind, Kind::Int | Kind::Double | Kind::Text | Kind::Bool);
        let known = simple(left.kind) && simple(right.kind);
        let fits = left.kind == right.kind || (number(left.kind) && number(right.kind) && !is_arithmetic);
        if known && !fits && operator != Operator::In {
            let sign = sign(operator);
            let (a, b) = (shown(left.kind), shown(right.kind));
            self.fail(
                expr,
                format!("found no matching overload for '_{sign}_' applied to '({a}, {b})'"),
            );
        }
        match (is_arithmetic, left.kind == right.kind) {
            (false, _) => plain(Kind::Bool),
            (true, true) => left,
            (true, false) => ANY,
        }
    }

    fn comprehension(&mut self, comprehension: &'a Comprehension) -> Known<'a> {
        let range = self.expr(&comprehension.range);
        let bound = self.variables.len();
        let item = match range.kind {
            Kind::List => typed(range.of.and_then(Typed::items)),
            _ => ANY,
        };
        match comprehension.variables.as_slice() {
            [name] if comprehension.kind == Macro::Bind => self.variables.push((name, range)),
            [name] if range.kind == Kind::List => self.variables.push((name, item)),
            [first, second] if range.kind == Kind::List => {
                self.variables.extend([(&**first, plain(Kind::Int)), (&**second, item)]);
            }
            names => self.variables.extend(names.iter().map(|name| (&**name, ANY))),
        }
        if let Some(condition) = &comprehension.condition {
            self.boolean(condition, "_?_:_");
        }
        let result = comprehension.result.as_ref().map_or(ANY, |result| self.expr(result));
        self.variables.truncate(bound);
        match comprehension.kind {
            Macro::All | Macro::Exists | Macro::ExistsOne => plain(Kind::Bool),
            Macro::Filter | Macro::SortBy if range.kind == Kind::List => range,
            Macro::Filter | Macro::SortBy | Macro::Map => plain(Kind::List),
            Macro::TransformMap => plain(Kind::Map),
            Macro::Bind => result,
            Macro::OptMap | Macro::OptFlatMap => ANY,
        }
    }
}

fn shown(kind: Kind) -> &'static str {
    match kind {
        Kind::Fields => "object",
        Kind::Map => "map",
        Kind::List => "list",
        Kind::Text => "string",
        Kind::Int => "int",
        Kind::Double => "double",
        Kind::Bool => "bool",
        Kind::Timestamp => "google.protobuf.Timestamp",
        Kind::Duration => "google.protobuf.Duration",
        Kind::Bytes => "bytes",
        Kind::Any => "dyn",
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Remainder => "%",
        Operator::Equal => "==",
        Operator::NotEqual => "!=",
        Operator::Less => "<",
        Operator::LessOrEqual => "<=",
        Operator::Greater => ">",
        Operator::GreaterOrEqual => ">=",
        Operator::In => "@in",
    }
}

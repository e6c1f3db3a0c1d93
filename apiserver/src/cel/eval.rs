//! Evaluation: a walk over the tree, paid for step by step. Whoever wrote the expression, it ends: there are no loops but over
//! what is there, every step and every byte that is made costs, and what is left of the budget is checked before.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;

use super::Failure;
use super::expr::{Comprehension, Expr, Literal, Macro, Node, Operator};
use super::functions;
use super::value::{List, Map, Text, Value};
use crate::customs::schema::pattern;

/// The patterns of an expression, compiled.
pub(super) type Patterns = HashMap<Arc<str>, Regex>;

type Outcome<'a> = Result<Value<'a>, Failure>;

/// What an evaluation may still cost.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    left: u64,
    /// Those that stand in the source are compiled with it.
    patterns: &'a Patterns,
}

/// What compiling a pattern costs that comes from elsewhere than the source.
const PATTERN_COST: u64 = 5_000;

impl<'a> Meter<'a> {
    /// A pattern, compiled.
    pub(super) fn pattern(&mut self, source: &str) -> Result<Cow<'a, Regex>, Failure> {
        if let Some(compiled) = self.patterns.get(source) {
            return Ok(Cow::Borrowed(compiled));
        }
        self.spend(PATTERN_COST + source.len() as u64)?;
        let compiled =
            pattern::compile(source).map_err(|error| Failure::new(format!("error parsing regexp: {error}")))?;
        Ok(Cow::Owned(compiled))
    }

    /// Pays for something.
    pub(super) fn spend(&mut self, cost: u64) -> Result<(), Failure> {
        match self.left.checked_sub(cost) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(Failure::CostExceeded)
            }
        }
    }
}

/// An evaluation under way.
pub(super) struct Evaluation<'a> {
    variables: Vec<(&'a str, Value<'a>)>,
    meter: Meter<'a>,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(variables: Vec<(&'a str, Value<'a>)>, patterns: &'a Patterns, budget: u64) -> Self {
        Self {
            variables,
            meter: Meter { left: budget, patterns },
        }
    }

    /// What is left of the budget.
    pub(super) fn left(&self) -> u64 {
        self.meter.left
    }

    pub(super) fn eval(&mut self, expr: &'a Expr) -> Outcome<'a> {
        self.meter.spend(1)?;
        match &expr.node {
            Node::Literal(literal) => Ok(constant(literal)),
            Node::Ident(name) => self.ident(name),
            Node::Select { of, field, optional } => {
                let of = self.eval(of)?;
                select(&of, field, *optional)
            }
            Node::Has { of, field } => {
                let of = self.eval(of)?;
                has(&of, field)
            }
            Node::Index { of, index, optional } => {
                let (of, index) = (self.eval(of)?, self.eval(index)?);
                at(&of, &index, *optional)
            }
            Node::Call {
                receiver,
                name,
                arguments,
            } => self.call(receiver.as_deref(), name, arguments),
            Node::Not(inner) => match self.eval(inner)? {
                Value::Bool(is) => Ok(Value::Bool(!is)),
                _ => Err(Failure::no_overload()),
            },
            Node::Negate(inner) => match self.eval(inner)? {
                Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(Failure::overflow),
                Value::Double(number) => Ok(Value::Double(-number)),
                _ => Err(Failure::no_overload()),
            },
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.eval(left)?, self.eval(right)?);
                self.binary(*operator, &left, &right)
            }
            Node::And(parts) => self.logic(parts, false),
            Node::Or(parts) => self.logic(parts, true),
            Node::Conditional(parts) => match self.eval(&parts[0])? {
                Value::Bool(true) => self.eval(&parts[1]),
                Value::Bool(false) => self.eval(&parts[2]),
                _ => Err(Failure::no_overload()),
            },
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    fn variable(&self, name: &str) -> Option<&Value<'a>> {
        let mut known = self.variables.iter().rev();
        known.find(|(one, _)| *one == name).map(|(_, value)| value)
    }

    fn ident(&self, name: &str) -> Outcome<'a> {
        match self.variable(name) {
            Some(value) => Ok(value.clone()),
            None => functions::type_named(name)
                .map(Value::Type)
                .ok_or_else(|| Failure::new(format!("no such attribute: {name}"))),
        }
    }

    fn call(&mut self, receiver: Option<&'a Expr>, name: &'a str, arguments: &'a [Expr]) -> Outcome<'a> {
        let mut values = Vec::with_capacity(arguments.len() + 1);
        let mut space = None;
        match receiver.map(|receiver| (&receiver.node, receiver)) {
            Some((Node::Ident(ident), _)) if functions::is_namespace(ident) && self.variable(ident).is_none() => {
                space = Some(&**ident);
            }
            Some((_, receiver)) => values.push(self.eval(receiver)?),
            None => {}
        }
        if name == "orValue" || name == "or" {
            return self.or_value(&values, arguments, name);
        }
        for argument in arguments {
            values.push(self.eval(argument)?);
        }
        self.meter.spend(values.iter().map(Value::weight).sum())?;
        let made = functions::call(
            space,
            name,
            receiver.is_some() && space.is_none(),
            &values,
            &mut self.meter,
        )?;
        self.meter.spend(made.weight())?;
        Ok(made)
    }

    /// The alternative is evaluated only when it is needed.
    fn or_value(&mut self, values: &[Value<'a>], arguments: &'a [Expr], name: &str) -> Outcome<'a> {
        match (values, arguments) {
            ([Value::Optional(Some(value))], [_]) if name == "orValue" => Ok((**value).clone()),
            ([some @ Value::Optional(Some(_))], [_]) => Ok(some.clone()),
            ([Value::Optional(None)], [other]) => self.eval(other),
            _ => Err(Failure::no_overload()),
        }
    }

    /// `&&` ends at the first false, `||` at the first true; an error counts only when nothing decides.
    fn logic(&mut self, parts: &'a [Expr], decides: bool) -> Outcome<'a> {
        let mut failed = None;
        for part in parts {
            match self.eval(part) {
                Ok(Value::Bool(is)) if is == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => failed = failed.or_else(|| Some(Failure::no_overload())),
                Err(Failure::CostExceeded) => return Err(Failure::CostExceeded),
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        failed.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn binary(&mut self, operator: Operator, left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
        let order = |wanted: fn(Ordering) -> bool| match (left, right) {
            (Value::Double(number), _) | (_, Value::Double(number)) if number.is_nan() => Ok(Value::Bool(false)),
            (Value::Quantity(_), _) => Err(Failure::no_overload()),
            _ => left
                .compare(right)
                .map(|order| Value::Bool(wanted(order)))
                .ok_or_else(Failure::no_overload),
        };
        self.meter.spend(left.weight().min(right.weight()))?;
        match operator {
            Operator::Equal => Ok(Value::Bool(left.equals(right, &mut self.meter)?)),
            Operator::NotEqual => Ok(Value::Bool(!left.equals(right, &mut self.meter)?)),
            Operator::Less => order(Ordering::is_lt),
            Operator::LessOrEqual => order(Ordering::is_le),
            Operator::Greater => order(Ordering::is_gt),
            Operator::GreaterOrEqual => order(Ordering::is_ge),
            Operator::In => match right {
                Value::List(list) => Ok(Value::Bool(functions::contains(list, left, &mut self.meter)?)),
                Value::Map(map) => Ok(Value::Bool(map.get(left).is_some())),
                _ => Err(Failure::no_overload()),
            },
            Operator::Add if matches!(left, Value::Text(_) | Value::Bytes(_) | Value::List(_)) => {
                self.meter.spend(left.weight() + right.weight())?;
                joined(left, right)
            }
            _ => super::arithmetic::calculate(operator, left, right),
        }
    }

    fn list(&mut self, items: &'a [(bool, Expr)]) -> Outcome<'a> {
        let mut list = Vec::with_capacity(items.len());
        for (optional, item) in items {
            match (self.eval(item)?, optional) {
                (value, false) => list.push(value),
                (Value::Optional(value), true) => list.extend(value.map(|value| (*value).clone())),
                _ => return Err(Failure::no_overload()),
            }
        }
        Ok(Value::list(list))
    }

    fn map(&mut self, entries: &'a [(bool, Expr, Expr)]) -> Outcome<'a> {
        let mut map: Vec<(Value<'a>, Value<'a>)> = Vec::with_capacity(entries.len());
        for (optional, key, value) in entries {
            let key = self.eval(key)?;
            for (one, _) in &map {
                if one.equals(&key, &mut self.meter)? {
                    return Err(Failure::new("duplicate map key"));
                }
            }
            match (self.eval(value)?, optional) {
                (value, false) => map.push((key, value)),
                (Value::Optional(value), true) => map.extend(value.map(|value| (key, (*value).clone()))),
                _ => return Err(Failure::no_overload()),
            }
        }
        Ok(Value::Map(Map::Built(Arc::new(map))))
    }

    fn comprehension(&mut self, comprehension: &'a Comprehension) -> Outcome<'a> {
        let range = self.eval(&comprehension.range)?;
        let bound = self.variables.len();
        let outcome = match comprehension.kind {
            Macro::Bind | Macro::OptMap | Macro::OptFlatMap => self.bound(comprehension, range),
            _ => self.folded(comprehension, &range),
        };
        self.variables.truncate(bound);
        outcome
    }

    /// One value under a name of its own.
    fn bound(&mut self, comprehension: &'a Comprehension, range: Value<'a>) -> Outcome<'a> {
        let (Some(name), Some(result)) = (comprehension.variables.first(), &comprehension.result) else {
            return Err(Failure::no_overload());
        };
        let value = match (comprehension.kind, range) {
            (Macro::Bind, value) => value,
            (_, Value::Optional(Some(value))) => (*value).clone(),
            (_, none @ Value::Optional(None)) => return Ok(none),
            _ => return Err(Failure::no_overload()),
        };
        self.variables.push((name, value));
        let result = self.eval(result)?;
        Ok(match comprehension.kind {
            Macro::OptMap => Value::some(result),
            _ => result,
        })
    }

    fn folded(&mut self, comprehension: &'a Comprehension, range: &Value<'a>) -> Outcome<'a> {
        let pairs: Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + '_> = match range {
            Value::List(list) => Box::new(list.iter().enumerate().map(|(index, item)| {
                let index = Value::Int(i64::try_from(index).unwrap_or(i64::MAX));
                (index, item)
            })),
            Value::Map(map) => Box::new(map.iter()),
            _ => return Err(Failure::no_overload()),
        };
        let is_map = matches!(range, Value::Map(_));
        let mut fold = Fold::new(comprehension.kind);
        for (key, item) in pairs {
            self.meter.spend(1)?;
            let bound = self.variables.len();
            match comprehension.variables.as_slice() {
                [name] => self
                    .variables
                    .push((name, if is_map { key.clone() } else { item.clone() })),
                [first, second] => self
                    .variables
                    .extend([(&**first, key.clone()), (&**second, item.clone())]),
                _ => return Err(Failure::no_overload()),
            }
            let is_done = self.step(comprehension, &mut fold, key, item)?;
            self.variables.truncate(bound);
            if is_done {
                break;
            }
        }
        fold.finish()
    }

    /// One item; true when the rest doesn't matter any more.
    fn step(
        &mut self,
        comprehension: &'a Comprehension,
        fold: &mut Fold<'a>,
        key: Value<'a>,
        item: Value<'a>,
    ) -> Result<bool, Failure> {
        let condition = match &comprehension.condition {
            None => Ok(true),
            Some(condition) => match self.eval(condition) {
                Ok(Value::Bool(is)) => Ok(is),
                Ok(_) => Err(Failure::no_overload()),
                Err(Failure::CostExceeded) => return Err(Failure::CostExceeded),
                Err(failure) => Err(failure),
            },
        };
        match fold.kind {
            Macro::All | Macro::Exists => match condition {
                Ok(is) if is == (fold.kind == Macro::Exists) => {
                    fold.decided = true;
                    return Ok(true);
                }
                Ok(_) => {}
                Err(failure) => fold.failed = fold.failed.take().or(Some(failure)),
            },
            Macro::ExistsOne => fold.count += usize::from(condition?),
            Macro::Filter => {
                if condition? {
                    // The items of a list, the keys of a map.
                    let name = comprehension
                        .variables
                        .first()
                        .and_then(|name| self.variable(name))
                        .cloned();
                    fold.items.push((key, name.unwrap_or(item)));
                }
            }
            _ => {
                if condition? && let Some(result) = &comprehension.result {
                    let result = self.eval(result)?;
                    self.meter.spend(result.weight())?;
                    fold.sorted.push(item);
                    fold.items.push((key, result));
                }
            }
        }
        Ok(false)
    }
}

/// What a macro has gathered.
struct Fold<'a> {
    kind: Macro,
    /// `all` found a false, `exists` a true.
    decided: bool,
    failed: Option<Failure>,
    count: usize,
    /// Keys and results.
    items: Vec<(Value<'a>, Value<'a>)>,
    /// The items that the results are of.
    sorted: Vec<Value<'a>>,
}

impl<'a> Fold<'a> {
    fn new(kind: Macro) -> Self {
        Self {
            kind,
            decided: false,
            failed: None,
            count: 0,
            items: Vec::new(),
            sorted: Vec::new(),
        }
    }

    fn finish(self) -> Outcome<'a> {
        match self.kind {
            Macro::All | Macro::Exists => match self.failed.filter(|_| !self.decided) {
                Some(failure) => Err(failure),
                None => Ok(Value::Bool(self.decided == (self.kind == Macro::Exists))),
            },
            Macro::ExistsOne => Ok(Value::Bool(self.count == 1)),
            Macro::TransformMap => Ok(Value::Map(Map::Built(Arc::new(self.items)))),
            Macro::SortBy => {
                let mut pairs: Vec<_> = self.items.into_iter().map(|(_, key)| key).zip(self.sorted).collect();
                pairs.sort_by(|(a, _), (b, _)| a.compare(b).unwrap_or(Ordering::Equal));
                Ok(Value::list(pairs.into_iter().map(|(_, item)| item).collect()))
            }
            _ => Ok(Value::list(self.items.into_iter().map(|(_, value)| value).collect())),
        }
    }
}

fn constant<'a>(literal: &Literal) -> Value<'a> {
    match literal {
        Literal::Null => Value::Null,
        Literal::Bool(is) => Value::Bool(*is),
        Literal::Int(number) => Value::Int(*number),
        Literal::Uint(number) => Value::Uint(*number),
        Literal::Double(number) => Value::Double(*number),
        Literal::Text(text) => Value::Text(Text::Shared(text.clone())),
        Literal::Bytes(bytes) => Value::Bytes(bytes.clone()),
    }
}

fn select<'a>(of: &Value<'a>, field: &str, optional: bool) -> Outcome<'a> {
    match of {
        Value::Map(map) => match map.field(field) {
            Some(value) if optional => Ok(Value::some(value)),
            Some(value) => Ok(value),
            None if optional => Ok(Value::Optional(None)),
            None => Err(Failure::new(format!("no such key: {field}"))),
        },
        Value::Question(question) if !optional => functions::authorizer::select(question, field),
        // Nothing of nothing is nothing.
        Value::Optional(None) => Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => match select(inner, field, true)? {
            Value::Optional(found) => Ok(Value::Optional(found)),
            other => Ok(other),
        },
        _ => Err(Failure::no_overload()),
    }
}

fn has<'a>(of: &Value<'a>, field: &str) -> Outcome<'a> {
    match of {
        Value::Map(map) => Ok(Value::Bool(map.field(field).is_some())),
        Value::Optional(inner) => match inner {
            Some(inner) => has(inner, field),
            None => Ok(Value::Bool(false)),
        },
        _ => Err(Failure::no_overload()),
    }
}

fn at<'a>(of: &Value<'a>, index: &Value<'a>, optional: bool) -> Outcome<'a> {
    let found = match (of, index) {
        (Value::Optional(None), _) => return Ok(Value::Optional(None)),
        (Value::Optional(Some(inner)), _) => return at(inner, index, true),
        (Value::List(list), index) => {
            let place = match index {
                Value::Int(place) => usize::try_from(*place).ok(),
                Value::Uint(place) => usize::try_from(*place).ok(),
                _ => return Err(Failure::no_overload()),
            };
            place.and_then(|place| list.get(place))
        }
        (Value::Map(map), key) => map.get(key),
        _ => return Err(Failure::no_overload()),
    };
    let shown = || functions::shown(index);
    match (found, optional, of) {
        (Some(value), false, _) => Ok(value),
        (Some(value), true, _) => Ok(Value::some(value)),
        (None, true, _) => Ok(Value::Optional(None)),
        (None, false, Value::List(_)) => Err(Failure::new(format!("index out of bounds: {}", shown()))),
        (None, false, _) => Err(Failure::new(format!("no such key: {}", shown()))),
    }
}

fn joined<'a>(left: &Value<'a>, right: &Value<'a>) -> Outcome<'a> {
    match (left, right) {
        (Value::Text(a), Value::Text(b)) => Ok(Value::text(&[&**a, &**b].concat())),
        (Value::Bytes(a), Value::Bytes(b)) => Ok(Value::Bytes([&**a, &**b].concat().into())),
        (Value::List(a), Value::List(b)) => Ok(Value::List(List::Built(Arc::new(a.iter().chain(b.iter()).collect())))),
        _ => Err(Failure::no_overload()),
    }
}

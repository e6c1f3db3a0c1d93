//! From words to a tree: precedence climbing, and the macros on the way. The depth of what comes out is limited, because
//! everything that walks it does so on the stack.

use std::sync::Arc;

use super::SyntaxError;
use super::expr::{Comprehension, Expr, Literal, Macro, Node, Operator};
use super::token::{Token, tokens};

/// How deep expressions may be nested; nobody writes half of that by hand.
const DEPTH_MAX: usize = 64;
/// How long a source may be: what is longer isn't a rule any more.
const SOURCE_MAX: usize = 64 * 1024;

/// Parses an expression.
pub(super) fn parse(source: &str) -> Result<Expr, SyntaxError> {
    if source.len() > SOURCE_MAX {
        let message = format!("expression is longer than {SOURCE_MAX} bytes");
        return Err(SyntaxError { at: 0, message });
    }
    let mut parser = Parser {
        tokens: tokens(source)?,
        next: 0,
        depth: 0,
    };
    let expr = parser.expression()?;
    match parser.peek() {
        Token::End => Ok(expr),
        _ => parser.unexpected(),
    }
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn at(&self) -> usize {
        self.tokens[self.next].0
    }

    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(there) if *there == sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), SyntaxError> {
        if self.takes(sign) { Ok(()) } else { self.unexpected() }
    }

    fn unexpected<T>(&self) -> Result<T, SyntaxError> {
        let what = match self.peek() {
            Token::End => "Syntax error: mismatched input '<EOF>'".to_owned(),
            Token::Sign(sign) => format!("Syntax error: extraneous input '{sign}'"),
            Token::Ident(name) => format!("Syntax error: extraneous input '{name}'"),
            Token::Literal(_) => "Syntax error: extraneous input".to_owned(),
        };
        self.fail(self.at(), what)
    }

    fn fail<T>(&self, at: usize, message: impl Into<String>) -> Result<T, SyntaxError> {
        Err(SyntaxError {
            at,
            message: message.into(),
        })
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.depth >= DEPTH_MAX {
            return self.fail(self.at(), format!("expression recursion limit exceeded: {DEPTH_MAX}"));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn build(&self, at: usize, node: Node) -> Result<Expr, SyntaxError> {
        let expr = Expr::new(at, node);
        if expr.depth > DEPTH_MAX {
            return self.fail(at, format!("expression recursion limit exceeded: {DEPTH_MAX}"));
        }
        Ok(expr)
    }

    fn expression(&mut self) -> Result<Expr, SyntaxError> {
        self.deeper(|parser| {
            let at = parser.at();
            let condition = parser.or()?;
            if !parser.takes("?") {
                return Ok(condition);
            }
            let then = parser.or()?;
            parser.expect(":")?;
            let otherwise = parser.expression()?;
            let node = Node::Conditional(Box::new([condition, then, otherwise]));
            parser.build(at, node)
        })
    }

    fn or(&mut self) -> Result<Expr, SyntaxError> {
        self.chain("||", Self::and, Node::Or)
    }

    fn and(&mut self) -> Result<Expr, SyntaxError> {
        self.chain("&&", |parser| parser.binary(0), Node::And)
    }

    fn chain(
        &mut self,
        sign: &str,
        part: impl Fn(&mut Self) -> Result<Expr, SyntaxError>,
        node: impl FnOnce(Vec<Expr>) -> Node,
    ) -> Result<Expr, SyntaxError> {
        let at = self.at();
        let first = part(self)?;
        if !matches!(self.peek(), Token::Sign(there) if *there == sign) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.takes(sign) {
            parts.push(part(self)?);
        }
        self.build(at, node(parts))
    }

    /// Relations, then sums, then products: `level` and everything that binds more.
    fn binary(&mut self, level: usize) -> Result<Expr, SyntaxError> {
        use Operator::{
            Add, Divide, Equal, Greater, GreaterOrEqual, In, Less, LessOrEqual, Multiply, NotEqual, Remainder, Subtract,
        };
        const LEVELS: [&[(&str, Operator)]; 3] = [
            &[
                ("==", Equal),
                ("!=", NotEqual),
                ("<=", LessOrEqual),
                (">=", GreaterOrEqual),
                ("<", Less),
                (">", Greater),
                ("in", In),
            ],
            &[("+", Add), ("-", Subtract)],
            &[("*", Multiply), ("/", Divide), ("%", Remainder)],
        ];
        let Some(operators) = LEVELS.get(level) else {
            return self.unary();
        };
        let mut left = self.binary(level + 1)?;
        while let Some((_, operator)) = operators.iter().find(|(sign, _)| self.takes(sign)) {
            let right = self.binary(level + 1)?;
            let at = left.at;
            left = self.build(at, Node::Binary(*operator, Box::new(left), Box::new(right)))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        let mut signs = Vec::new();
        loop {
            if self.takes("!") {
                signs.push('!');
            } else if self.takes("-") {
                signs.push('-');
            } else {
                break;
            }
        }
        let mut expr = self.member()?;
        for sign in signs.into_iter().rev() {
            let node = match (sign, &expr.node) {
                ('!', _) => Node::Not(Box::new(expr)),
                (_, Node::Literal(Literal::Int(number))) => Node::Literal(Literal::Int(number.wrapping_neg())),
                (_, Node::Literal(Literal::Double(number))) => Node::Literal(Literal::Double(-number)),
                _ => Node::Negate(Box::new(expr)),
            };
            expr = self.build(at, node)?;
        }
        Ok(expr)
    }

    fn member(&mut self) -> Result<Expr, SyntaxError> {
        let mut expr = self.primary()?;
        loop {
            let at = self.at();
            let node = if self.takes(".") {
                let optional = self.takes("?");
                let name = self.name()?;
                if !optional && self.takes("(") {
                    self.call(Some(expr), name, at)?
                } else {
                    Node::Select {
                        of: Box::new(expr),
                        field: name,
                        optional,
                    }
                }
            } else if self.takes("[") {
                let optional = self.takes("?");
                let index = self.expression()?;
                self.expect("]")?;
                Node::Index {
                    of: Box::new(expr),
                    index: Box::new(index),
                    optional,
                }
            } else {
                return Ok(expr);
            };
            expr = self.build(at, node)?;
        }
    }

    fn name(&mut self) -> Result<Arc<str>, SyntaxError> {
        match self.peek().clone() {
            Token::Ident(name) => {
                self.next += 1;
                Ok(name)
            }
            Token::Sign("in") => {
                self.next += 1;
                Ok("in".into())
            }
            _ => self.unexpected(),
        }
    }

    fn primary(&mut self) -> Result<Expr, SyntaxError> {
        let at = self.at();
        let node = match self.peek().clone() {
            Token::Literal(literal) => {
                self.next += 1;
                Node::Literal(literal)
            }
            Token::Sign("(") => {
                self.next += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Sign("[") => {
                self.next += 1;
                Node::List(self.items()?)
            }
            Token::Sign("{") => {
                self.next += 1;
                Node::Map(self.entries()?)
            }
            Token::Ident(_) | Token::Sign(".") => {
                self.takes(".");
                let name = self.name()?;
                match self.takes("(") {
                    true => self.call(None, name, at)?,
                    false => Node::Ident(name),
                }
            }
            Token::Sign(_) | Token::End => return self.unexpected(),
        };
        self.build(at, node)
    }

    fn items(&mut self) -> Result<Vec<(bool, Expr)>, SyntaxError> {
        let mut items = Vec::new();
        while !self.takes("]") {
            let optional = self.takes("?");
            items.push((optional, self.expression()?));
            if !self.takes(",") {
                self.expect("]")?;
                break;
            }
        }
        Ok(items)
    }

    fn entries(&mut self) -> Result<Vec<(bool, Expr, Expr)>, SyntaxError> {
        let mut entries = Vec::new();
        while !self.takes("}") {
            let optional = self.takes("?");
            let key = self.expression()?;
            self.expect(":")?;
            entries.push((optional, key, self.expression()?));
            if !self.takes(",") {
                self.expect("}")?;
                break;
            }
        }
        Ok(entries)
    }

    /// After the opening parenthesis.
    fn call(&mut self, receiver: Option<Expr>, name: Arc<str>, at: usize) -> Result<Node, SyntaxError> {
        let mut arguments = Vec::new();
        while !self.takes(")") {
            arguments.push(self.expression()?);
            if !self.takes(",") {
                self.expect(")")?;
                break;
            }
        }
        if receiver.is_none() && &*name == "has" {
            return self.has(arguments, at);
        }
        let Some(receiver) = receiver else {
            return Ok(Node::Call {
                receiver: None,
                name,
                arguments,
            });
        };
        let is_bind = matches!(&receiver.node, Node::Ident(of) if &**of == "cel") && &*name == "bind";
        match macro_named(&name, arguments.len(), is_bind) {
            Some(kind) => self.comprehension(kind, receiver, arguments, at),
            None => Ok(Node::Call {
                receiver: Some(Box::new(receiver)),
                name,
                arguments,
            }),
        }
    }

    fn has(&self, mut arguments: Vec<Expr>, at: usize) -> Result<Node, SyntaxError> {
        match (arguments.pop().map(|expr| expr.node), arguments.is_empty()) {
            (
                Some(Node::Select {
                    of,
                    field,
                    optional: false,
                }),
                true,
            ) => Ok(Node::Has { of, field }),
            _ => self.fail(at, "invalid argument to has() macro"),
        }
    }

    fn comprehension(&self, kind: Macro, receiver: Expr, arguments: Vec<Expr>, at: usize) -> Result<Node, SyntaxError> {
        let bodies = match (kind, arguments.len()) {
            (Macro::Map, 3 | 4) | (Macro::TransformMap, 4) => 2,
            (Macro::Bind, _) => 2,
            _ => 1,
        };
        // `map(x, condition, result)`; `transformList(i, x, result)` has its two variables in the place of the condition.
        let two_names = matches!(arguments.get(1).map(|expr| &expr.node), Some(Node::Ident(_)));
        let bodies = match (kind, arguments.len()) {
            (Macro::Map, 3) if two_names => 1,
            (Macro::All | Macro::Exists | Macro::ExistsOne, _) => 1,
            _ => bodies,
        };
        let names = arguments.len() - bodies;
        let mut variables = Vec::new();
        let mut rest = Vec::new();
        for (index, argument) in arguments.into_iter().enumerate() {
            match &argument.node {
                Node::Ident(name) if index < names => variables.push(name.clone()),
                _ if index < names => return self.fail(argument.at, "argument must be a simple name"),
                _ => rest.push(argument),
            }
        }
        let last = rest.pop();
        let (range, condition, result) = match kind {
            Macro::All | Macro::Exists | Macro::ExistsOne | Macro::Filter => (receiver, last, None),
            Macro::Bind => match rest.pop() {
                Some(value) => (value, None, last),
                None => return self.fail(at, "cel.bind() takes a name, a value and a result"),
            },
            _ => (receiver, rest.pop(), last),
        };
        Ok(Node::Comprehension(Box::new(Comprehension {
            kind,
            range,
            variables,
            condition,
            result,
        })))
    }
}

fn macro_named(name: &str, arguments: usize, is_bind: bool) -> Option<Macro> {
    Some(match (name, arguments) {
        ("all", 2 | 3) => Macro::All,
        ("exists", 2 | 3) => Macro::Exists,
        ("exists_one" | "existsOne", 2 | 3) => Macro::ExistsOne,
        ("filter", 2) => Macro::Filter,
        ("map", 2 | 3) | ("transformList", 3 | 4) => Macro::Map,
        ("transformMap", 3 | 4) => Macro::TransformMap,
        ("sortBy", 2) => Macro::SortBy,
        ("bind", 3) if is_bind => Macro::Bind,
        ("optMap", 2) => Macro::OptMap,
        ("optFlatMap", 2) => Macro::OptFlatMap,
        _ => return None,
    })
}

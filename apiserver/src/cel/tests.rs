use serde_json::{Value as Json, json};

use super::*;

fn run(source: &str, this: &Json) -> Result<String, String> {
    let program = Program::compile(source, &[Declaration { name: "self", of: None }], Kind::Any)?;
    let evaluated = program.evaluate(vec![("self", Value::of(this, None))], CALL_LIMIT);
    let outcome = evaluated.outcome.map_err(|failure| failure.to_string())?;
    Ok(functions::shown(&outcome))
}

#[test]
fn the_language_is_cel() {
    let this = json!({"n": 3, "s": "abc", "l": [1, 2, 3], "m": {"a-b": 1, "x": 2}, "nil": null, "f": 1.5,
        "deep": [{"k": "a", "v": 1}, {"k": "b", "v": 2}], "namespace": "ns"});
    for (source, value) in [
        ("1 + 2 * 3 - 4 / 2 % 2", "7"),
        ("self.n >= 3 && self.n < 4 || false", "true"),
        ("!(self.n == 3)", "false"),
        ("-self.n + -2", "-5"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("1 == 1.0 && 2u == 2 && self.f > 1", "true"),
        ("self.s + 'd' == \"abcd\"", "true"),
        ("r'\\d' + '\\u0041\\x42\\n'.trim()", "\\dAB"),
        ("[1, 2] + [3] == self.l", "true"),
        ("{'a': 1, 'b': 2}['b']", "2"),
        ("self.m['a-b'] + self.m.a__dash__b", "2"),
        ("self.__namespace__", "ns"),
        ("has(self.n) && !has(self.none)", "true"),
        ("self.nil == null", "true"),
        ("2 in self.l && 'x' in self.m && !('y' in self.m)", "true"),
        ("self.n > 2 ? 'big' : 'small'", "big"),
        (
            "self.l.all(x, x > 0) && self.l.exists(x, x == 2) && self.l.exists_one(x, x == 2)",
            "true",
        ),
        ("self.l.map(x, x * 2)", "[2, 4, 6]"),
        ("self.l.map(x, x > 1, x * 2)", "[4, 6]"),
        ("self.l.filter(x, x > 1).size()", "2"),
        ("self.m.all(k, self.m[k] > 0)", "true"),
        ("self.l.all(i, x, x == i + 1)", "true"),
        ("self.deep.map(d, d.k).join(',')", "a,b"),
        ("self.deep.sortBy(d, -d.v)[0].k", "b"),
        ("self.l.transformList(i, x, i * x)", "[0, 2, 6]"),
        ("cel.bind(x, self.n + 1, x * x)", "16"),
        ("type(self.n) == int", "true"),
        ("size(self.s) + self.s.size()", "6"),
        ("int('12') + int(3.9) + int(true ? 1u : 2u)", "16"),
        ("string(5) + string(1.5) + string(true)", "51.5true"),
        ("duration('1h') > duration('59m')", "true"),
        ("timestamp('2024-01-02T03:04:05Z').getFullYear()", "2024"),
        (
            "timestamp('2024-01-02T03:04:05Z') + duration('1h') == timestamp('2024-01-02T04:04:05Z')",
            "true",
        ),
        ("self.?none.orValue(7) + self.?n.orValue(0)", "10"),
        ("self.?none.?more.hasValue()", "false"),
        ("self.l[?5].orValue(9)", "9"),
        ("optional.of(2).optMap(x, x + 1).value()", "3"),
        ("false && self.none == 1", "false"),
        ("self.none == 1 || true", "true"),
        ("self.l.exists(x, x / (x - 1) > 100 || x == 3)", "true"),
        ("// a remark\n1", "1"),
        ("[1,\n2,][1]", "2"),
    ] {
        assert_eq!(run(source, &this).as_deref(), Ok(value), "{source}");
    }
}

#[test]
fn kubernetes_libraries_are_there() {
    for source in [
        "'a,b'.split(',') == ['a', 'b'] && 'abc'.substring(1, 2) == 'b' && 'abcabc'.lastIndexOf('b') == 4",
        "'Hello'.lowerAscii() == 'hello' && 'a-b'.replace('-', '+') == 'a+b' && 'abc'.charAt(1) == 'b'",
        "'abc'.matches('^[a-c]+$') && 'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22']",
        "'%s is %d, %.2f'.format(['x', 3, 1.5]) == 'x is 3, 1.50'",
        "[1, 2, 3].isSorted() && [1, 2].sum() == 3 && [3, 1].min() == 1 && [3, 1].max() == 3 && ['a'].indexOf('a') == 0",
        "url('https://u@example.com:80/a%20b?x=1&x=2').getHost() == 'example.com:80'",
        "url('https://example.com:80/').getHostname() == 'example.com' && url('https://[::1]:80/').getHostname() == '::1'",
        "url('/path?a=b').getQuery() == {'a': ['b']} && url('http://h/p').getEscapedPath() == '/p' && !isURL('x y')",
        "isIP('10.0.0.1') && ip('::1').isLoopback() && ip('10.0.0.1').family() == 4 && !isIP('10.0.0.256')",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.1.2.3/8').masked() == cidr('10.0.0.0/8')",
        "quantity('1Gi').isGreaterThan(quantity('500Mi')) && quantity('2').add(1).asInteger() == 3 && isQuantity('1k')",
        "quantity('100m').compareTo(quantity('0.1')) == 0 && quantity('-1').sign() == -1 && !quantity('50m').isInteger()",
        "sets.contains([1, 2, 3], [2, 1]) && sets.equivalent([1, 1, 2], [2, 1]) && !sets.intersects([1], [2])",
        "!format.dns1123Label().validate('good').hasValue() && format.dns1123Label().validate('Bad').hasValue()",
        "format.named('uuid').hasValue() && !format.named('none').hasValue()",
        "[1, 2, 2].distinct() == [1, 2] && [[1], [2]].flatten() == [1, 2] && [3, 1].sort() == [1, 3]",
    ] {
        assert_eq!(run(source, &Json::Null).as_deref(), Ok("true"), "{source}");
    }
}

#[test]
fn what_can_not_be_is_told() {
    let this = json!({"n": 1, "l": [1], "s": "a"});
    for (source, message) in [
        ("self.none", "no such key: none"),
        ("self.l[3]", "index out of bounds: 3"),
        ("self.n / 0", "division by zero"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("self.n + 'a'", "no such overload"),
        ("self.l.all(x, x > 1 / (x - 1))", "division by zero"),
        ("int('x')", "type conversion error from 'string' to 'int': \"x\""),
        ("'a'.matches('(' + self.s)", "error parsing regexp"),
        ("{'a': 1, 'a': 2}", "duplicate map key"),
        ("optional.none().value()", "optional.none() dereference"),
    ] {
        let found = run(source, &this).expect_err(source);
        assert!(found.starts_with(message), "{source}: {found}");
    }
}

#[test]
fn what_does_not_compile_is_shown_with_its_place() {
    for (source, message) in [
        (
            "self.n +",
            "ERROR: <input>:1:9: Syntax error: mismatched input '<EOF>'\n | self.n +\n | ........^",
        ),
        (
            "other.n",
            "ERROR: <input>:1:1: undeclared reference to 'other' (in container '')\n | other.n\n | ^",
        ),
        (
            "frob(1)",
            "ERROR: <input>:1:1: undeclared reference to 'frob' (in container '')\n | frob(1)\n | ^",
        ),
        (
            "1 == 'a'",
            "ERROR: <input>:1:1: found no matching overload for '_==_' applied to '(int, string)'\n | 1 == 'a'\n | ^",
        ),
        (
            "self.a #",
            "ERROR: <input>:1:8: Syntax error: token recognition error at: '#'\n | self.a #\n | .......^",
        ),
        (
            "'abc",
            "ERROR: <input>:1:1: Syntax error: unterminated string literal\n | 'abc\n | ^",
        ),
    ] {
        assert_eq!(run(source, &Json::Null).expect_err(source), message);
    }
}

#[test]
fn hostile_expressions_end() {
    let many: Vec<Json> = (0..1000).map(Json::from).collect();
    let this = json!({"l": many, "s": "x".repeat(100_000)});
    for source in [
        "self.l.all(a, self.l.all(b, self.l.all(c, a + b + c >= 0)))",
        "self.l.map(a, self.s + self.s).size() > 0",
        "self.l.all(a, self.l == self.l)",
        "self.l.all(a, !self.s.matches('(x+x+)+y'))",
        "self.l.all(a, !'y'.matches('x{1' + string(a) + '}'))",
        "self.l.all(a, self.s.replace('', self.s) != '')",
        "self.l.all(a, self.s.split('').size() > 0)",
        "self.l.all(a, sets.equivalent(self.l, self.l))",
    ] {
        let found = run(source, &this).expect_err(source);
        assert_eq!(found, "operation cancelled: actual cost limit exceeded", "{source}");
    }
    for source in [
        "(".repeat(5000),
        format!("{}1{}", "(".repeat(5000), ")".repeat(5000)),
        format!("1{}", "+1".repeat(5000)),
        format!("{}true", "!".repeat(5000)),
        format!("self{}", ".a".repeat(5000)),
        format!("self{}", "[0]".repeat(5000)),
        format!("{}1{}", "[".repeat(5000), "]".repeat(5000)),
        format!("{}1{}", "(".repeat(60), "+1+1)".repeat(60)),
        "x".repeat(100_000),
    ] {
        assert!(run(&source, &Json::Null).is_err(), "{source:.20}");
    }
    // Long is not deep.
    let long = vec!["self == null"; 1000].join(" && ");
    assert_eq!(run(&long, &Json::Null).as_deref(), Ok("true"));
}

proptest::proptest! {
    #[test]
    fn nothing_that_is_written_breaks_it(parts in proptest::collection::vec(part(), 0..24)) {
        let this = json!({"a": [1, "x", null, {"b": 1.5}], "s": "äb", "n": -3});
        let source = parts.concat();
        if let Ok(program) = Program::compile(&source, &[Declaration { name: "self", of: None }], Kind::Any) {
            let evaluated = program.evaluate(vec![("self", Value::of(&this, None))], 10_000);
            proptest::prop_assert!(evaluated.cost <= 10_000);
        }
    }

    #[test]
    fn no_text_breaks_it(source in ".{0,80}") {
        let _ = Program::compile(&source, &[], Kind::Any);
    }
}

/// Pieces of expressions, so that many of them fit together.
fn part() -> impl proptest::strategy::Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "self",
        ".a",
        ".s",
        ".n",
        "[0]",
        "[-1]",
        "(",
        ")",
        "+",
        "-",
        "*",
        "/",
        "%",
        "&&",
        "||",
        "!",
        "?",
        ":",
        "==",
        "<",
        " in ",
        "1",
        "0",
        "9223372036854775807",
        "1u",
        "1.5",
        "'ä'",
        "b'x'",
        "null",
        "[",
        "]",
        ",",
        "{",
        "}",
        ".size()",
        ".map(x, x)",
        ".all(x, x == 1)",
        ".substring(1)",
        ".substring(2, 1)",
        ".indexOf('b', 1)",
        ".lastIndexOf('b', 0)",
        ".split('')",
        ".charAt(1)",
        ".replace('', 'ö')",
        ".format([1])",
        "'%d %.3f%%'",
        "duration('1h')",
        "timestamp('2024-01-01T00:00:00Z')",
        ".getHours('+99:99')",
        "int(",
        "string(",
        "quantity('1')",
        ".add(",
        "ip('::1')",
        "cidr('::/0')",
        ".masked()",
        "optional.of(",
        ".?a",
        "[?0]",
        ".orValue(",
        "url('http://[::1]:1/?a=%ff')",
        ".getQuery()",
        ".matches('ä+')",
        "//\n",
    ])
}

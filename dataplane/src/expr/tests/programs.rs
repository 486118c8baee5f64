//! Straight-line programs say what the trees say that they stand for.

use proptest::prelude::*;
use proto::{
    Expr,
    expr::{BinaryOp, UnaryOp},
};

use super::*;

fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary(op, Box::new(left), Box::new(right))
}

fn constant(value: proto::Value) -> Expr {
    Expr::Literal(value)
}

/// Floats of fields, constants, arithmetic and functions, the stateful ones among them.
fn number(depth: u32) -> BoxedStrategy<Expr> {
    let leaf = prop_oneof![
        4 => prop::sample::select(&["f", "g", "h"][..]).prop_map(|name| Expr::Reference(name.to_owned())),
        2 => prop::sample::select(&[0.0, -0.0, 1.5, -3.0, 1e300, f64::NAN, f64::INFINITY][..])
            .prop_map(|x| constant(proto::Value::Float(x))),
        1 => Just(Expr::Call("float".to_owned(), vec![Expr::Reference("g".to_owned())])),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = || number(depth - 1);
    let op = [BinaryOp::Add, BinaryOp::Subtract, BinaryOp::Multiply, BinaryOp::Divide];
    let call = |names: &'static [&'static str]| prop::sample::select(names);
    prop_oneof![
        2 => leaf,
        4 => (prop::sample::select(op.to_vec()), inner(), inner()).prop_map(|(op, a, b)| binary(op, a, b)),
        1 => inner().prop_map(|a| Expr::Unary(UnaryOp::Minus, Box::new(a))),
        1 => (call(&["abs", "floor", "sigma", "spread"]), inner())
            .prop_map(|(name, a)| Expr::Call(name.to_owned(), vec![a])),
        1 => (call(&["max", "min", "pow"]), inner(), inner())
            .prop_map(|(name, a, b)| Expr::Call(name.to_owned(), vec![a, b])),
        1 => (truth(depth - 1), inner(), inner()).prop_map(|(c, a, b)| Expr::Call("if".to_owned(), vec![c, a, b])),
    ]
    .boxed()
}

/// Comparisons and logic; also of integers and texts.
fn truth(depth: u32) -> BoxedStrategy<Expr> {
    let order = [
        BinaryOp::Equal,
        BinaryOp::NotEqual,
        BinaryOp::Less,
        BinaryOp::LessEqual,
        BinaryOp::Greater,
        BinaryOp::GreaterEqual,
    ];
    let number = || {
        let integers = prop::sample::select(&[0, 3, (1 << 53) - 1, 1 << 53, i64::MIN][..]);
        prop_oneof![4 => number(depth.saturating_sub(1)), 1 => integers.prop_map(|x| constant(proto::Value::Int(x)))]
    };
    let reference = |name: &str| Expr::Reference(name.to_owned());
    let text =
        move |op, literal: &str| binary(op, reference("host"), constant(proto::Value::String(literal.to_owned())));
    let pattern = move |op| binary(op, reference("host"), constant(proto::Value::Regex("^web".to_owned())));
    let leaf = prop_oneof![
        6 => (prop::sample::select(order.to_vec()), number(), number()).prop_map(|(op, a, b)| binary(op, a, b)),
        1 => Just(reference("up")),
        1 => Just(binary(BinaryOp::NotEqual, reference("up"), constant(proto::Value::Bool(true)))),
        1 => Just(text(BinaryOp::Equal, "web1")),
        1 => Just(text(BinaryOp::NotEqual, "db")),
        1 => Just(pattern(BinaryOp::RegexMatch)),
        1 => Just(pattern(BinaryOp::RegexNotMatch)),
    ];
    if depth == 0 {
        return leaf.boxed();
    }
    let inner = || truth(depth - 1);
    let op = [BinaryOp::And, BinaryOp::Or];
    prop_oneof![
        2 => leaf,
        3 => (prop::sample::select(op.to_vec()), inner(), inner()).prop_map(|(op, a, b)| binary(op, a, b)),
        1 => inner().prop_map(|a| Expr::Unary(UnaryOp::Not, Box::new(a))),
    ]
    .boxed()
}

/// Points: mostly as programs expect them, then with integers, texts, gaps, and a name that is field and tag.
fn points() -> Vec<Row> {
    let usual = |f, g, h| row([("f", float(f)), ("g", float(g)), ("h", float(h)), ("up", boolean(f > 0.0))]);
    let exact = 1_i64 << 53;
    vec![
        usual(1.5, -2.0, 3.0).tag("host", "web1"),
        usual(-3.0, 0.0, f64::NAN).tag("host", "db"),
        usual(0.5, f64::NEG_INFINITY, -0.0).tag("host", "web2"),
        row([("f", int(3)), ("g", int(exact + 1)), ("h", int(exact)), ("up", boolean(true))]).tag("host", "web1"),
        row([("f", float(1.0)), ("g", int(exact)), ("up", boolean(true)), ("host", text("web1"))]),
        row([("f", text("x")), ("g", boolean(true)), ("h", float(1.0)), ("up", int(1)), ("host", float(1.0))]),
        row([("g", float(1.0)), ("h", float(2.0))]).tag("host", ""),
        usual(1.0, 2.0, 3.0).tag("host", "web1").tag("g", "field, too"),
        usual(9.0, 2.0, 3.0),
    ]
}

/// What the points give in turn, with the state that they leave.
fn run(lambda: &mut Lambda) -> (Vec<String>, State) {
    let mut state = State::default();
    let mut results = Vec::new();
    for point in points().into_iter().chain(points()) {
        results.push(format!("{:?}", lambda.eval_bool(&point.scope(), &mut state)));
        results.push(format!("{:?}", lambda.eval(&point.scope(), &mut state)));
    }
    (results, state)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn programs_and_trees_agree(expr in prop_oneof![number(4), truth(4)]) {
        if let Ok(mut lambda) = Lambda::compile(&expr) {
            let with_program = run(&mut lambda);
            let mut tree = Lambda::compile(&expr).unwrap();
            tree.program = None;
            let (results, state) = run(&mut tree);
            prop_assert_eq!(with_program.0, results);
            prop_assert_eq!(format!("{:?}", with_program.1), format!("{state:?}"));
        }
    }
}

#[test]
fn the_usual_lambdas_have_programs() {
    let with = [
        r#""usage" > 90.0"#,
        r#""usage" > 90 AND "host" == 'a' OR !("host" !~ /^b/)"#,
        r#"100.0 - "idle" * 2.0"#,
        r#"if("a" > "b", abs("a"), max("b", 1.0))"#,
        r#"sigma("usage") > 3.0 AND "up""#,
        r#"float("count") / 60.0"#,
        r#""up" == TRUE"#,
    ];
    for text in with {
        assert!(compiled(text).program.is_some(), "{text}");
    }
    // Skipped state, integers among themselves, types that no register holds, too many registers.
    let long = vec![r#""a" * 1.5"#; 20].join(" + ");
    for text in [r#""up" AND sigma("a") > 3.0"#, r#""a" % 2 == 0"#, r#""d" > 5s"#, r#"hour("time") > 8"#, &long] {
        assert!(compiled(text).program.is_none(), "{text}");
    }
    let two = compiled(r#""a" > "b""#);
    let large = row([("a", int((1 << 53) + 1)), ("b", int(1 << 53))]);
    assert_eq!({ two }.eval_bool(&large.scope(), &mut State::default()), Ok(true));
}

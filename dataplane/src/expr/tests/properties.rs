//! Random expressions: shortcuts of the implementation never show.

use proptest::prelude::*;
use proto::{
    Expr,
    expr::{BinaryOp, UnaryOp},
};

use super::*;

const OPERATORS: [BinaryOp; 13] = [
    BinaryOp::Add,
    BinaryOp::Subtract,
    BinaryOp::Multiply,
    BinaryOp::Divide,
    BinaryOp::Modulo,
    BinaryOp::Equal,
    BinaryOp::NotEqual,
    BinaryOp::Less,
    BinaryOp::LessEqual,
    BinaryOp::Greater,
    BinaryOp::GreaterEqual,
    BinaryOp::And,
    BinaryOp::Or,
];

const FUNCTIONS: [&str; 12] =
    ["int", "float", "bool", "string", "sqrt", "max", "if", "isPresent", "strLength", "strIndex", "duration", "pow"];

/// Constants and the fields of the sample point that have the same values.
fn constants() -> Vec<(proto::Value, &'static str)> {
    vec![
        (proto::Value::Float(2.5), "f"),
        (proto::Value::Float(-0.0), "z"),
        (proto::Value::Int(3), "i"),
        (proto::Value::Int(0), "o"),
        (proto::Value::Bool(true), "b"),
        (proto::Value::String("7".into()), "s"),
        (proto::Value::Duration(1_000), "d"),
    ]
}

fn leaf() -> impl Strategy<Value = (proto::Value, &'static str)> {
    prop::sample::select(constants())
}

fn sample() -> Row {
    row([
        ("f", float(2.5)),
        ("z", float(-0.0)),
        ("i", int(3)),
        ("o", int(0)),
        ("b", boolean(true)),
        ("s", text("7")),
        ("d", nanoseconds(1_000)),
    ])
}

/// Trees over `leaves`, with the first `operators` of the operators.
fn tree(leaves: BoxedStrategy<Expr>, operators: usize) -> impl Strategy<Value = Expr> {
    leaves.prop_recursive(5, 24, 3, move |inner| {
        let binary = (0..operators, inner.clone(), inner.clone());
        prop_oneof![
            4 => binary.prop_map(|(op, a, b)| Expr::Binary(OPERATORS[op], Box::new(a), Box::new(b))),
            1 => inner.clone().prop_map(|a| Expr::Unary(UnaryOp::Minus, Box::new(a))),
            1 => inner.clone().prop_map(|a| Expr::Unary(UnaryOp::Not, Box::new(a))),
            1 => inner.clone().prop_map(|a| Expr::Lambda(Box::new(a))),
            2 => (0..FUNCTIONS.len(), prop::collection::vec(inner, 0..4))
                .prop_map(|(name, arguments)| Expr::Call(FUNCTIONS[name].into(), arguments)),
        ]
    })
}

/// The same tree with constants in place of references.
fn with_constants(expr: &Expr, constants: &[(proto::Value, &str)]) -> Expr {
    let inner = |expr: &Expr| Box::new(with_constants(expr, constants));
    match expr {
        Expr::Reference(name) => match constants.iter().find(|(_, field)| field == name) {
            Some((value, _)) => Expr::Literal(value.clone()),
            None => expr.clone(),
        },
        Expr::Literal(_) => expr.clone(),
        Expr::Unary(op, operand) => Expr::Unary(*op, inner(operand)),
        Expr::Binary(op, left, right) => Expr::Binary(*op, inner(left), inner(right)),
        Expr::Call(name, arguments) => Expr::Call(name.clone(), arguments.iter().map(|a| *inner(a)).collect()),
        Expr::Lambda(operand) => Expr::Lambda(inner(operand)),
    }
}

fn reference_or_constant() -> BoxedStrategy<Expr> {
    let mixed =
        (leaf(), any::<bool>()).prop_map(
            |((value, field), constant)| {
                if constant { Expr::Literal(value) } else { Expr::Reference(field.into()) }
            },
        );
    prop_oneof![9 => mixed, 1 => Just(Expr::Reference("nope".into()))].boxed()
}

fn reference() -> BoxedStrategy<Expr> {
    leaf().prop_map(|(_, field)| Expr::Reference(field.into())).boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// So that working out types first, where state makes it needed, refuses nothing that has a value.
    #[test]
    fn the_type_worked_out_is_that_of_the_value(expr in tree(reference_or_constant(), OPERATORS.len())) {
        if let Ok(mut lambda) = Lambda::compile(&expr) {
            let row = sample();
            let scope = row.scope();
            let mut state = State::default();
            lambda.evaluate(&scope, &mut state, |root, _, reads, writes| {
                if let Ok(value) = root.value(reads, writes) {
                    assert_eq!(root.kind(reads), Ok(value.kind()));
                }
                Ok(())
            }).unwrap();
        }
    }

    /// Folding constants changes no result; one field stays a reference, so that trees are folded in part.
    #[test]
    fn constants_and_references_give_one_result(expr in tree(reference(), 11), kept in 0..7usize) {
        let row = sample();
        let by_reference = Lambda::compile(&expr).map(|mut lambda| lambda.eval(&row.scope(), &mut State::default()));
        let mut constants = constants();
        constants.remove(kept);
        let folded = Lambda::compile(&with_constants(&expr, &constants))
            .map(|mut lambda| lambda.eval(&row.scope(), &mut State::default()));
        match (by_reference, folded) {
            (Ok(Ok(by_reference)), Ok(Ok(folded))) => prop_assert_eq!(show(&by_reference), show(&folded)),
            (by_reference, folded) => {
                let fails = |result: &Result<Result<Value, EvalError>, CompileError>| !matches!(result, Ok(Ok(_)));
                prop_assert!(fails(&by_reference) && fails(&folded), "{:?} {:?}", by_reference, folded);
            }
        }
    }
}

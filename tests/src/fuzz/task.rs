//! The interpreter of scripts, from text to plan: no script brings it down, and a formatted one makes the same plan.

use control::tick::{
    Compiled, Endpoint, Lowering, Options, compile, compile_template, dot, format_script, udf::Udfs, vars::Vars,
};
use proto::plan::ServerInfo;

pub fn check(data: &[u8]) {
    let source = String::from_utf8_lossy(data);
    if let Ok(template) = compile_template(&source, &Udfs::Any) {
        assert!(serde_json::to_string(&template.vars).is_ok());
    }
    let formatted = format_script(&source);
    match (compiled(&source), compiled(&formatted)) {
        (Ok(one), Ok(other)) => assert_eq!(one, other, "{formatted}"),
        (Err(()), Err(())) => {}
        (one, other) => panic!("{:?} and formatted {:?}\n{formatted}", one.is_ok(), other.is_ok()),
    }
}

/// All that becomes of a script that is a task.
fn compiled(source: &str) -> Result<String, ()> {
    match compile(source, Options { vars: &Vars::new() }) {
        Ok(compiled) => Ok(told(&compiled)),
        Err(error) => {
            for found in error.diagnostics {
                assert!(!found.render("script", source).is_empty());
            }
            Err(())
        }
    }
}

fn told(compiled: &Compiled) -> String {
    let server = ServerInfo::default();
    let lowering = Lowering {
        endpoint: &|_| Some(Endpoint::default()),
        kubernetes: &|_| Ok(Default::default()),
        swarm: &|_| Ok(Default::default()),
        ec2: &|_| Ok(Default::default()),
        ..Lowering::bare("t", &compiled.dbrps, &server)
    };
    let mut told = dot::plain("t", &compiled.pipeline);
    told += &match compiled.pipeline.lower(&lowering) {
        Ok(lowered) => format!("{lowered:?}"),
        Err(error) => error.to_string(),
    };
    told
}

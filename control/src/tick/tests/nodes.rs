//! Nodes beyond those that run: what they take, what they refuse, and what a start says of them.

use std::{collections::BTreeMap, sync::Arc};

use proto::plan::{Dbrp, NodeKind, Plan, ServerInfo};

use super::check;
use crate::tick::{
    Compiled, DeadmanTexts, GlobalDeadman, Lowering, Options, compile_with_udfs, dot,
    table::{Edge, Kind, handlers_of},
    udf::{Udf, Udfs},
    vars::Vars,
};

fn error(script: &str) -> String {
    check(script).map(|_| ()).unwrap_err().to_string()
}

/// What a start of the script says.
fn start(script: &str) -> Result<Plan, String> {
    let server = ServerInfo::default();
    let dbrps = [Dbrp { db: "d".to_owned(), rp: "r".to_owned() }];
    let lowering = Lowering::bare("t", &dbrps, &server);
    let compiled = check(script).unwrap();
    compiled.pipeline.lower(&lowering).map(|(plan, _)| plan).map_err(|error| error.to_string())
}

#[test]
fn nodes_check_themselves() {
    let cases = [
        ("stream|from()|barrier()", "must specify either idle or period"),
        ("stream|from()|barrier().idle(1s).period(1s)", "cannot specify both"),
        ("stream|from()|barrier().period(0s)", "greater than zero"),
        ("stream|from()|kapacitorLoopback().database('d')", "must specify retentionPolicy"),
        ("stream|from()|influxDBOut()|log()", "nothing can follow"),
        ("stream|from()|influxDBOut()|stats(1s)", "nothing can follow"),
        ("stream|from()|influxDBOut().tag('a', 1)", "expected a string"),
        ("stream|from()|trickle()", "cannot Trickle stream edge"),
        ("batch|query('q')|window()", "cannot Window batch edge"),
        ("batch|query()", "takes 1 argument, got 0"),
        ("batch|query('q').groupBy(time())", "time() function expects 1 or 2 args, got 0"),
        ("batch|query('q').groupBy(time(1s, 1s, 1s))", "time() function expects 1 or 2 args, got 3"),
        ("batch|query('q').groupBy(time('x'))", "time() wants a length and an offset"),
        ("stream|from().groupBy(time(1s))", "invalid dimension object"),
        ("stream|from()|stats()", "takes 1 argument, got 0"),
        ("stream|from()|alert().snmpTrap('')", "Oid"),
        ("stream|from()|alert().snmpTrap('1').data('1', 'z', 'v')", "invalid data type"),
        ("stream|from()|alert().post('u').header('AUTHENTICATE', 'x')", "cannot set 'authenticate' header"),
        ("stream|from()|alert().tcp()", "takes 1 argument, got 0"),
        ("stream|from()|alert().flapping(0.25)", "takes 2 arguments, got 1"),
        ("stream|from()|alert().channel('x')", "no method or property \"channel\""),
        ("stream|from()|sideload().field('a', 1s)", "unsupported type duration"),
        ("stream|from()|k8sAutoscale().resourceName('a')", "replicas"),
        (
            "stream|from()|k8sAutoscale().replicas(lambda: 1)",
            "must specify exactly one of ResourceName or ResourceNameTag",
        ),
        (
            "stream|from()|swarmAutoscale().replicas(lambda: 1).serviceName('a').serviceNameTag('b')",
            "must specify exactly one of ServiceName or ServiceNameTag",
        ),
        ("stream|from()|ec2Autoscale().groupName('g').replicas(lambda: 1).min(0)", "min must be >= 1, got 0"),
        ("stream|from()|k8sAutoscale().replicas(lambda: 1).resourceName('a').kind('pods')", "unexpected kind"),
        ("stream|from()@nothing()", "no method or property \"nothing\""),
        ("stream|from()|noop()", "no method or property \"noop\""),
        ("stream|from()|udf()", "no method or property \"udf\""),
        ("stream|from()|stream()", "no method or property \"stream\""),
    ];
    for (script, expected) in cases {
        assert!(error(script).contains(expected), "{script}: {}", error(script));
    }
}

#[test]
fn all_nodes_and_properties_are_accepted() {
    let scripts = [
        "batch|query('q').period(1m).every(1m).align().alignGroup().offset(1s).groupBy(time(10s, 1s), 'a', *, ['b'])\
         .groupByMeasurement().fill(0).cluster('c')|trickle()|log()",
        "batch|queryFlux('q').every(1m).cron('').offset(1s).align().cluster('c').org('o').orgID('i').period(1m)|log()",
        "stream|from()|barrier().idle(1s).delete(TRUE)\
         |sideload().source('file:///x').order('a', 'b').field('f', 1).tag('t', '')",
        "stream|from()|influxDBOut().cluster('c').database('d').retentionPolicy('r').measurement('m')\
         .writeConsistency('any').precision('s').buffer(1).flushInterval(1s).create().tag('a', 'b').tag('c', 'd').quiet()",
        "stream|from()|kapacitorLoopback().database('d').retentionPolicy('r').measurement('m').tag('a', 'b')",
        "stream|from()|k8sAutoscale().cluster('c').namespace('n').kind('replicasets').resourceNameTag('t')\
         .replicas(lambda: 1).currentField('f').min(1).max(2).increaseCooldown(1s).decreaseCooldown(1s)\
         .namespaceTag('a').kindTag('b').resourceTag('c')|log()",
        "stream|from()|ec2Autoscale().groupName('g').outputGroupNameTag('t').replicas(lambda: 1)|log()",
        "stream|from()|alert().email('a@b').to('c', 'd').toTemplates('{{ .Name }}').slack().workspace('w').channel('c')\
         .iconEmoji('e').pushover().uRL('u').uRLTitle('t').mqtt('t').qos(1).retained(TRUE).kafka().kafkaTopic('t')\
         .snmpTrap('1.2').data('1', 'c', 'v').data('2', 's', 'w').crit(lambda: TRUE).telegram().disableNotification()\
         .pagerDuty2().link('h').link('h', 't').opsGenie2().details().details('{{ .ID }}').message('m')|log()",
        "var l = stream|deadman(100.0, 10s, lambda: hour(\"time\") >= 8)|log()",
    ];
    for script in scripts {
        if let Err(error) = check(script) {
            panic!("{script}: {error}");
        }
    }
    assert_eq!(handlers_of("alert").count(), 25);
}

#[test]
fn odd_settings_that_the_original_takes_are_taken() {
    let scripts = [
        "stream|from()|sample(-1s)",
        "stream|from()|alert().stateChangesOnly(1s, 2s)",
        "stream|from()|alert().post().endpoint('')",
        "stream|from()|alert().log('/tmp/x').mode(0)",
        "stream|from()|alert().sensu().handlers().opsGenie().teams().alerta().services()",
        "var a = stream|from()\na|join(a).as('x', 'y').delimiter('')",
    ];
    for script in scripts {
        start(script).unwrap_or_else(|error| panic!("{script}: {error}"));
    }
    let combine = "stream|from()|combine(lambda: TRUE, lambda: TRUE).as('x', 'y').delimiter('')";
    assert!(error(combine).contains("contains the delimiter character"));
}

#[test]
fn deadmen_say_what_the_configuration_says_and_may_watch_every_task() {
    let server = ServerInfo::default();
    let texts = DeadmanTexts { id: "NODE_NAME NODE_NAME", message: "INTERVAL INTERVAL" };
    let told = |compiled: &Compiled, texts: DeadmanTexts<'_>| {
        let lowering = Lowering { deadman: texts, ..Lowering::bare("t", &[], &server) };
        let (plan, _) = compiled.pipeline.lower(&lowering).unwrap();
        let alert = plan.nodes.into_iter().find_map(|node| match node.kind {
            NodeKind::Alert(alert) => Some(alert),
            _ => None,
        });
        alert.map(|alert| (alert.id, alert.message))
    };
    let compiled = check("stream|from()|deadman(1.0, 90s)").unwrap();
    assert_eq!(told(&compiled, texts), Some(("from1 NODE_NAME".into(), "1m30s INTERVAL".into())));
    let named = check("stream|from()|deadman(1.0, 90s).id('x').message('y')").unwrap();
    assert_eq!(told(&named, texts), Some(("x".into(), "y".into())));
    let mut all = check("stream|from()|log()").unwrap();
    all.pipeline.watch_source(GlobalDeadman { threshold: 2.0, interval: 10_000_000_000 });
    let names: Vec<&str> = all.pipeline.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["stream0", "from1", "log2", "stats3", "derivative4", "alert5"]);
    let (id, message) = told(&all, DeadmanTexts::default()).unwrap();
    assert_eq!(id, "{{ .Group }}:stream0 for task '{{ .TaskName }}'");
    assert!(message.ends_with("points/10s."), "{message}");
}

#[test]
fn deadman_is_made_of_nodes_that_exist() {
    let compiled = check("stream|from().measurement('m')|deadman(1.0, 10s, lambda: TRUE).id('x')|log()").unwrap();
    let names: Vec<&str> = compiled.pipeline.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["stream0", "from1", "stats2", "noop3", "derivative4", "alert5", "log6"]);
    let derivative = &compiled.pipeline.nodes[4];
    assert_eq!(derivative.duration("unit"), Some(10_000_000_000));
    assert!(derivative.is_set("nonNegative") && compiled.pipeline.nodes[2].is_set("align"));
    let edges =
        ["stream0 -> from1", "from1 -> noop3", "stats2 -> derivative4", "derivative4 -> alert5", "alert5 -> log6"];
    let graph = dot::plain("t", &compiled.pipeline);
    assert!(edges.iter().all(|edge| graph.contains(edge)) && graph.lines().count() == 7, "{graph}");
}

#[test]
fn a_start_says_what_does_not_run() {
    let scaled = "stream|from()|k8sAutoscale().resourceName('a').replicas(lambda: 1)";
    let cases = [
        (
            scaled,
            "cannot use the k8sAutoscale node, could not create kubernetes client: \
             unknown kubernetes cluster \"\", cannot get client",
        ),
        ("stream|from()|alert().kafka()", "alert handler kafka: topic must not be empty"),
        (
            "stream|from()|alert().kafka().kafkaTopic('t').partitionHashAlgorithm('md5')",
            "alert handler kafka: invalid partition algorithm: \"md5\"",
        ),
        ("stream|from()|join(stream|from()).as('a', 'b').fill('previous')", "unexpected fill option previous"),
        (
            "var s = stream|from()\ns|window().period(1s).every(1s)|join(s).as('a', 'b')",
            "cannot add child mismatched edges: from1:stream -> join4:batch",
        ),
        ("stream|from()|stats(0s)|log()", "greater than zero"),
        ("stream|from()|influxDBOut().precision('y')", "unexpected precision option y"),
        ("stream|from()|kapacitorLoopback().database('d').retentionPolicy('r')", "loop detected"),
        ("batch|query('q')", "must define one of 'every' or 'cron'"),
        ("batch|query('q').every(1s).cron('* * * * *')", "must not set both"),
        ("batch|query('q').every(1s).groupBy(time(1s), 2s)", "more than one time dimension"),
        ("batch|query('q').every(1s).groupBy(1)", "invalid dimension type:int"),
        ("batch|query('q').every(1s).fill('x')", "unexpected fill option x"),
    ];
    for (script, expected) in cases {
        let said = start(script).unwrap_err();
        assert!(said.contains(expected), "{script}: {said}");
    }
    assert!(matches!(start("stream|from()|log()").unwrap().nodes[2].kind, NodeKind::Log { .. }));
}

#[test]
fn user_defined_functions_are_called_by_what_they_say_of_themselves() {
    let options = BTreeMap::from([("n".to_owned(), vec![Kind::Int, Kind::Int]), ("as".to_owned(), vec![Kind::String])]);
    let echo = Udf { wants: Edge::Stream, provides: Edge::Batch, options: Some(options) };
    let udfs = Udfs::Known(BTreeMap::from([("echo".to_owned(), Arc::new(echo))]));
    let vars = Vars::new();
    let compiled = |script: &str| compile_with_udfs(script, Options { vars: &vars }, &udfs);
    let done = compiled("stream|from()@echo().n(1, 2).as('x').n(3, 4).quiet()|mean('v')").unwrap();
    let node = &done.pipeline.nodes[2];
    assert_eq!((node.name.as_str(), node.provides, node.quiet), ("echo2", Edge::Batch, true));
    let called: Vec<&str> = node.udf.iter().flat_map(|call| &call.options).map(|(name, _)| name.as_str()).collect();
    assert_eq!(called, ["n", "as", "n"]);
    let refused = |script: &str| compiled(script).map(|_| ()).unwrap_err().to_string();
    assert!(refused("stream|from()@echo().n(1)").contains("unexpected number of args to n, got 1 expected 2"));
    assert!(refused("stream|from()@echo().as(1)").contains("unexpected arg to as, got INT expected STRING"));
    assert!(refused("stream|from()@echo().foo()").contains("no method or property \"foo\""));
    assert!(refused("stream|from()|echo()").contains("UDF does exist. Use '@' operator instead"));
    assert!(refused("stream|from()@ecco()").contains("no method or property \"ecco\""));
}

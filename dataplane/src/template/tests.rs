//! What templates print, as the reference lists it.

use std::rc::Rc;

use proto::{plan::ServerInfo, value::Level};

use super::{Data, Kind, Template};
use crate::{
    name::Name,
    tags::TagSet,
    value::{Field, Value},
};

fn render(kind: Kind, source: &str) -> Result<String, String> {
    let name = |text: &str| Name::new(text).unwrap();
    let tags = TagSet::new(vec![(name("host"), Rc::from("a")), (name("dc"), Rc::from("eu"))]);
    let field = |key: &str, value| Field { name: name(key), value };
    let fields = [
        field("usage", Value::Float(75.0)),
        field("f", Value::Float(1_234_567.891)),
        field("i", Value::Int(42)),
        field("b", Value::Bool(true)),
        field("s", Value::String("x <y>&\"+".into())),
        field("nothing", Value::Null),
    ];
    let server = ServerInfo { hostname: "h1".into(), cluster_id: "c".into(), server_id: "s".into() };
    let data = Data {
        name: name("cpu"),
        task: "t",
        group: "host=a",
        tags: &tags,
        null_tags: false,
        server: &server,
        id: "cpu_a",
        fields: &fields,
        level: Level::Warning,
        time: 1_600_000_000_500_000_000,
        duration: 90_250_000_000,
        message: "m",
    };
    let template = Template::new(kind, source).map_err(|error| error.to_string())?;
    let mut out = String::new();
    template.render(&data, &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

#[test]
fn messages_print_as_go_does() {
    let cases = [
        ("", ""),
        ("{{ .ID }} is {{ .Level }}", "cpu_a is WARNING"),
        ("{{.TaskName}}/{{.Name}}/{{ index .Tags \"dc\" }}-{{ .Tags.host }}/{{ .Group }}", "t/cpu/eu-a/host=a"),
        (
            "[{{ index .Tags \"no\" }}][{{ .Tags.no }}][{{ index .Fields \"no\" }}][{{ .Fields.no }}]",
            "[][<no value>][<no value>][<no value>]",
        ),
        // The same behind a condition, where the interpreter runs.
        (
            "{{ if true }}[{{ index .Tags \"no\" }}][{{ .Tags.no }}][{{ index .Fields \"no\" }}][{{ .Fields.no }}]{{ end }}",
            "[][<no value>][<no value>][<no value>]",
        ),
        (
            "{{ .Fields.f }} {{ .Fields.usage }} {{ .Fields.i }} {{ .Fields.b }} {{ .Fields.nothing }}",
            "1.234567891e+06 75 42 true <no value>",
        ),
        (
            "{{ with .Fields }}{{ .f }} {{ .usage }} {{ .i }} {{ .b }} {{ .nothing }}{{ end }}",
            "1.234567891e+06 75 42 true <no value>",
        ),
        ("{{ .Time }} | {{ .Duration }}", "2020-09-13 12:26:40.5 +0000 UTC | 1m30.25s"),
        (
            "{{ .Time.Unix }} {{ .Time.UnixNano }} {{ .Time.Weekday }} {{ .Time.Year }}",
            "1600000000 1600000000500000000 Sunday 2020",
        ),
        ("{{ .Time.Format \"2006-01-02T15:04:05Z07:00\" }}", "2020-09-13T12:26:40Z"),
        ("{{ \"15:04\" | .Time.Format }}", "12:26"),
        ("{{ $t := .Time }}{{ $t.Unix }} {{ ($t.UTC).Hour }}", "1600000000 12"),
        (
            "{{ .Duration.Seconds }} {{ .Duration.Minutes }} {{ printf \"%d %v %s\" .Duration .Duration .Duration }}",
            "90.25 1.5041666666666667 90250000000 1m30.25s 1m30.25s",
        ),
        ("{{ printf \"%T %T %T\" .Fields.usage .Duration .Level }}", "float64 time.Duration string"),
        ("{{ .Tags }} {{ print .Tags }}", "map[dc:eu host:a] map[dc:eu host:a]"),
        ("{{ printf \"%d %0.2f\" .Fields.usage .Fields.i }}", "%!d(float64=75) %!f(int64=42)"),
        (
            "{{ printf \"%0.2f\" (index .Fields \"no\") }} {{ index .Fields \"no\" | printf \"%0.2f\" }}",
            "%!f(<nil>) %!f(<nil>)",
        ),
        ("{{ printf \"%d %d\" .Fields.i }} {{ printf \"x\" .Fields.i }}", "42 %!d(MISSING) x%!(EXTRA int64=42)"),
        (
            "{{ printf \"%0.2f|%8.3f|%-8.1f|%e|%g|%v\" .Fields.usage .Fields.f .Fields.usage .Fields.f .Fields.f .Fields.f }}",
            "75.00|1234567.891|75.0    |1.234568e+06|1.234567891e+06|1.234567891e+06",
        ),
        ("{{ print \"a\" 1 2 \"b\" }}", "a1 2b"),
        (
            "{{ print .Fields.f .Fields.i \"x\" .Duration }}|{{ print .Fields }}",
            "1.234567891e+06 42x1m30.25s|map[b:true f:1.234567891e+06 i:42 nothing:<nil> s:x <y>&\"+ usage:75]",
        ),
        ("{{ if gt .Duration 5 }}long{{ end }}{{ if .Duration }}!{{ end }}", "long!"),
        ("{{ if eq .Level \"WARNING\" \"CRITICAL\" }}bad{{ else }}fine{{ end }}", "bad"),
        ("{{ range $k, $v := .Tags }}{{ $k }}={{ $v }};{{ end }}", "dc=eu;host=a;"),
        ("{{ .ServerInfo.Hostname }} {{ with .ServerInfo }}{{ .ClusterID }}{{ end }}", "h1 c"),
        ("{{ html .Fields.s }} {{ urlquery \"a b&c\" }}", "x &lt;y&gt;&amp;&#34;+ a+b%26c"),
        ("{{ len .Tags }} {{ slice .Name 1 3 }} {{ .Level | printf \"%s-%s\" \"lvl\" }}", "2 pu lvl-WARNING"),
        ("{{ define \"x\" }}<{{ .ID }}>{{ end }}{{ template \"x\" . }}", "<cpu_a>"),
        ("<{{ .Fields.s }}>", "<x <y>&\"+>"),
        (
            "{{ .Time.Month | printf \"%d %s\" 9 }} {{ printf \"%d\" .Time.Weekday }} {{ eq .Time.Month 9 }}",
            "9 September 0 true",
        ),
        ("{{ .Time.Location }} {{ .Time.Before .Time }} {{ .Time.Sub .Time }}", "UTC false 0s"),
        ("{{ .Time.AddDate 0 5 18 }}", "2021-03-03 12:26:40.5 +0000 UTC"),
        ("{{ define \"x\" }}[{{ . }}]{{ end }}{{ template \"x\" .Name }}{{ template \"x\" }}", "[cpu][<no value>]"),
        ("{{ range $k, $v := .Fields.nope }}x{{ else }}none{{ end }}", "none"),
        ("{{ range $k, $v := .Tags }}{{ if eq $k \"dc\" }}{{ continue }}{{ end }}{{ $k }}{{ break }}{{ end }}", "host"),
        ("{{ urlquery .Name \"&\" }} {{ \"x\" | html \"<\" }}", "cpu%26 &lt;x"),
        ("{{ .ServerInfo }}", "{h1 c s}"),
        (
            "{{ . }}",
            "{{cpu t host=a map[dc:eu host:a] {h1 c s}} cpu_a map[b:true f:1.234567891e+06 i:42 nothing:<nil> \
             s:x <y>&\"+ usage:75] WARNING 2020-09-13 12:26:40.5 +0000 UTC 1m30.25s}",
        ),
        ("{{ with $x := .Name }}{{ $x }}{{ $y := 1 }}{{ $y }}{{ end }}{{/* {{ end }} */}}", "cpu1"),
    ];
    for (source, expected) in cases {
        assert_eq!(render(Kind::Message, source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn details_are_escaped_for_their_place() {
    let json = concat!(
        r#"{"Name":"cpu","TaskName":"t","Group":"host=a","Tags":{"dc":"eu","host":"a"},"ServerInfo":{"Hostname":"h1","#,
        r#""ClusterID":"c","ServerID":"s"},"ID":"cpu_a","Fields":{"b":true,"f":1234567.891,"i":42,"nothing":null,"#,
        r#""s":"x \u003cy\u003e\u0026\"+","usage":75},"Level":"WARNING","Time":"2020-09-13T12:26:40.5Z","#,
        r#""Duration":90250000000,"Message":"m"}"#,
        "\n"
    );
    let escaped = json.replace('"', "&#34;").replace('+', "&#43;");
    let cases = [
        ("{{ json . }}", escaped.as_str()),
        ("<p>{{ json . }}</p>", &format!("<p>{escaped}</p>")),
        ("{{ .Fields.s }} {{ .Message }}", "x &lt;y&gt;&amp;&#34;&#43; m"),
        ("<p title=\"{{ .Fields.s }}\">{{ .Time.Unix }}</p>", "<p title=\"x &lt;y&gt;&amp;&#34;&#43;\">1600000000</p>"),
        ("<a href=\"/x?q={{ .Group }}\">", "<a href=\"/x?q=host%3da\">"),
        ("<script>var v = {{ .Fields.usage }};</script>", "<script>var v =  75 ;</script>"),
        ("at {{ .Time.Unix }}", "at 1600000000"),
        ("{{ html .Fields.s }} {{ .Group | urlquery }}", "x &lt;y&gt;&amp;&#34;+ host%3Da"),
        ("[{{ index .Fields \"no\" }}][{{ .Fields.no }}][{{ .Tags.no }}]", "[][][]"),
        ("<p>[{{ index .Fields \"no\" }}][{{ .Fields.no }}][{{ .Tags.no }}]</p>", "<p>[][][]</p>"),
    ];
    for (source, expected) in cases {
        assert_eq!(render(Kind::Details, source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn errors_say_what_and_where() {
    let cases = [
        (Kind::Message, "{{ .Nope }}", "can't evaluate field Nope in type kapacitor.messageInfo"),
        (Kind::Message, "{{ .Nope }}", "executing \"message\" at <.Nope>"),
        (Kind::Id, "{{ .Level }}", "can't evaluate field Level in type kapacitor.idInfo"),
        (Kind::Message, "{{ json . }}", "template: message:1: function \"json\" not defined"),
        (Kind::Message, "{{ if gt .Fields.i 90.0 }}x{{ end }}", "incompatible types for comparison"),
        (Kind::Details, "{{ .Nope.Deeper }}", "can't evaluate field Nope in type kapacitor.detailsInfo"),
        (Kind::Message, "{{ .ID", "template: message:1"),
        (Kind::Message, "{{ .ID }}{{ end }} more", "do not match"),
        (Kind::Details, "{{ else }}", "do not match"),
        (Kind::Message, "{{ .Time.Nope }}", "can't evaluate field Nope in type time.Time"),
        (Kind::Message, "{{ range .Fields.i }}x{{ end }}", "range can't iterate over 42"),
        (Kind::Message, "x\n{{ end }}", "template: message:2: {{end}} and what it ends do not match"),
        (Kind::Message, "{{ end }}{{ if true }}", "do not match"),
        (Kind::Details, "{{ if true }}", "do not match"),
        (Kind::Id, "{{ else }}", "do not match"),
        (Kind::Message, "{{ define \"x\" }}", "do not match"),
        (Kind::Message, "\n{{ $x }}{{ $x := 1 }}", "template: message:2: undefined variable \"$x\""),
        (Kind::Message, "{{ if true }}{{ $x := 1 }}{{ end }}{{ $x = 2 }}", "undefined variable \"$x\""),
        (Kind::Message, "{{ if true }}{{ break }}{{ end }}", "{{break}} outside {{range}}"),
    ];
    for (kind, source, expected) in cases {
        let error = render(kind, source).unwrap_err();
        assert!(error.contains(expected), "{source}: {error}");
    }
}

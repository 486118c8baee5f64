//! Events on their way to services of the configuration: chat, paging, mail.
#![allow(clippy::unwrap_used, reason = "a panic is the point of a test")]

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::Duration,
};

use farad_tests::{
    server::{Server, patience, until},
    sink::Sink,
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(10);

/// A mail server that takes everything; gives sender, recipients and text of each mail.
fn mail_server() -> (SocketAddr, mpsc::Receiver<Vec<String>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (mails, received) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Some(mail) = take_mail(&stream) {
                let _ = mails.send(mail);
            }
        }
    });
    (address, received)
}

/// The lines of one conversation (RFC 5321).
fn take_mail(mut stream: &TcpStream) -> Option<Vec<String>> {
    let mut lines = BufReader::new(stream.try_clone().ok()?).lines();
    let mut said = Vec::new();
    writeln!(stream, "220 here\r").ok()?;
    let mut in_text = false;
    loop {
        let line = lines.next()?.ok()?;
        said.push(line.clone());
        let answer = match line.split(' ').next()?.to_ascii_uppercase().as_str() {
            "." => {
                writeln!(stream, "250 taken\r").ok()?;
                return Some(said);
            }
            _ if in_text => continue,
            "DATA" => {
                in_text = true;
                "354 go on"
            }
            _ => "250 fine",
        };
        writeln!(stream, "{answer}\r").ok()?;
    }
}

#[test]
fn an_alert_goes_to_the_services_that_it_names_and_to_the_global_ones() {
    let (sink, (mail, mails)) = (Sink::start().unwrap(), mail_server());
    let (slack, telegram) = (format!("{}/services/slack", sink.url()), format!("{}/services/bot", sink.url()));
    let port = mail.port().to_string();
    let server = Server::start(
        2,
        &[
            ("KAPACITOR_SLACK_0_ENABLED", "true"),
            ("KAPACITOR_SLACK_0_URL", &slack),
            ("KAPACITOR_TELEGRAM_ENABLED", "true"),
            ("KAPACITOR_TELEGRAM_URL", &telegram),
            ("KAPACITOR_TELEGRAM_TOKEN", "T"),
            ("KAPACITOR_TELEGRAM_GLOBAL", "true"),
            ("KAPACITOR_SMTP_ENABLED", "true"),
            ("KAPACITOR_SMTP_HOST", "127.0.0.1"),
            ("KAPACITOR_SMTP_PORT", &port),
            ("KAPACITOR_SMTP_FROM", "farad@example.com"),
        ],
    )
    .unwrap();
    let script = "stream|from().measurement('cpu')|alert().crit(lambda: TRUE).message('{{ .Name }} is hot').details('<b>hot</b>')\
                  .slack().channel('#ops').email('a@example.com', 'b@example.com')";
    assert_eq!(server.define("t", script).unwrap(), 200);
    assert_eq!(server.write("d", "r", "cpu,host=a v=1\n").unwrap().status, 204);
    let arrived = || sink.count("/services") == 2;
    assert!(until(LIMIT, arrived), "{:?}\n{}", sink.take("/services"), server.log());
    let received = sink.take("/services");
    let message = &received["/slack"][0];
    assert_eq!((&message["channel"], &message["attachments"][0]["color"]), (&json!("#ops"), &json!("danger")));
    assert_eq!(received["/botT/sendMessage"][0]["text"], "cpu is hot");

    let mail = mails.recv_timeout(LIMIT * patience()).unwrap();
    for line in [
        "MAIL FROM:<farad@example.com>",
        "RCPT TO:<a@example.com>",
        "RCPT TO:<b@example.com>",
        "Subject: cpu is hot",
        "<b>hot</b>",
    ] {
        assert!(mail.iter().any(|said| said.starts_with(line)), "{line}: {mail:#?}");
    }

    // A topic's handler of the same kind, and a test of the service.
    let handler = r#"{"id": "h", "kind": "slack", "options": {"channel": "t"}}"#;
    let defined = server.call("POST", "/kapacitor/v1/alerts/topics/x/handlers", Some(handler)).unwrap();
    assert_eq!(defined.status, 200, "{}", defined.text());
    let wrong = r#"{"id": "w", "kind": "slack", "options": {"chanel": "t"}}"#;
    let refused = server.call("POST", "/kapacitor/v1/alerts/topics/x/handlers", Some(wrong)).unwrap();
    assert!(refused.status == 500 && refused.text().contains("chanel"), "{} {}", refused.status, refused.text());
    let tested = server.call("POST", "/kapacitor/v1/service-tests/slack", Some("{}")).unwrap();
    assert_eq!(tested.json(), json!({"success": true, "message": ""}));
    assert!(until(LIMIT, || sink.take("/services")["/slack"].len() == 2));
}

//! A source of `sideload` that is asked over HTTP: one object that holds what files would, by their paths (Kapacitor 1.6).

use std::{collections::BTreeMap, time::Duration};

use dataplane::causes::with_causes;
use proto::plan::SideloadFile;
use reqwest::{Client, Response, header::CONTENT_TYPE};
use serde_json::Value;
use tokio::runtime::{Handle, RuntimeFlavor};

use super::{BYTES_MAX, values};
use crate::tick::Endpoint;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Asks an endpoint; must be called inside a runtime, whose other work goes on meanwhile.
pub fn fetch(endpoint: &Endpoint) -> Result<Vec<SideloadFile>, String> {
    let failed = |error: String| format!("failed to fetch sideload source {}: {error}", endpoint.url);
    let runtime = Handle::try_current().map_err(|error| failed(error.to_string()))?;
    let answer = match runtime.runtime_flavor() {
        RuntimeFlavor::CurrentThread => Err("nobody could go on meanwhile".to_owned()),
        _ => tokio::task::block_in_place(|| runtime.block_on(tokio::time::timeout(LIMIT, get(endpoint))))
            .unwrap_or_else(|_| Err(format!("no answer within {LIMIT:?}"))),
    };
    answer.map_err(failed)
}

async fn get(endpoint: &Endpoint) -> Result<Vec<SideloadFile>, String> {
    let error = |error: reqwest::Error| with_causes(&error);
    let mut request = Client::builder().build().map_err(error)?.get(&endpoint.url);
    for (name, value) in &endpoint.headers {
        request = request.header(name, value);
    }
    if let Some((user, password)) = &endpoint.basic_auth {
        request = request.basic_auth(user, Some(password));
    }
    let answer = request.send().await.map_err(error)?;
    if !answer.status().is_success() {
        return Err(format!("it answered with status {}", answer.status().as_u16()));
    }
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_yaml = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/yaml"));
    let body = read(answer).await?;
    let files: BTreeMap<String, Value> = match is_yaml {
        true => serde_yaml_ng::from_slice(&body).map_err(|error| error.to_string())?,
        false => serde_json::from_slice(&body).map_err(|error| error.to_string())?,
    };
    Ok(files.into_iter().map(|(path, parsed)| SideloadFile { path, values: values(parsed) }).collect())
}

async fn read(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| with_causes(&error))? {
        if (body.len() + chunk.len()) as u64 > BYTES_MAX {
            return Err(format!("the answer has more than {BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use proto::plan::SideloadValue;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    /// What is fetched of a server that answers one request so, and the head of that request.
    async fn fetched(status: &str, kind: &str, body: &str) -> (Result<Vec<SideloadFile>, String>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint {
            url: format!("http://{}/tags", listener.local_addr().unwrap()),
            headers: vec![("X-Token".to_owned(), "t".to_owned())],
            basic_auth: Some(("user".to_owned(), "password".to_owned())),
            ..Endpoint::default()
        };
        let asked = tokio::spawn(async move { fetch(&endpoint) });
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut head).await.unwrap(), 0);
        }
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        (asked.await.unwrap(), String::from_utf8(head).unwrap().to_lowercase())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_answer_holds_what_files_would() {
        let (files, head) = fetched("200 OK", "text/plain", r#"{"a.yml":{"n":1},"default":{"s":"x","z":null}}"#).await;
        let expected = [
            SideloadFile { path: "a.yml".into(), values: vec![("n".into(), SideloadValue::Number(1.0))] },
            SideloadFile {
                path: "default".into(),
                values: vec![("s".into(), SideloadValue::Text("x".into())), ("z".into(), SideloadValue::Null)],
            },
        ];
        assert_eq!(files.unwrap(), expected);
        assert!(head.starts_with("get /tags ") && head.contains("x-token: t\r\n"), "{head}");
        assert!(head.contains("authorization: basic dxnlcjpwyxnzd29yza==\r\n"), "{head}");
        let (files, _) = fetched("200 OK", "application/yaml; charset=utf-8", "a:\n  n: 2.5\n").await;
        assert_eq!(files.unwrap()[0].values, [("n".into(), SideloadValue::Number(2.5))]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_no_source_says_so() {
        assert!(fetched("404 Not Found", "", "").await.0.unwrap_err().contains("status 404"));
        assert!(fetched("200 OK", "", "[1]").await.0.unwrap_err().contains("failed to fetch sideload source http://"));
    }
}

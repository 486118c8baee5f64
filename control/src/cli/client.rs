//! Requests to a server.

use serde_json::Value;

use super::CliError;

pub struct Client {
    base: String,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

/// Takes `-url` from the front of the arguments; else `KAPACITOR_URL`, else the usual address.
pub fn take_url(arguments: &mut Vec<String>) -> Result<String, CliError> {
    let mut url = std::env::var("KAPACITOR_URL").ok().filter(|url| !url.is_empty());
    while let Some(first) = arguments.first() {
        let Some(name) = first.strip_prefix("--").or_else(|| first.strip_prefix('-')) else { break };
        let (name, given) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
        if name != "url" {
            return Err(CliError::Usage(format!("flag provided but not defined: -{name}")));
        }
        arguments.remove(0);
        url = match given {
            Some(value) => Some(value),
            None if arguments.is_empty() => return Err(CliError::Usage("flag needs an argument: -url".to_owned())),
            None => Some(arguments.remove(0)),
        };
    }
    Ok(url.unwrap_or_else(|| "http://localhost:9092".to_owned()))
}

impl Client {
    pub fn new(url: &str) -> Result<Client, CliError> {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let scheme = url.split("://").next().unwrap_or_default();
            return Err(CliError::Address(format!(
                "Unsupported protocol scheme: {scheme}, your address must start with http:// or https://"
            )));
        }
        let origin = reqwest::Url::parse(url).map_err(|error| CliError::Address(error.to_string()))?;
        let base = format!("{}/kapacitor/v1", origin.origin().ascii_serialization());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CliError::failed)?;
        Ok(Client { base, http: reqwest::Client::new(), runtime })
    }

    /// Sends a request; a path below the base, or one that a link of an answer gave. Returns status and body.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<(u16, String), CliError> {
        let path = path.strip_prefix("/kapacitor/v1").unwrap_or(path);
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(CliError::failed)?;
        let mut request = self.http.request(method, format!("{}{path}", self.base)).header("User-Agent", "FaradClient");
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        self.runtime.block_on(async {
            let response = request.send().await.map_err(|error| {
                let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                CliError::Failed(format!("{error}{cause}"))
            })?;
            let status = response.status().as_u16();
            Ok((status, response.text().await.map_err(CliError::failed)?))
        })
    }

    /// The body of an answer that is a success; the server's error otherwise.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<String, CliError> {
        let (status, text) = self.send(method, path, body)?;
        if (200..300).contains(&status) {
            return Ok(text);
        }
        let error = serde_json::from_str::<Value>(&text).ok();
        let error = error.and_then(|body| body.get("error")?.as_str().map(str::to_owned));
        Err(CliError::Failed(error.unwrap_or_else(|| format!("the server answered {status}: {text}"))))
    }

    pub fn get(&self, path: &str) -> Result<String, CliError> {
        self.call("GET", path, None)
    }

    pub fn json(&self, path: &str) -> Result<Value, CliError> {
        serde_json::from_str(&self.get(path)?).map_err(CliError::failed)
    }

    /// All tasks that match a pattern, page by page.
    pub fn tasks(&self, pattern: &str, fields: &[&str]) -> Result<Vec<Value>, CliError> {
        const PAGE: usize = 100;
        let fields: String = fields.iter().map(|field| format!("&fields={field}")).collect();
        let pattern = percent_encoding::utf8_percent_encode(pattern, percent_encoding::NON_ALPHANUMERIC);
        let mut tasks = Vec::new();
        loop {
            let path = format!(
                "/tasks?dot-view=attributes{fields}&limit={PAGE}&offset={}&pattern={pattern}&replay-id=&script-format=formatted",
                tasks.len()
            );
            let page = self.json(&path)?;
            let page = page.get("tasks").and_then(Value::as_array).cloned().unwrap_or_default();
            let last = page.len() < PAGE;
            tasks.extend(page);
            if last {
                return Ok(tasks);
            }
        }
    }
}

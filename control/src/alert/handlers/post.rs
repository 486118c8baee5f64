//! `post`: the event as the body of a POST.

use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::DeliveryError;

/// How much of an answer is shown.
const ANSWER_BYTES_MAX: usize = 4 << 10;

pub struct Request<'a> {
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    pub basic_auth: Option<&'a (String, String)>,
    /// Show the body of an answer that is no success.
    pub capture: bool,
}

pub fn client(skip_ssl_verification: bool) -> Option<reqwest::Client> {
    reqwest::Client::builder().danger_accept_invalid_certs(skip_ssl_verification).build().ok()
}

pub async fn deliver(client: Option<&reqwest::Client>, to: Request<'_>, json: String) -> Result<(), DeliveryError> {
    let client = client.ok_or_else(|| DeliveryError::Http("no HTTP client could be made".to_owned()))?;
    let mut request = client.post(to.url).body(json);
    for (name, value) in to.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            request = request.header(name, value);
        }
    }
    if let Some((user, password)) = to.basic_auth {
        request = request.basic_auth(user, Some(password));
    }
    let mut request = request.build().map_err(http_error)?;
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let response = client.execute(request).await.map_err(http_error)?;
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let body = if to.capture { response.text().await.unwrap_or_default() } else { String::new() };
    let shown: String = body.chars().take(ANSWER_BYTES_MAX).collect();
    Err(DeliveryError::Http(format!("POST returned non 2xx status code {}: {shown}", status.as_u16())))
}

/// The error with its causes; the outermost says only that something failed.
fn http_error(error: reqwest::Error) -> DeliveryError {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    DeliveryError::Http(text)
}

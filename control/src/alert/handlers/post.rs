//! `post`: the event as the body of a POST.

use std::time::Duration;

use dataplane::causes::with_causes;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::{DeliveryError, pipeline::Pipeline};

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

/// Where a handler posts to.
pub struct Receiver {
    client: Option<reqwest::Client>,
    /// Without a body; or what is wrong with it, which each event then fails by.
    request: Result<reqwest::Request, String>,
    capture: bool,
    pipeline: Option<Pipeline>,
}

impl Receiver {
    pub fn new(to: Request<'_>, skip_ssl_verification: bool) -> Receiver {
        let client = client(skip_ssl_verification);
        let request = build(client.as_ref(), &to).map_err(|error| error.to_string());
        let pipeline = request.as_ref().ok().and_then(Pipeline::new);
        Receiver { client, request, capture: to.capture, pipeline }
    }

    /// Posts events in order, each within `limit`; `done` hears of each.
    pub async fn deliver(
        &mut self,
        events: &[String],
        limit: Duration,
        mut done: impl FnMut(Result<(), DeliveryError>),
    ) {
        let mut left = events;
        while let [first, others @ ..] = left {
            let mut answered = 0;
            if let Some(pipeline) = &mut self.pipeline {
                for answer in pipeline.post(left, limit).await {
                    match answer {
                        // Whoever follows redirects posts it again.
                        Ok(answer) if (300..400).contains(&answer.status) => {
                            done(self.alone(&left[answered], limit).await);
                        }
                        Ok(answer) => done(self.judge(answer.status, || answer.text())),
                        Err(error) => done(Err(error)),
                    }
                    answered += 1;
                }
            }
            if answered == 0 {
                done(self.alone(first, limit).await);
                left = others;
            } else {
                left = left.get(answered..).unwrap_or_default();
            }
        }
    }

    /// Posts one event by the client.
    async fn alone(&self, event: &str, limit: Duration) -> Result<(), DeliveryError> {
        let delivery = async {
            let client = self.client.as_ref().ok_or_else(no_client)?;
            let request = self.request.as_ref().map_err(|error| DeliveryError::Http(error.clone()))?;
            let mut request = request.try_clone().ok_or_else(no_client)?;
            *request.body_mut() = Some(event.to_owned().into());
            let response = client.execute(request).await.map_err(http_error)?;
            let status = response.status().as_u16();
            let body = if self.capture { response.text().await.unwrap_or_default() } else { String::new() };
            self.judge(status, || body)
        };
        tokio::time::timeout(limit, delivery).await.map_err(|_| DeliveryError::Timeout(limit))?
    }

    fn judge(&self, status: u16, body: impl FnOnce() -> String) -> Result<(), DeliveryError> {
        if (200..300).contains(&status) {
            return Ok(());
        }
        let body = if self.capture { body() } else { String::new() };
        let shown: String = body.chars().take(ANSWER_BYTES_MAX).collect();
        Err(DeliveryError::Http(format!("POST returned non 2xx status code {status}: {shown}")))
    }
}

/// The request without a body.
fn build(client: Option<&reqwest::Client>, to: &Request<'_>) -> Result<reqwest::Request, DeliveryError> {
    let mut request = client.ok_or_else(no_client)?.post(to.url);
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
    Ok(request)
}

fn no_client() -> DeliveryError {
    DeliveryError::Http("no HTTP client could be made".to_owned())
}

fn http_error(error: reqwest::Error) -> DeliveryError {
    DeliveryError::Http(with_causes(&error))
}

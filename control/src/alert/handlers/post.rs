//! `post`: the event as the body of a POST, or what the endpoint's template makes of it.

use std::time::Duration;

use dataplane::{
    causes::with_causes,
    template::{EventData, Template},
};
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};

use super::{DeliveryError, TIMEOUT, pipeline::Pipeline};
use crate::alert::{delivery::Item, event::to_json, spec::Post};

/// How much of an answer is shown.
const ANSWER_BYTES_MAX: usize = 4 << 10;

pub fn client(skip_ssl_verification: bool) -> Option<reqwest::Client> {
    reqwest::Client::builder().danger_accept_invalid_certs(skip_ssl_verification).build().ok()
}

/// Where a handler posts to.
pub struct Receiver {
    client: Option<reqwest::Client>,
    /// Without a body; or what is wrong with it, which each event then fails by.
    request: Result<reqwest::Request, String>,
    body: Option<Template>,
    /// Each event is posted to an address of its own.
    url: Option<Template>,
    /// Show the body of an answer that is no success.
    capture: bool,
    limit: Duration,
    pipeline: Option<Pipeline>,
}

impl Receiver {
    pub fn new(post: &Post) -> Receiver {
        let client = client(post.skip_ssl_verification);
        // What is wrong with a template is said where the handler is defined.
        let [body, url] = post.templates().unwrap_or_default();
        let request = build(client.as_ref(), post, url.is_some()).map_err(|error| error.to_string());
        let pipeline = request.as_ref().ok().filter(|_| url.is_none()).and_then(Pipeline::new);
        let limit = if post.timeout > 0 { Duration::from_nanos(post.timeout.unsigned_abs()) } else { TIMEOUT };
        Receiver { client, request, body, url, capture: post.capture_response, limit, pipeline }
    }

    /// Posts events in order; `done` hears of each.
    pub async fn events(&mut self, items: &[Item], mut done: impl FnMut(&Item, Result<(), DeliveryError>)) {
        let (mut posted, mut bodies) = (Vec::with_capacity(items.len()), Vec::with_capacity(items.len()));
        for item in items {
            match self.letter(item) {
                Ok((body, None)) => {
                    posted.push(item);
                    bodies.push(body);
                }
                Ok((body, Some(url))) => done(item, self.alone(&body, Some(url)).await),
                Err(error) => done(item, Err(error)),
            }
        }
        let mut posted = posted.into_iter();
        let done = |result| {
            if let Some(item) = posted.next() {
                done(item, result);
            }
        };
        self.deliver(&bodies, done).await;
    }

    /// What is posted of an event; and where, if that depends on it.
    fn letter(&self, item: &Item) -> Result<(String, Option<Url>), DeliveryError> {
        let json = to_json(&item.event, item.previous);
        if self.body.is_none() && self.url.is_none() {
            return Ok((json, None));
        }
        let data = EventData::new(&item.event, item.previous, json.clone());
        let render = |template: &Template| {
            let mut text = String::new();
            let rendered = template.render_event(&data, &mut text);
            rendered.map(|()| text).map_err(|error| DeliveryError::Http(error.to_string()))
        };
        let body = self.body.as_ref().map_or(Ok(json), render)?;
        let Some(template) = &self.url else { return Ok((body, None)) };
        let url = render(template)?;
        match Url::parse(&url) {
            Ok(url) => Ok((body, Some(url))),
            Err(error) => Err(DeliveryError::Http(format!("invalid URL {url:?}: {error}"))),
        }
    }

    /// Posts bodies in order; `done` hears of each.
    async fn deliver(&mut self, events: &[String], mut done: impl FnMut(Result<(), DeliveryError>)) {
        let (mut left, limit) = (events, self.limit);
        while let [first, others @ ..] = left {
            let mut answered = 0;
            if let Some(pipeline) = &mut self.pipeline {
                for answer in pipeline.post(left, limit).await {
                    match answer {
                        // Whoever follows redirects posts it again.
                        Ok(answer) if (300..400).contains(&answer.status) => {
                            done(self.alone(&left[answered], None).await);
                        }
                        Ok(answer) => done(self.judge(answer.status, || answer.text())),
                        Err(error) => done(Err(error)),
                    }
                    answered += 1;
                }
            }
            if answered == 0 {
                done(self.alone(first, None).await);
                left = others;
            } else {
                left = left.get(answered..).unwrap_or_default();
            }
        }
    }

    /// Posts one body by the client.
    async fn alone(&self, body: &str, to: Option<Url>) -> Result<(), DeliveryError> {
        let limit = self.limit;
        let delivery = async {
            let client = self.client.as_ref().ok_or_else(no_client)?;
            let request = self.request.as_ref().map_err(|error| DeliveryError::Http(error.clone()))?;
            let mut request = request.try_clone().ok_or_else(no_client)?;
            *request.body_mut() = Some(body.to_owned().into());
            if let Some(url) = to {
                *request.url_mut() = url;
            }
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

/// The request without a body; one whose address depends on the event stands for no address yet.
fn build(client: Option<&reqwest::Client>, to: &Post, templated: bool) -> Result<reqwest::Request, DeliveryError> {
    let mut request = client.ok_or_else(no_client)?.post(if templated { "http://localhost/" } else { &to.url });
    for (name, value) in &to.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            request = request.header(name, value);
        }
    }
    if let Some((user, password)) = &to.basic_auth {
        request = request.basic_auth(user, Some(password));
    }
    let mut request = request.build().map_err(http_error)?;
    // What a template makes is of the type that the headers say, if they do.
    if to.template.is_none() {
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    Ok(request)
}

fn no_client() -> DeliveryError {
    DeliveryError::Http("no HTTP client could be made".to_owned())
}

fn http_error(error: reqwest::Error) -> DeliveryError {
    DeliveryError::Http(with_causes(&error))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proto::value::{Level, Value};

    use super::*;
    use crate::alert::event::test_event;

    fn item() -> Item {
        let mut event = test_event();
        (event.id, event.message, event.level) = ("cpu:a b".into(), "it is \"hot\"".into(), Level::Critical);
        (event.time, event.duration) = (1_600_000_000_123_000_000, 1_000_000_000);
        event.fields = vec![("n".into(), Value::Int(95)), ("usage".into(), Value::Float(1e6))];
        event.data = concat!(
            r#"{"series":[{"name":"cpu","tags":{"host":"a"},"columns":["time","n","usage"],"#,
            r#""values":[["2020-09-13T12:26:40.123Z",95,1000000]]}]}"#
        )
        .into();
        Item { event: Arc::new(event), previous: Level::Ok, hops: 0 }
    }

    #[test]
    fn an_endpoints_template_makes_the_body_and_sets_no_content_type() {
        let template = "{{.Level}} {{.Duration}} {{.PreviousLevel}} {{ range .Data.Series }}{{ .Name }} {{ .Tags.host }} \
                        {{ range .Values }}{{ . }}{{ end }}{{ end }} {{ jsonCompact .Message }}";
        let post = Post { url: "http://h/".into(), template: Some(template.into()), ..Post::default() };
        let receiver = Receiver::new(&post);
        assert_eq!(
            receiver.letter(&item()).unwrap().0,
            "CRITICAL 1s OK cpu a [2020-09-13 12:26:40.123 +0000 UTC 95 1e+06] \"it is \\\"hot\\\"\""
        );
        assert!(receiver.request.unwrap().headers().get(CONTENT_TYPE).is_none());
        let plain = Receiver::new(&Post { url: "http://h/".into(), ..Post::default() });
        assert!(plain.letter(&item()).unwrap().0.starts_with("{\"id\":\"cpu:a b\","));
        assert_eq!(plain.request.unwrap().headers()[CONTENT_TYPE], "application/json");
    }

    #[test]
    fn the_address_may_depend_on_the_event() {
        let post = Post { url: "http://h/{{ urlquery .ID }}?l={{ .Level }}".into(), ..Post::default() };
        let receiver = Receiver::new(&post);
        assert_eq!(receiver.letter(&item()).unwrap().1.unwrap().as_str(), "http://h/cpu%3Aa+b?l=CRITICAL");
        assert!(Receiver::new(&Post { url: "{{ .Level }}".into(), ..post }).letter(&item()).is_err());
    }

    #[test]
    fn a_template_that_does_not_parse_is_told_where_it_is_named() {
        for post in [
            Post { template: Some("{{ nope }}".into()), ..Post::default() },
            Post { url: "http://h/{{ .ID".into(), ..Post::default() },
        ] {
            assert!(post.templates().is_err());
        }
    }
}

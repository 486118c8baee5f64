//! The desired capacity of an EC2 auto scaling group
//! (<https://docs.aws.amazon.com/autoscaling/ec2/APIReference/>).

use proto::plan::Ec2Access;
use reqwest::Url;

use super::{
    Clients, Failed,
    signature::{Request, Signer},
};
use crate::{json, node::autoscale::Scale, trust::Trust};

const VERSION: &str = "2011-01-01";
const FORM: &str = "application/x-www-form-urlencoded";

/// How many instances are wanted, after setting that if it is to be set. `now` is in nanoseconds since 1970.
pub async fn scale(clients: &Clients, access: &Ec2Access, name: &str, set: Option<i64>, now: i64) -> Scale {
    let api = Api { clients, access, now };
    match set {
        None => {
            let asked = api.call("DescribeAutoScalingGroups", &[("AutoScalingGroupNames.member.1", name)]).await;
            let capacity = asked.and_then(|answer| {
                let capacity = element(&answer, "DesiredCapacity").ok_or("there is no such group")?;
                capacity.parse().map_err(|_| format!("DesiredCapacity is {capacity:?}"))
            });
            capacity.map_err(|error: String| format!("failed to get ec2 autoscaleGroup for {name:?}: {error}"))
        }
        Some(wanted) => {
            // Cooldowns are the node's.
            let parameters =
                [("AutoScalingGroupName", name), ("DesiredCapacity", &wanted.to_string()), ("HonorCooldown", "false")];
            let answered = api.call("SetDesiredCapacity", &parameters).await;
            answered.map(|_| wanted).map_err(|error| format!("Failed to set desired capacity {error}"))
        }
    }
}

/// Whether the region answers and lets us ask.
pub async fn reach(clients: &Clients, access: &Ec2Access, now: i64) -> Result<(), String> {
    let api = Api { clients, access, now };
    api.call("DescribeAutoScalingGroups", &[("MaxRecords", "1")]).await.map(|_| ())
}

struct Api<'a> {
    clients: &'a Clients,
    access: &'a Ec2Access,
    now: i64,
}

impl Api<'_> {
    /// The XML of the answer.
    async fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String, String> {
        let server = std::slice::from_ref(&self.access.url);
        self.clients.first_that_answers(server, |url| self.ask(url, action, parameters)).await
    }

    async fn ask(&self, url: &str, action: &str, parameters: &[(&str, &str)]) -> Result<String, Failed> {
        let refused = |error: String| Failed::Refused(0, error);
        let Ec2Access { region, access_key, secret_key, .. } = self.access;
        if access_key.is_empty() || secret_key.is_empty() {
            return Err(refused("EmptyStaticCreds: static credentials are empty".to_owned()));
        }
        let mut url = Url::parse(url).map_err(|error| refused(format!("invalid URL {url:?}: {error}")))?;
        url.set_path("/");
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let body = form(&url, [&[("Action", action), ("Version", VERSION)], parameters].concat());
        let date = date(self.now);
        let headers = [("content-type", FORM), ("host", &host), ("x-amz-date", &date)];
        let signer = Signer { access_key, secret_key, region, service: "autoscaling" };
        let signed = Request { method: "POST", headers: &headers, body: body.as_bytes() };
        let authorization = signer.authorization(&signed, &date);
        let trust = Trust::default();
        let request = self
            .clients
            .get(&trust)
            .map_err(refused)?
            .post(url)
            .header("Content-Type", FORM)
            .header("X-Amz-Date", &date);
        let request = request.header("Authorization", authorization).body(body);
        let (status, answer) = self.clients.send(&trust, request).await.map_err(Failed::Away)?;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if status == 200 {
            return Ok(answer);
        }
        let error = match (element(&answer, "Code"), element(&answer, "Message")) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code,
            _ => format!("the answer has status {status}"),
        };
        Err(Failed::Refused(status, error))
    }
}

/// Parameters as a body.
fn form(url: &Url, parameters: Vec<(&str, &str)>) -> String {
    let mut url = url.clone();
    url.query_pairs_mut().clear().extend_pairs(parameters);
    url.query().unwrap_or_default().to_owned()
}

/// As AWS writes times: `20150830T123600Z`.
fn date(now: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    let mut text = String::new();
    json::rfc3339(now - now.rem_euclid(SECOND), &mut text);
    text.retain(|c| c.is_ascii_alphanumeric());
    text
}

/// Text of the first element of this name that holds nothing but text.
fn element(xml: &str, name: &str) -> Option<String> {
    let (_, behind) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = behind.split_once(&format!("</{name}>"))?;
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    Some(entities.iter().fold(text.trim().to_owned(), |text, (entity, c)| text.replace(entity, c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_without_separators() {
        assert_eq!(date(1_440_938_160_999_999_999), "20150830T123600Z");
        assert_eq!(date(-1), "19691231T235959Z");
    }

    #[test]
    fn texts_of_elements_are_found() {
        let xml = "<A><DesiredCapacityType>units</DesiredCapacityType><DesiredCapacity> 3\n</DesiredCapacity></A>\
                   <Message>it is &lt;b&gt; &amp;amp;</Message>";
        assert_eq!(element(xml, "DesiredCapacity").as_deref(), Some("3"));
        assert_eq!(element(xml, "Message").as_deref(), Some("it is <b> &amp;"));
        assert_eq!(element(xml, "Code"), None);
    }

    #[test]
    fn parameters_are_encoded_for_a_form() {
        let url = Url::parse("https://x/?old=1").unwrap();
        assert_eq!(form(&url, vec![("a.b", "x y&z"), ("c", "ü")]), "a.b=x+y%26z&c=%C3%BC");
    }
}

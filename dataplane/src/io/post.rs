//! POSTs of httpPost nodes: one at a time per node, in order; nodes do not wait for each other.

use std::{cell::Cell, rc::Rc, time::Duration};

use hashbrown::HashMap;
use proto::plan::HttpPost;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::mpsc;

use super::shards::Shards;
use crate::{
    causes::with_causes,
    routing::Instance,
    shard::command::{Asker, Command, Post},
};

/// How long the worker of a node without posts stays.
const IDLE: Duration = Duration::from_secs(60);

/// How much of an answer is read, for `captureResponse`.
const ANSWER_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Default)]
pub struct PostCounters {
    pub sent: Cell<u64>,
    pub failed: Cell<u64>,
    pub dropped: Cell<u64>,
    /// In a node's queue or on the way.
    pub waiting: Cell<u64>,
}

/// Takes posts of all shards for as long as there are shards. Runs on the I/O thread's local set. Of each node `waiting` may
/// wait; more are dropped with a counter, and the node hears of a failed post.
pub async fn run(mut posts: mpsc::Receiver<Post>, shards: Shards, counters: Rc<PostCounters>, waiting: usize) {
    let client = reqwest::Client::new();
    let mut workers: HashMap<(Instance, String), mpsc::Sender<Post>> = HashMap::new();
    while let Some(post) = posts.recv().await {
        let key = (post.instance, post.request.node.clone());
        if workers.get(&key).is_none_or(mpsc::Sender::is_closed) {
            workers.retain(|_, worker| !worker.is_closed());
            let (queue, posts) = mpsc::channel(waiting);
            tokio::task::spawn_local(work(posts, client.clone(), shards.clone(), counters.clone()));
            workers.insert(key.clone(), queue);
        }
        counters.waiting.set(counters.waiting.get() + 1);
        if let Some(Err(unsent)) = workers.get(&key).map(|worker| worker.try_send(post)) {
            counters.waiting.set(counters.waiting.get() - 1);
            counters.dropped.set(counters.dropped.get() + 1);
            answer(&shards, &unsent.into_inner(), 0).await;
        }
    }
}

async fn work(mut posts: mpsc::Receiver<Post>, client: reqwest::Client, shards: Shards, counters: Rc<PostCounters>) {
    while let Ok(Some(post)) = tokio::time::timeout(IDLE, posts.recv()).await {
        let status = send(&client, &post).await;
        counters.sent.set(counters.sent.get() + 1);
        counters.waiting.set(counters.waiting.get() - 1);
        if !(200..300).contains(&status) {
            counters.failed.set(counters.failed.get() + 1);
        }
        answer(&shards, &post, status).await;
    }
}

/// Status of the answer, 0 without one. What went wrong is logged here, where the answer's body is.
async fn send(client: &reqwest::Client, post: &Post) -> u16 {
    let (task, node, plan) = (&post.request.task, &post.request.node, &post.request.post);
    let mut request = client.post(&post.request.url).headers(headers(plan)).body(post.request.body.clone());
    if let Some((user, password)) = &plan.basic_auth {
        request = request.basic_auth(user, Some(password));
    }
    if let Ok(timeout @ 1..) = u64::try_from(plan.timeout) {
        request = request.timeout(Duration::from_nanos(timeout));
    }
    let mut response = match request.send().await {
        Ok(response) => response,
        Err(error) => {
            let error = with_causes(&error);
            tracing::error!(service = "kapacitor", task, node, err = error, code = 0, "failed to POST data");
            return 0;
        }
    };
    let status = response.status().as_u16();
    let success = response.status().is_success();
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = ANSWER_BYTES_MAX.saturating_sub(body.len());
        body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
        if room == 0 {
            break;
        }
    }
    if !success {
        let text = String::from_utf8_lossy(&body);
        let error = match plan.capture_response {
            true => &*text,
            false => "unknown error, use .captureResponse() to capture the HTTP response",
        };
        tracing::error!(
            service = "kapacitor",
            task,
            node,
            code = status,
            err = error,
            "POST returned non 2xx status code"
        );
    }
    status
}

fn headers(plan: &HttpPost) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if plan.row_template.is_none() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    for (name, value) in &plan.headers {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                headers.insert(name, value);
            }
            _ => tracing::error!(header = name, "a header of httpPost is no valid HTTP header and is left out"),
        }
    }
    headers
}

async fn answer(shards: &Shards, post: &Post, status: u16) {
    let (instance, node, ticket) = (post.instance, post.request.node.clone(), post.request.ticket);
    match &post.asker {
        Asker::Shard(shard) => shards.send(*shard, Command::Resume { instance, node, ticket, status }).await,
        Asker::Lane(resumes) => resumes.send(node, ticket, status),
    }
}

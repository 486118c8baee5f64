//! One relayed request and its answer: bytes go up to the control plane as they come, and its answer down, unchanged.
//!
//! The answer may come before the request is whole (a refusal need not wait for the rest of a body), and a client may end
//! its side once it has asked: it is answered all the same.

use std::time::Duration;

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream, UnixStream,
        unix::{ReadHalf, WriteHalf},
    },
};

use crate::http::{Body, Framer, HEAD_BYTES_MAX, Head, Parsed, Piece, ResponseHead, parse_response};

/// Room for one read.
const READ_BYTES: usize = 64 << 10;

/// How long an answer of unknown length may pause once its client has ended its side: most have left.
const ENDLESS_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The client left, or what it sent is no request.
    #[error("the client is gone")]
    Client,
    /// The control plane went away before it said a word.
    #[error("the control plane is away")]
    Away,
    /// The same in the middle of its answer.
    #[error("the answer of the control plane is cut off")]
    Cut,
}

use ExchangeError::{Away, Client, Cut};

/// What the connections can be used for afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchanged {
    /// The client has sent its whole request, and the end of the answer is known to it.
    pub client: bool,
    pub control: bool,
}

/// `buffered` begins with the request's head; what follows the request stays in it.
pub async fn exchange(
    client: &mut TcpStream,
    sent: BytesMut,
    buffered: &mut BytesMut,
    head: &Head,
    control: &mut UnixStream,
) -> Result<Exchanged, ExchangeError> {
    let (mut control, mut up) = control.split();
    let mut answer = BytesMut::with_capacity(READ_BYTES);
    let sent = send(client, sent, buffered, head, &mut up, &mut control, &mut answer).await?;
    let response = loop {
        if let Some(response) = response_head(client, &mut answer, head).await? {
            break response;
        }
        answer.reserve(READ_BYTES);
        if !matches!(control.read_buf(&mut answer).await, Ok(1..)) {
            return Err(if answer.is_empty() { Away } else { Cut });
        }
    };
    write(client, &answer.split_to(response.bytes)).await?;
    let ended = receive(client, buffered, &response, &mut control, &mut answer).await?;
    Ok(Exchanged { client: sent && ended && response.keep_alive, control: sent && ended && response.keep_alive })
}

/// Sends a request; returns whether all of it was sent, which an answer or a control plane that is gone cut short.
async fn send(
    client: &mut TcpStream,
    mut piece: BytesMut,
    buffered: &mut BytesMut,
    head: &Head,
    up: &mut WriteHalf<'_>,
    control: &mut ReadHalf<'_>,
    answer: &mut BytesMut,
) -> Result<bool, ExchangeError> {
    let mut framer = Framer::new(head.body);
    loop {
        while !piece.is_empty() {
            tokio::select! {
                // An answer that was sent before the end is still there to be read.
                written = up.write_buf(&mut piece) => if !matches!(written, Ok(1..)) { return Ok(false) },
                read = control.read_buf(answer) => if !matches!(read, Ok(1..)) { return Ok(false) },
            }
            if response_head(client, answer, head).await?.is_some() {
                return Ok(false);
            }
        }
        match framer.next(buffered).map_err(|_| Client)? {
            Piece::Done => return Ok(true),
            Piece::Skip(bytes) | Piece::Data(std::ops::Range { end: bytes, .. }) => piece = buffered.split_to(bytes),
            Piece::More => {
                buffered.reserve(READ_BYTES);
                tokio::select! {
                    read = client.read_buf(buffered) => if !matches!(read, Ok(1..)) { return Err(Client) },
                    read = control.read_buf(answer) => if !matches!(read, Ok(1..)) { return Ok(false) },
                }
                if response_head(client, answer, head).await?.is_some() {
                    return Ok(false);
                }
            }
        }
    }
}

/// The head of the final answer, once it is there; interim ones go to the client at once.
async fn response_head(
    client: &mut TcpStream,
    answer: &mut BytesMut,
    head: &Head,
) -> Result<Option<ResponseHead>, ExchangeError> {
    loop {
        match parse_response(answer, head.method == "HEAD") {
            Ok(Parsed::Complete(response)) if response.status < 200 => {
                write(client, &answer.split_to(response.bytes)).await?;
            }
            Ok(Parsed::Complete(response)) => return Ok(Some(response)),
            Ok(Parsed::Partial) => return Ok(None),
            Err(_) => return Err(Cut),
        }
    }
}

/// Carries the body of an answer; returns whether its end is known by its framing.
async fn receive(
    client: &mut TcpStream,
    buffered: &mut BytesMut,
    response: &ResponseHead,
    control: &mut ReadHalf<'_>,
    answer: &mut BytesMut,
) -> Result<bool, ExchangeError> {
    let mut framer = Framer::new(response.body);
    let endless = !matches!(response.body, Body::Length(_));
    let mut ended = false;
    loop {
        match framer.next(answer).map_err(|_| Cut)? {
            Piece::Done => return Ok(true),
            Piece::Skip(bytes) | Piece::Data(std::ops::Range { end: bytes, .. }) => {
                write(client, &answer.split_to(bytes)).await?;
            }
            Piece::More => {
                answer.reserve(READ_BYTES);
                // What is next on the connection is read for the sake of its end, and only so much of it.
                let listens = !ended && buffered.len() < HEAD_BYTES_MAX;
                tokio::select! {
                    read = control.read_buf(answer) => match read {
                        Ok(1..) => {}
                        Ok(_) if framer.is_until_close() => return Ok(false),
                        _ => return Err(Cut),
                    },
                    read = client.read_buf(buffered), if listens => match read {
                        Ok(1..) => {}
                        Ok(_) => ended = true,
                        Err(_) => return Err(Client),
                    },
                    () = tokio::time::sleep(ENDLESS_PAUSE_MAX), if ended && endless => return Err(Client),
                }
            }
        }
    }
}

async fn write(client: &mut TcpStream, bytes: &[u8]) -> Result<(), ExchangeError> {
    client.write_all(bytes).await.map_err(|_| Client)
}

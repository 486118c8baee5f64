//! `tcp`: a new connection for each event, the event and an empty line.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::DeliveryError;

pub async fn deliver(address: &str, json: String) -> Result<(), DeliveryError> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(json.as_bytes()).await?;
    stream.write_all(b"\n").await?;
    stream.shutdown().await?;
    Ok(())
}

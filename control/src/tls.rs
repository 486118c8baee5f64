//! Connections to services of the configuration, plain or with TLS.

use std::sync::Arc;

use dataplane::trust::{Trust, TrustError};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

/// What is read and written, with TLS or without.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Trust(#[from] TrustError),
    #[error("{0:?} is no name that a certificate may have")]
    Name(String),
}

/// Connects to `HOST:PORT`; with somebody to trust it is TLS. Certificates are read anew each time.
pub async fn connect(address: &str, trust: Option<&Trust>) -> Result<Box<dyn Stream>, ConnectError> {
    let Some(trust) = trust else { return Ok(Box::new(tcp(address).await?)) };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| ConnectError::Name(host.to_owned()))?;
    let connector = TlsConnector::from(Arc::new(trust.config()?));
    Ok(Box::new(connector.connect(name, tcp(address).await?).await?))
}

async fn tcp(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // What is written is whole.
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_server_is_who_its_certificate_says_unless_nobody_asks() {
        let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/tls/localhost.pem").to_owned();
        let acceptor = dataplane::io::tls::acceptor(own.as_ref(), None).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("localhost:{}", listener.local_addr().unwrap().port());
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let said = stream.read_u8().await.unwrap_or_default();
                    let _ = stream.write_u8(said + 1).await;
                }
            }
        });
        let known = Trust { authorities: own.clone(), ..Trust::default() };
        let any = Trust { insecure: true, certificate: own, ..Trust::default() };
        for trust in [known, any] {
            let mut stream = connect(&address, Some(&trust)).await.unwrap();
            stream.write_u8(1).await.unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), 2);
        }
        let Err(error) = connect(&address, Some(&Trust::default())).await else { panic!("anybody is trusted") };
        assert!(error.to_string().contains("certificate"), "{error}");
        server.abort();
    }
}

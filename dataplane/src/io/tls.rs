//! TLS on the public port: it ends here, shards and the relay see plain bytes.
//!
//! Each connection gets a pair of local sockets; one end is handed over like any client connection, and the bytes go
//! between the other end and the client. So nothing behind this file knows of TLS.

use std::{io, path::Path, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::rustls::{
    self, ServerConfig,
    crypto::ring::default_provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
pub use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::shards::Shards;
use crate::shard::command::{Handover, Seat};

/// How long a client may take to agree on a cipher.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the certificate {path}: {error}")]
    Certificate { path: String, error: String },
    #[error("cannot read the private key {path}: {error}")]
    Key { path: String, error: String },
    #[error("certificate and private key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Reads certificate and key; without a path of its own the key is in the certificate's file.
pub fn acceptor(certificate: &Path, key: Option<&Path>) -> Result<TlsAcceptor, TlsError> {
    let unreadable = |error: &dyn std::fmt::Display| TlsError::Certificate {
        path: certificate.display().to_string(),
        error: error.to_string(),
    };
    let certificates = CertificateDer::pem_file_iter(certificate).map_err(|error| unreadable(&error))?;
    let certificates = certificates.collect::<Result<Vec<_>, _>>().map_err(|error| unreadable(&error))?;
    if certificates.is_empty() {
        return Err(unreadable(&"it holds no certificate in PEM form"));
    }
    let key_path = key.unwrap_or(certificate);
    let key = PrivateKeyDer::from_pem_file(key_path)
        .map_err(|error| TlsError::Key { path: key_path.display().to_string(), error: error.to_string() })?;
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes a client through the handshake; `None` if it fails or takes too long.
pub async fn handshake(acceptor: &TlsAcceptor, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
    tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await.ok()?.ok()
}

/// Takes a client through the handshake and carries its bytes for as long as both ends are open.
pub async fn serve(acceptor: TlsAcceptor, stream: TcpStream, peer: std::net::SocketAddr, seat: Seat, shards: Shards) {
    let Some(mut client) = handshake(&acceptor, stream).await else { return };
    let mut inner = match pair() {
        Ok((inner, handed)) => {
            shards.connection(Handover { stream: handed, peer, buffered: BytesMut::new(), seat }).await;
            inner
        }
        Err(error) => {
            tracing::error!(%error, "a TLS connection cannot be served");
            return;
        }
    };
    // Either end may close in the middle of something; nobody needs to hear of it.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut inner).await;
}

/// Two ends of one local connection; the second in the type that client connections have.
fn pair() -> io::Result<(UnixStream, std::net::TcpStream)> {
    let (inner, handed) = std::os::unix::net::UnixStream::pair()?;
    inner.set_nonblocking(true)?;
    handed.set_nonblocking(true)?;
    Ok((UnixStream::from_std(inner)?, std::os::fd::OwnedFd::from(handed).into()))
}

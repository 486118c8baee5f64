//! Connections to services of the configuration, plain or with TLS: the `ssl-*` options of a section.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

/// What is read and written, with TLS or without.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Tls(#[from] TlsError),
}

/// Connects to `HOST:PORT`; with somebody to trust it is TLS. Certificates are read anew each time.
pub async fn connect(address: &str, trust: Option<&Trust>) -> Result<Box<dyn Stream>, ConnectError> {
    let Some(trust) = trust else { return Ok(Box::new(tcp(address).await?)) };
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?;
    let connector = TlsConnector::from(Arc::new(trust.config()?));
    Ok(Box::new(connector.connect(name, tcp(address).await?).await?))
}

async fn tcp(address: &str) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // What is written is whole.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whom to trust, and who one is. Empty paths: the authorities of the web, no certificate of one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// A file with the certificates of the authorities that are trusted.
    pub authorities: PathBuf,
    pub certificate: PathBuf,
    /// Without a path of its own the key is in the certificate's file.
    pub key: PathBuf,
    /// Trust any certificate.
    pub insecure: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read the {what} {path}: {error}")]
    File { what: &'static str, path: String, error: String },
    #[error("TLS cannot be set up: {0}")]
    Unusable(String),
    #[error("{0:?} is no name that a certificate may have")]
    Name(String),
}

impl Trust {
    /// Reads the files.
    pub fn config(&self) -> Result<ClientConfig, TlsError> {
        let unusable = |error: rustls::Error| TlsError::Unusable(error.to_string());
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match self.insecure {
            true => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
            false => builder.with_root_certificates(self.roots()?),
        };
        if self.certificate.as_os_str().is_empty() {
            return Ok(builder.with_no_client_auth());
        }
        let key_path = if self.key.as_os_str().is_empty() { &self.certificate } else { &self.key };
        let key = PrivateKeyDer::from_pem_file(key_path).map_err(|error| file("private key", key_path, &error))?;
        builder.with_client_auth_cert(certificates("certificate", &self.certificate)?, key).map_err(unusable)
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        if self.authorities.as_os_str().is_empty() {
            return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect());
        }
        let mut roots = RootCertStore::empty();
        for certificate in certificates("certificates of authorities", &self.authorities)? {
            let added = roots.add(certificate);
            added.map_err(|error| file("certificates of authorities", &self.authorities, &error))?;
        }
        Ok(roots)
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(read) if read.is_empty() => Err(file(what, path, &"it holds no certificate in PEM form")),
        Ok(read) => Ok(read),
        Err(error) => Err(file(what, path, &error)),
    }
}

fn file(what: &'static str, path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { what, path: path.display().to_string(), error: error.to_string() }
}

/// Takes whatever certificate there is, for `insecure-skip-verify`; the handshake is checked all the same.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/tls/localhost.pem");
        let acceptor = dataplane::io::tls::acceptor(&own, None).unwrap();
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

    #[test]
    fn files_that_cannot_be_used_are_named() {
        let trust = |authorities: &str, certificate: &str| Trust {
            authorities: authorities.into(),
            certificate: certificate.into(),
            ..Trust::default()
        };
        assert!(Trust::default().config().is_ok());
        let error = trust("/nowhere/ca.pem", "").config().unwrap_err().to_string();
        assert!(error.starts_with("cannot read the certificates of authorities /nowhere/ca.pem: "), "{error}");
        let error = trust("", "/nowhere/own.pem").config().unwrap_err().to_string();
        assert!(error.starts_with("cannot read the private key /nowhere/own.pem: "), "{error}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        let error = trust(empty.path().to_str().unwrap(), "").config().unwrap_err().to_string();
        assert!(error.ends_with("it holds no certificate in PEM form"), "{error}");
    }
}

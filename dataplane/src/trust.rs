//! TLS towards others: the `ssl-*` options of a section of the configuration.

use std::sync::Arc;

use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring::default_provider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

/// Whom to trust, and who one is. Empty paths: the authorities of the web, no certificate of one's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Trust {
    /// A file with the certificates of the authorities that are trusted.
    pub authorities: String,
    pub certificate: String,
    /// Without a path of its own the key is in the certificate's file.
    pub key: String,
    /// Trust any certificate.
    pub insecure: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    #[error("cannot read the {what} {path}: {error}")]
    File { what: &'static str, path: String, error: String },
    #[error("TLS cannot be set up: {0}")]
    Unusable(String),
}

impl Trust {
    /// Reads the files.
    pub fn config(&self) -> Result<ClientConfig, TrustError> {
        let unusable = |error: rustls::Error| TrustError::Unusable(error.to_string());
        let provider = Arc::new(default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match self.insecure {
            true => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
            false => builder.with_root_certificates(self.roots()?),
        };
        if self.certificate.is_empty() {
            return Ok(builder.with_no_client_auth());
        }
        let key_path = if self.key.is_empty() { &self.certificate } else { &self.key };
        let key = PrivateKeyDer::from_pem_file(key_path).map_err(|error| file("private key", key_path, &error))?;
        builder.with_client_auth_cert(certificates("certificate", &self.certificate)?, key).map_err(unusable)
    }

    fn roots(&self) -> Result<RootCertStore, TrustError> {
        if self.authorities.is_empty() {
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

fn certificates(what: &'static str, path: &str) -> Result<Vec<CertificateDer<'static>>, TrustError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(read) if read.is_empty() => Err(file(what, path, &"it holds no certificate in PEM form")),
        Ok(read) => Ok(read),
        Err(error) => Err(file(what, path, &error)),
    }
}

fn file(what: &'static str, path: &str, error: &dyn std::fmt::Display) -> TrustError {
    TrustError::File { what, path: path.to_owned(), error: error.to_string() }
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
    use super::*;

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
        let error = trust("/dev/null", "").config().unwrap_err().to_string();
        assert!(error.ends_with("it holds no certificate in PEM form"), "{error}");
    }
}

//! Encrypted connections, as libpq's `sslmode` means them.
//!
//! **Invariant:** a certificate that is not verified is taken only where the mode says so; its
//! signature always has to be right.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use tokio_postgres::config::SslMode;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{From, ServerError};
use crate::sources::options::{Tls, TlsMode, TlsRoots};

/// Returns what makes connections encrypted, and whether they have to be.
pub(super) fn connector(tls: &Tls) -> Result<(MakeRustlsConnect, SslMode), ServerError> {
    let mode = match tls.mode {
        TlsMode::Disable => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require | TlsMode::VerifyCa | TlsMode::VerifyFull => SslMode::Require,
    };
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(tls, provider)?);
    let config = match &tls.identity {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = certificates(certificate)?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| wrong(format!("\"{}\": {error}", key.display())))?;
            config
                .with_client_auth_cert(chain, key)
                .map_err(|error| wrong(error.to_string()))?
        }
    };
    Ok((MakeRustlsConnect::new(config), mode))
}

fn verifier(
    tls: &Tls,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, ServerError> {
    let lax = |chain, provider| Arc::new(LaxVerifier { chain, provider });
    let trusts_all = match tls.mode {
        TlsMode::Disable | TlsMode::Prefer => true,
        TlsMode::Require => tls.roots == TlsRoots::Unsaid,
        TlsMode::VerifyCa | TlsMode::VerifyFull => false,
    };
    if trusts_all {
        return Ok(lax(None, provider));
    }
    let mut roots = RootCertStore::empty();
    match &tls.roots {
        TlsRoots::Unsaid | TlsRoots::System => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        TlsRoots::File(path) => {
            roots.add_parsable_certificates(certificates(path)?);
        }
    }
    if roots.is_empty() {
        return Err(wrong("there is no root certificate to trust".to_owned()));
    }
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .build()
        .map_err(|error| wrong(error.to_string()))?;
    Ok(match tls.mode {
        TlsMode::VerifyFull => chain,
        _ => lax(Some(chain), provider),
    })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ServerError> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().map_err(|error| wrong(format!("\"{}\": {error}", path.display())))
}

fn wrong(message: String) -> ServerError {
    ServerError {
        from: From::Tls,
        message,
    }
}

/// Takes a certificate whichever host it is for, and, without a `chain`, every one: that is against
/// those who only listen.
#[derive(Debug)]
struct LaxVerifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for LaxVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The host is compared after everything else was found right.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

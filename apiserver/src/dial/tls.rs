//! TLS towards others: whose certificates are believed, and which one is shown.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

/// Where systems keep the certificates that they trust.
const SYSTEM_FILES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What webpki says of an authority's certificate that a server shows as its own; it is found by its name, for rustls does not tell more.
const CA_AS_SERVER: &str = "CaUsedAsEndEntity";

/// Whose certificates are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Roots<'a> {
    /// Those of the authorities that the machine trusts.
    System,
    /// Those of authorities in PEM.
    Bundle(&'a [u8]),
    /// Everybody's: the other end may be anybody.
    Unverified,
}

/// A certificate to show, and its key, both in PEM.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub certificate: &'a [u8],
    pub key: &'a [u8],
}

/// How streams are secured. It speaks HTTP/1.1.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) client: Arc<ClientConfig>,
}

impl Tls {
    /// Secures streams to those whose certificates are believed.
    ///
    /// # Errors
    ///
    /// If a certificate or key cannot be used.
    pub fn new(roots: Roots<'_>, identity: Option<Identity<'_>>) -> Result<Tls, String> {
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier::new(roots, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut client = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let key = PrivateKeyDer::from_pem_slice(key)
                    .map_err(|error| format!("the key is no PEM: {error}"))?;
                builder
                    .with_client_auth_cert(certificates(certificate)?, key)
                    .map_err(|error| error.to_string())?
            }
        };
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Tls {
            client: Arc::new(client),
        })
    }
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the certificate is no PEM: {error}"))
}

fn of_system() -> Vec<CertificateDer<'static>> {
    let found = SYSTEM_FILES
        .iter()
        .find_map(|file| CertificateDer::pem_file_iter(file).ok());
    found.into_iter().flatten().flatten().collect()
}

/// Checks the certificates of servers.
#[derive(Debug)]
struct Verifier {
    /// None believes everybody.
    inner: Option<Arc<WebPkiServerVerifier>>,
    /// What was said to be believed: a server may show one of these itself.
    roots: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    fn new(roots: Roots<'_>, provider: &Arc<CryptoProvider>) -> Result<Verifier, String> {
        let roots = match roots {
            Roots::System => of_system(),
            Roots::Bundle(pem) => certificates(pem)?,
            Roots::Unverified => {
                return Ok(Verifier {
                    inner: None,
                    roots: Vec::new(),
                    provider: provider.clone(),
                });
            }
        };
        if roots.is_empty() {
            return Err(
                "unable to load root certificates: unable to parse bytes as PEM block".to_owned(),
            );
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        if store.is_empty() {
            return Err("unable to load root certificates: no valid certificates found".to_owned());
        }
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Verifier {
            inner: Some(inner),
            roots,
            provider: provider.clone(),
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(inner) = &self.inner else {
            return Ok(ServerCertVerified::assertion());
        };
        match inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // One that signed itself is an authority too, which webpki takes for no server. Its time was checked before.
            Err(Error::InvalidCertificate(CertificateError::Other(why)))
                if why.to_string() == CA_AS_SERVER && self.roots.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let known = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// What kept a stream from being secured, in Go's words where it has some.
pub(super) fn unsecured(error: &io::Error) -> String {
    let Some(error) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<Error>())
    else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
            _ => error.to_string(),
        };
    };
    let certificate = match error {
        Error::InvalidCertificate(certificate) => certificate,
        Error::InvalidMessage(_) => {
            return "http: server gave HTTP response to HTTPS client".to_owned();
        }
        other => return format!("tls: {other}"),
    };
    let why = match certificate {
        // A signature that is wrong is another authority's of the same name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            "certificate has expired or is not yet valid".to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let expected = expected.to_str();
            if names.is_empty() {
                format!("certificate is not valid for any names, but wanted to match {expected}")
            } else {
                format!(
                    "certificate is valid for {}, not {expected}",
                    names.join(", ")
                )
            }
        }
        CertificateError::Other(why) if why.to_string() == CA_AS_SERVER => {
            "certificate signed by unknown authority".to_owned()
        }
        other => other.to_string(),
    };
    format!("tls: failed to verify certificate: x509: {why}")
}

/// A name as a certificate has it, without the word for its kind that rustls puts around it.
fn bare(name: &str) -> &str {
    let inner = name
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.unwrap_or(name).trim_matches('"')
}

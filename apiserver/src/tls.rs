//! TLS of the server's port: its certificate, and whose certificates clients may show.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::config::Config;
use crate::flag_files::pair;

/// Names under which a cluster's own clients know the server.
const NAMES: [&str; 5] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// What the port offers.
pub(crate) fn server_config(config: &Config) -> Result<Arc<ServerConfig>> {
    let given = pair(
        ("--tls-cert-file", &config.tls_cert_file),
        ("--tls-private-key-file", &config.tls_private_key_file),
    )?;
    let (certificate, key) = match given {
        Some((certificate, key)) => (certificate.to_owned(), key.to_owned()),
        None => self_signed(config)?,
    };
    let chain = certificates(&certificate)?;
    let key = PrivateKeyDer::from_pem_file(&key)
        .with_context(|| format!("cannot read the key {}", key.display()))?;
    let builder = ServerConfig::builder();
    // Of users and of servers in front; who is which is found out at each request.
    let authorities = [&config.client_ca_file, &config.requestheader_client_ca_file];
    let files: Vec<&Path> = authorities
        .into_iter()
        .flatten()
        .map(PathBuf::as_path)
        .collect();
    let builder = if files.is_empty() {
        builder.with_no_client_auth()
    } else {
        let verifier = WebPkiClientVerifier::builder(roots(&files)?)
            .allow_unauthenticated()
            .build()?;
        builder.with_client_cert_verifier(verifier)
    };
    let mut server = builder
        .with_single_cert(chain, key)
        .context("the server's certificate and key do not fit together")?;
    server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(server))
}

/// What checks the certificates of clients that one of an authority's file signed.
pub(crate) fn client_verifier(file: &Path) -> Result<Arc<dyn ClientCertVerifier>> {
    Ok(WebPkiClientVerifier::builder(roots(&[file])?).build()?)
}

fn roots(files: &[&Path]) -> Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for file in files {
        for root in certificates(file)? {
            roots
                .add(root)
                .with_context(|| format!("{} is no certificate of an authority", file.display()))?;
        }
    }
    Ok(Arc::new(roots))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    let certificates: Vec<_> =
        read.with_context(|| format!("cannot read certificates from {}", file.display()))?;
    anyhow::ensure!(
        !certificates.is_empty(),
        "{} holds no certificate",
        file.display()
    );
    Ok(certificates)
}

/// The files of a certificate of our own making, which is made once.
fn self_signed(config: &Config) -> Result<(PathBuf, PathBuf)> {
    let folder = &config.cert_dir;
    let (certificate, key) = (folder.join("apiserver.crt"), folder.join("apiserver.key"));
    if certificate.exists() && key.exists() {
        return Ok((certificate, key));
    }
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let mut params = CertificateParams::new(NAMES.map(str::to_owned).to_vec())?;
    params
        .distinguished_name
        .push(DnType::CommonName, "mainstay-apiserver");
    let own = [
        Some(IpAddr::from([127, 0, 0, 1])),
        Some(config.bind_address),
        config.advertise_address,
    ];
    params
        .subject_alt_names
        .extend(own.into_iter().flatten().map(SanType::IpAddress));
    let pair = KeyPair::generate()?;
    let made = params.self_signed(&pair)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options
        .open(&key)
        .with_context(|| format!("cannot write {}", key.display()))?;
    std::io::Write::write_all(&mut file, pair.serialize_pem().as_bytes())?;
    fs::write(&certificate, made.pem())
        .with_context(|| format!("cannot write {}", certificate.display()))?;
    Ok((certificate, key))
}

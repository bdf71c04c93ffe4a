//! Certificates, keys and revocation lists from files, PEM as etcd takes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::certificate::{self, Serial};

/// Largest file that is read; bundles of all public authorities are a quarter of a mebibyte.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Where systems keep the authorities they trust; the first that is there, as with Go.
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Files of a certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

type Chain = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl Pair {
    /// The certificate with those that follow it in the file, and the key.
    pub(super) fn load(&self) -> anyhow::Result<Chain> {
        let chain = certificates(&self.cert_file)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&self.key_file)?)
            .with_context(|| format!("no private key in {}", self.key_file.display()))?;
        Ok((chain, key))
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let open = || format!("cannot read {}", path.display());
    let bytes = std::fs::metadata(path).with_context(open)?.len();
    ensure!(
        bytes <= FILE_BYTES_MAX,
        "{} has {bytes} bytes, more than the {FILE_BYTES_MAX} that are read",
        path.display()
    );
    std::fs::read(path).with_context(open)
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.with_context(|| format!("bad PEM in {}", path.display()))?;
    ensure!(!found.is_empty(), "no certificate in {}", path.display());
    Ok(found)
}

/// The authorities of a bundle; those of the system when no bundle is named.
pub(super) fn authorities(bundle: Option<&Path>) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    match bundle {
        Some(path) => {
            for certificate in certificates(path)? {
                roots
                    .add(certificate)
                    .with_context(|| format!("bad certificate in {}", path.display()))?;
            }
        }
        None => {
            let Some(path) = system_bundle() else {
                bail!(
                    "this system has no bundle of authorities: name one with a trusted-ca-file flag"
                );
            };
            roots.add_parsable_certificates(certificates(&path)?);
        }
    }
    Ok(roots)
}

/// The bundle of the system, or the one that `SSL_CERT_FILE` names, as with Go.
pub(super) fn system_bundle() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("SSL_CERT_FILE").filter(|named| !named.is_empty()) {
        return Some(PathBuf::from(named));
    }
    let mut known = SYSTEM_BUNDLES.iter().map(PathBuf::from);
    known.find(|path| path.is_file())
}

/// Serial numbers of the certificates that a file of lists, PEM or DER, revokes.
pub(super) fn revoked(path: &Path) -> anyhow::Result<BTreeSet<Serial>> {
    let bytes = read(path)?;
    let bad = || format!("no certificate revocation list in {}", path.display());
    if bytes.first() == Some(&super::der::SEQUENCE) {
        return certificate::revoked(&bytes).with_context(bad);
    }
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
    let lists = lists.with_context(bad)?;
    ensure!(!lists.is_empty(), bad());
    let mut all = BTreeSet::new();
    for list in lists {
        all.extend(certificate::revoked(&list).with_context(bad)?);
    }
    Ok(all)
}

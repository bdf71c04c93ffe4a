//! The certificate that a process answers with: one from files, or one of its own making.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::serving::ServingFlags;

/// Takes connections with a certificate that was just made and is nowhere kept.
///
/// # Errors
///
/// If none can be made.
pub fn self_signed(names: Vec<String>) -> Result<TlsAcceptor> {
    let own = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der());
    let key = key.map_err(anyhow::Error::msg)?;
    acceptor(vec![own.cert.der().clone()], key)
}

/// Takes connections with the certificate that the flags name. One of a folder is made if it is not there, under the program's name.
pub(crate) fn of_flags(flags: &ServingFlags, program: &str) -> Result<TlsAcceptor> {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    match (&flags.tls_cert_file, &flags.tls_private_key_file) {
        (Some(certificate), Some(key)) => of_files(certificate, key),
        (None, None) => match &flags.cert_dir {
            Some(folder) if !folder.as_os_str().is_empty() => of_folder(folder, program, names),
            _ => self_signed(names),
        },
        _ => bail!("--tls-cert-file and --tls-private-key-file go together"),
    }
}

fn of_folder(folder: &Path, program: &str, names: Vec<String>) -> Result<TlsAcceptor> {
    let certificate = folder.join(format!("{program}.crt"));
    let key = folder.join(format!("{program}.key"));
    if !certificate.exists() || !key.exists() {
        let own = rcgen::generate_simple_self_signed(names)?;
        let place = || format!("cannot keep a certificate in {}", folder.display());
        fs::create_dir_all(folder).with_context(place)?;
        // Made beside their places, for half a file would be refused at every start.
        let made = |file: &Path| file.with_extension("new");
        let mut secret = fs::OpenOptions::new();
        secret.write(true).create(true).truncate(true).mode(0o600);
        let mut secret = secret.open(made(&key)).with_context(place)?;
        secret
            .write_all(own.signing_key.serialize_pem().as_bytes())
            .with_context(place)?;
        fs::rename(made(&key), &key).with_context(place)?;
        fs::write(made(&certificate), own.cert.pem()).with_context(place)?;
        fs::rename(made(&certificate), &certificate).with_context(place)?;
    }
    of_files(&certificate, &key)
}

fn of_files(certificate: &Path, key: &Path) -> Result<TlsAcceptor> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("--tls-cert-file: {}", certificate.display()))?;
    if chain.is_empty() {
        bail!(
            "--tls-cert-file: {}: holds no certificate",
            certificate.display()
        );
    }
    let secret = PrivateKeyDer::from_pem_file(key)
        .with_context(|| format!("--tls-private-key-file: {}", key.display()))?;
    acceptor(chain, secret)
        .with_context(|| format!("{} and {}", certificate.display(), key.display()))
}

fn acceptor(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<TlsAcceptor> {
    let provider = rustls::crypto::ring::default_provider();
    let config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn a_certificate_of_a_folder_is_made_once_and_its_key_is_for_the_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let flags = ServingFlags {
            cert_dir: Some(folder.path().join("pki")),
            ..ServingFlags::default()
        };
        assert!(of_flags(&flags, "kube-scheduler").is_ok());
        let file = |name: &str| folder.path().join("pki").join(name);
        let made = fs::read(file("kube-scheduler.crt")).unwrap();
        assert!(of_flags(&flags, "kube-scheduler").is_ok());
        assert_eq!(fs::read(file("kube-scheduler.crt")).unwrap(), made);
        let key = fs::metadata(file("kube-scheduler.key")).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
        let named = ServingFlags {
            tls_cert_file: Some(file("kube-scheduler.crt")),
            tls_private_key_file: Some(file("kube-scheduler.key")),
            ..ServingFlags::default()
        };
        assert!(of_flags(&named, "x").is_ok());
    }

    #[test]
    fn a_certificate_that_cannot_be_used_is_told_with_its_flag() {
        let fault = |certificate: Option<&str>, key: Option<&str>| {
            let flags = ServingFlags {
                tls_cert_file: certificate.map(PathBuf::from),
                tls_private_key_file: key.map(PathBuf::from),
                ..ServingFlags::default()
            };
            format!("{:#}", of_flags(&flags, "x").err().unwrap())
        };
        assert!(fault(Some("/nowhere"), None).contains("go together"));
        assert!(fault(Some("/nowhere"), Some("/k")).contains("--tls-cert-file: /nowhere"));
        assert!(fault(Some("/dev/null"), Some("/k")).contains("holds no certificate"));
    }
}

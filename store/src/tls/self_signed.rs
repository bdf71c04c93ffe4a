//! A certificate that the store makes for itself, kept where etcd keeps its own.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, ensure};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};

use super::files::Pair;

/// Years that a certificate may be good for.
const YEARS_MAX: u64 = 100;

/// The pair in the folder; makes one for these hosts if there is none.
pub(super) fn pair<'a>(
    folder: &Path,
    hosts: impl Iterator<Item = &'a str>,
    validity_years: u64,
) -> anyhow::Result<Pair> {
    ensure!(
        validity_years > 0,
        "selfSignedCertValidity is invalid,it should be greater than 0"
    );
    ensure!(
        validity_years <= YEARS_MAX,
        "--self-signed-cert-validity is at most {YEARS_MAX} years (set to {validity_years})"
    );
    let pair = Pair {
        cert_file: folder.join("cert.pem"),
        key_file: folder.join("key.pem"),
    };
    if pair.cert_file.is_file() && pair.key_file.is_file() {
        return Ok(pair);
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let (certificate, key) = make(hosts, validity_years)?;
    write(&pair.key_file, &key, 0o600)?;
    write(&pair.cert_file, &certificate, 0o644)?;
    tracing::warn!(
        cert_file = %pair.cert_file.display(),
        validity_years,
        "made a certificate that nobody has signed"
    );
    Ok(pair)
}

fn make<'a>(
    hosts: impl Iterator<Item = &'a str>,
    validity_years: u64,
) -> anyhow::Result<(String, String)> {
    let mut names: Vec<String> = hosts.map(str::to_owned).collect();
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names).context("a host of a URL is no name")?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::OrganizationName, "etcd");
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let year = std::time::Duration::from_secs(365 * 24 * 3600);
    let now = std::time::SystemTime::now();
    let years = u32::try_from(validity_years).context("checked against the most")?;
    params.not_before = now.into();
    params.not_after = (now + year * years).into();
    let key = KeyPair::generate().context("cannot make a key")?;
    let certificate = params
        .self_signed(&key)
        .context("cannot make a certificate")?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(mode);
    let written = options
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", path.display()))
}

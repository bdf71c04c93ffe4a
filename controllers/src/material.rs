//! Keys and certificates of the files that flags name, read once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::certificates::{Authority, SIGNERS};
use crate::options::Signing;
use crate::signing_key::SigningKey;

/// What the files hold.
#[derive(Debug, Default)]
pub(crate) struct Material {
    /// Certificates of the apiserver's authority, in PEM.
    pub(crate) root_ca: Option<String>,
    /// What tokens in secrets are signed with.
    pub(crate) token_key: Option<SigningKey>,
    /// Who signs certificates, by the names of signers.
    pub(crate) authorities: BTreeMap<&'static str, Authority>,
}

impl Material {
    /// # Errors
    ///
    /// If a file cannot be read or does not hold what it is named for.
    pub(crate) fn load(flags: &Signing) -> Result<Material> {
        let mut material = Material::default();
        if let Some(file) = &flags.root_ca_file {
            let text = String::from_utf8(read(file)?);
            let text = text
                .ok()
                .filter(|text| text.contains("-----BEGIN CERTIFICATE-----"));
            let text = text.ok_or_else(|| anyhow!("no certificate is in {}", file.display()))?;
            material.root_ca = Some(text);
        }
        if let Some(file) = &flags.service_account_private_key_file {
            let key = SigningKey::parse(&read(file)?);
            let key = key.map_err(|fault| anyhow!("{}: {fault}", file.display()))?;
            material.token_key = Some(key);
        }
        for (signer, part) in SIGNERS {
            let Some((certificate, key)) = flags.authority(part) else {
                continue;
            };
            let authority = Authority::parse(&read(certificate)?, &read(key)?);
            let authority =
                authority.map_err(|fault| anyhow!("{}: {fault}", certificate.display()))?;
            material.authorities.insert(signer, authority);
        }
        Ok(material)
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;

    #[test]
    fn files_are_read_and_faults_name_them() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = file("ca.crt", &params.self_signed(&pair).unwrap().pem());
        let key = file("ca.key", &pair.serialize_pem());
        let load = |flags: &[&str], value: &str| {
            let flags = flags.iter().map(|flag| format!("--{flag}={value}"));
            let words = ["--kubeconfig=/k".to_owned()].into_iter().chain(flags);
            Material::load(&Options::parse_words(words.collect()).unwrap().signing)
        };
        let words = [
            "--kubeconfig=/k".to_owned(),
            format!("--root-ca-file={certificate}"),
            format!("--service-account-private-key-file={key}"),
            format!("--cluster-signing-cert-file={certificate}"),
            format!("--cluster-signing-key-file={key}"),
        ];
        let options = Options::parse_words(words.to_vec()).unwrap();
        let material = Material::load(&options.signing).unwrap();
        assert_eq!(material.authorities.len(), 4);
        assert!(material.token_key.is_some() && material.root_ca.is_some());
        for (flags, value) in [
            (&["root-ca-file"][..], &*key),
            (&["service-account-private-key-file"], &*certificate),
            (&["root-ca-file"], "/does/not/exist"),
            (
                &["cluster-signing-cert-file", "cluster-signing-key-file"],
                &*key,
            ),
        ] {
            let fault = format!("{:#}", load(flags, value).unwrap_err());
            assert!(fault.contains(value), "{fault}");
        }
    }
}

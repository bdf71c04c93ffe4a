//! An authority with a folder of its own, and what it signs.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer,
    DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair,
    KeyUsagePurpose, RevokedCertParams, SerialNumber,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Files {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// Whom a certificate is for.
#[derive(Debug, Clone, Default)]
pub struct Holder<'a> {
    pub common_name: &'a str,
    pub encoding: Encoding,
    /// Names and addresses.
    pub hosts: &'a [&'a str],
    pub is_expired: bool,
    /// 0 for one that nobody revokes.
    pub serial: u64,
}

/// How a name is written in a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    #[default]
    Utf8,
    /// Two bytes a letter.
    Bmp,
    /// In fact Latin-1.
    T61,
}

/// Signs certificates.
pub struct Authority {
    folder: PathBuf,
    pub bundle: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority; its own certificate is `NAME.pem` in the folder.
    pub fn new(folder: &Path, name: &str) -> Result<Authority> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name = named(name, Encoding::Utf8)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let bundle = folder.join(format!("{name}.pem"));
        replace(&bundle, issuer.pem())?;
        Ok(Authority {
            folder: folder.to_owned(),
            bundle,
            issuer,
        })
    }

    /// The authority's certificate as text.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a certificate; the files are `FILE.crt` and `FILE.key`, and are replaced if they are there.
    pub fn issue(&self, file: &str, holder: &Holder<'_>) -> Result<Files> {
        let hosts: Vec<String> = holder.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts)?;
        params.distinguished_name = named(holder.common_name, holder.encoding)?;
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let now = SystemTime::now();
        params.not_before = (now - 2 * DAY).into();
        params.not_after = if holder.is_expired {
            (now - DAY).into()
        } else {
            (now + DAY).into()
        };
        if holder.serial > 0 {
            params.serial_number = Some(SerialNumber::from(holder.serial));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let files = Files {
            cert: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
        };
        replace(&files.key, key.serialize_pem())?;
        replace(&files.cert, certificate.pem())?;
        Ok(files)
    }

    /// Writes the list of revoked serial numbers, DER as etcd takes it.
    pub fn revoke(&self, path: &Path, serials: &[u64]) -> Result<()> {
        let now = SystemTime::now();
        let revoked = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now.into(),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: now.into(),
            next_update: (now + DAY).into(),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        replace(path, list.signed_by(&self.issuer)?.der())
    }
}

fn named(common_name: &str, encoding: Encoding) -> Result<DistinguishedName> {
    let mut name = DistinguishedName::new();
    let value = match encoding {
        Encoding::Utf8 => DnValue::Utf8String(common_name.to_owned()),
        Encoding::Bmp => DnValue::BmpString(common_name.try_into()?),
        Encoding::T61 => DnValue::TeletexString(common_name.try_into()?),
    };
    name.push(DnType::CommonName, value);
    Ok(name)
}

/// Puts a whole file in the place of another, as whoever renews certificates should.
pub fn replace(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, bytes)?;
    std::fs::rename(&fresh, path)?;
    Ok(())
}

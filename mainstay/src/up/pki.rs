//! Certificates and keys of the control plane on this machine: made once, kept in the data folder, for nobody else to read.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

/// Names under which clients know the apiserver.
const SERVER_NAMES: [&str; 4] = [
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
];
/// The first address of services, which is the apiserver's own.
const SERVICE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// How long certificates are good.
const LIFETIME: time::Duration = time::Duration::days(3_650);
/// The group that may do everything.
const MASTERS: &str = "system:masters";
/// Who clients of the apiservers are, by the names of their files: a user, and a group that it is in. Controllers and simulated nodes act
/// for many, and may do everything.
const CLIENTS: [(&str, &str, Option<&str>); 4] = [
    ("admin", "kubernetes-admin", Some(MASTERS)),
    (
        "controllers",
        "system:kube-controller-manager",
        Some(MASTERS),
    ),
    ("scheduler", "system:kube-scheduler", None),
    ("nodes", "mainstay:simulated-nodes", Some(MASTERS)),
];
/// The last of the files that are made: where it is, all are.
const LAST: &str = "nodes.key";

/// The folder of certificates.
#[derive(Debug, Clone)]
pub(super) struct Pki {
    folder: PathBuf,
}

impl Pki {
    /// The files of a folder, made if they are not there.
    pub(super) fn in_folder(folder: PathBuf) -> Result<Pki> {
        let pki = Pki { folder };
        if !pki.file(LAST).exists() {
            pki.make().context("cannot make the certificates")?;
        }
        Ok(pki)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        let path = self.file(name);
        fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn make(&self) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        fs::set_permissions(&self.folder, fs::Permissions::from_mode(0o700))?;
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority
            .distinguished_name
            .push(DnType::CommonName, "mainstay");
        authority.not_after = end();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let certificate = authority.self_signed(&authority_key)?;
        write(&self.file("ca.crt"), certificate.pem().as_bytes())?;
        write(
            &self.file("ca.key"),
            authority_key.serialize_pem().as_bytes(),
        )?;
        let authority = Issuer::new(authority, authority_key);

        let mut server = CertificateParams::new(SERVER_NAMES.map(str::to_owned).to_vec())?;
        let addresses = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(SERVICE_ADDRESS),
        ];
        server
            .subject_alt_names
            .extend(addresses.map(SanType::IpAddress));
        server
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign("apiserver", server, &authority)?;

        // Tokens of service accounts are signed with a key that no certificate has.
        write(
            &self.file("service-accounts.key"),
            KeyPair::generate()?.serialize_pem().as_bytes(),
        )?;

        for (name, user, group) in CLIENTS {
            let mut client = CertificateParams::new(Vec::new())?;
            client.distinguished_name.push(DnType::CommonName, user);
            if let Some(group) = group {
                client
                    .distinguished_name
                    .push(DnType::OrganizationName, group);
            }
            client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            self.sign(name, client, &authority)?;
        }
        Ok(())
    }

    fn sign(
        &self,
        name: &str,
        mut params: CertificateParams,
        authority: &Issuer<'_, KeyPair>,
    ) -> Result<()> {
        params.not_after = end();
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, authority)?;
        write(
            &self.file(&format!("{name}.crt")),
            certificate.pem().as_bytes(),
        )?;
        write(
            &self.file(&format!("{name}.key")),
            key.serialize_pem().as_bytes(),
        )
    }
}

/// When the certificates end.
fn end() -> OffsetDateTime {
    OffsetDateTime::now_utc() + LIFETIME
}

/// Writes a file that its owner alone may read.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    // A file that was there before has kept its mode.
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .with_context(|| format!("cannot protect {}", path.display()))?;
    file.write_all(bytes)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::Pki;

    #[test]
    fn the_files_are_made_once_and_for_their_owner() {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::in_folder(folder.path().join("pki")).unwrap();
        let first = pki.read("admin.crt").unwrap();
        for name in [
            "ca.key",
            "apiserver.key",
            "service-accounts.key",
            "admin.key",
        ] {
            let mode = std::fs::metadata(pki.file(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o077, 0, "{name}");
        }
        let again = Pki::in_folder(folder.path().join("pki")).unwrap();
        assert_eq!(again.read("admin.crt").unwrap(), first);
    }
}

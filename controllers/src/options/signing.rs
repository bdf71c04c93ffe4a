//! Flags about certificates and tokens that are signed here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;

use super::duration;

/// The flags with files of authorities and keys.
#[derive(Debug, Clone, Args)]
pub struct Signing {
    /// Authority that signs the certificates that are asked for
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_cert_file: Option<PathBuf>,
    /// Key of that authority
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_key_file: Option<PathBuf>,
    /// Authority for kubernetes.io/kubelet-serving instead
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_serving_cert_file: Option<PathBuf>,
    /// Key of that authority
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_serving_key_file: Option<PathBuf>,
    /// Authority for kubernetes.io/kube-apiserver-client-kubelet instead
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_client_cert_file: Option<PathBuf>,
    /// Key of that authority
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kubelet_client_key_file: Option<PathBuf>,
    /// Authority for kubernetes.io/kube-apiserver-client instead
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kube_apiserver_client_cert_file: Option<PathBuf>,
    /// Key of that authority
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_kube_apiserver_client_key_file: Option<PathBuf>,
    /// Authority for kubernetes.io/legacy-unknown instead
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_legacy_unknown_cert_file: Option<PathBuf>,
    /// Key of that authority
    #[arg(long, value_name = "FILE")]
    pub cluster_signing_legacy_unknown_key_file: Option<PathBuf>,
    /// Longest life of a certificate
    #[arg(long, default_value = "8760h", value_parser = duration)]
    pub cluster_signing_duration: Duration,
    /// Certificate authority of the apiserver, which every namespace and every secret with a token gets
    #[arg(long, value_name = "FILE")]
    pub root_ca_file: Option<PathBuf>,
    /// Key that tokens in secrets are signed with
    #[arg(long, value_name = "FILE")]
    pub service_account_private_key_file: Option<PathBuf>,
}

/// An authority's certificate and key.
pub(crate) type Pair<'a> = (&'a Path, &'a Path);

impl Signing {
    /// The flags of each signer: the part of their names, certificate and key.
    fn pairs(&self) -> [(&'static str, &Option<PathBuf>, &Option<PathBuf>); 5] {
        [
            (
                "",
                &self.cluster_signing_cert_file,
                &self.cluster_signing_key_file,
            ),
            (
                "kubelet-serving-",
                &self.cluster_signing_kubelet_serving_cert_file,
                &self.cluster_signing_kubelet_serving_key_file,
            ),
            (
                "kubelet-client-",
                &self.cluster_signing_kubelet_client_cert_file,
                &self.cluster_signing_kubelet_client_key_file,
            ),
            (
                "kube-apiserver-client-",
                &self.cluster_signing_kube_apiserver_client_cert_file,
                &self.cluster_signing_kube_apiserver_client_key_file,
            ),
            (
                "legacy-unknown-",
                &self.cluster_signing_legacy_unknown_cert_file,
                &self.cluster_signing_legacy_unknown_key_file,
            ),
        ]
    }

    pub(super) fn fault(&self) -> Option<String> {
        let pairs = self.pairs();
        for (part, certificate, key) in pairs {
            if certificate.is_some() != key.is_some() {
                return Some(format!(
                    "--cluster-signing-{part}cert-file and --cluster-signing-{part}key-file go together"
                ));
            }
        }
        let own = pairs[1..].iter().any(|(_, file, _)| file.is_some());
        (own && self.cluster_signing_cert_file.is_some()).then(|| {
            "cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time".to_owned()
        })
    }

    /// The authority of a signer, if it has one: its own, or the one for all.
    pub(crate) fn authority(&self, part: &str) -> Option<Pair<'_>> {
        let pairs = self.pairs();
        let own = pairs.iter().find(|(name, _, _)| *name == part);
        own.into_iter()
            .chain(pairs.first())
            .find_map(|(_, certificate, key)| Some((certificate.as_deref()?, key.as_deref()?)))
    }
}

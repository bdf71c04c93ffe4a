//! The port of a process: its flags, and what is bound and served by them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use tokio::net::TcpListener;

use crate::access::Access;
use crate::duration;
use crate::pages::Pages;
use crate::{port, tls};

/// The flags. Names and meanings are those that kube-controller-manager and kube-scheduler share.
#[derive(Debug, Clone, Args)]
pub struct ServingFlags {
    /// Address that probes, metrics and the configuration are served at
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED))]
    pub bind_address: IpAddr,
    /// Port that they are served at, over TLS; 0 for none [default: the program's]
    #[arg(long, value_name = "PORT")]
    pub secure_port: Option<u16>,
    /// Folder of a certificate that is made where there is none; without it, one is made for the time of the process
    #[arg(long, value_name = "FOLDER")]
    pub cert_dir: Option<PathBuf>,
    /// Certificate to serve with
    #[arg(long, value_name = "FILE")]
    pub tls_cert_file: Option<PathBuf>,
    /// Key of that certificate
    #[arg(long, value_name = "FILE")]
    pub tls_private_key_file: Option<PathBuf>,
    /// As whom the apiserver is asked who a token belongs to; without it, nobody is known
    #[arg(long, value_name = "FILE")]
    pub authentication_kubeconfig: Option<PathBuf>,
    /// As whom the apiserver is asked who may read what; without it, only what all may read is answered
    #[arg(long, value_name = "FILE")]
    pub authorization_kubeconfig: Option<PathBuf>,
    /// Paths that all may read; one that ends in `*` stands for all that begin so
    #[arg(long, value_name = "PATHS", value_delimiter = ',', default_values = ["/healthz", "/readyz", "/livez"])]
    pub authorization_always_allow_paths: Vec<String>,
    /// How long it is remembered who a token belongs to
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub authentication_token_webhook_cache_ttl: Duration,
    /// How long it is remembered that somebody may read a path
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub authorization_webhook_cache_authorized_ttl: Duration,
    /// How long it is remembered that somebody may not
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub authorization_webhook_cache_unauthorized_ttl: Duration,
    #[command(flatten)]
    pub accepted: Accepted,
}

/// Flags that change nothing here: who asks is known by a token, and nothing else is looked at.
#[derive(Debug, Clone, Default, Args)]
#[group(skip)]
pub struct Accepted {
    /// Accepted: no certificate of a client is looked at
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    /// Accepted: no server stands in front
    #[arg(long, value_name = "FILE")]
    pub requestheader_client_ca_file: Option<PathBuf>,
    /// Accepted: no server stands in front
    #[arg(long, value_name = "NAMES")]
    pub requestheader_allowed_names: Option<String>,
    /// Accepted: no server stands in front
    #[arg(long, value_name = "PREFIXES")]
    pub requestheader_extra_headers_prefix: Option<String>,
    /// Accepted: no server stands in front
    #[arg(long, value_name = "HEADERS")]
    pub requestheader_group_headers: Option<String>,
    /// Accepted: no server stands in front
    #[arg(long, value_name = "HEADERS")]
    pub requestheader_username_headers: Option<String>,
    /// Accepted: nothing is looked up that is not given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub authentication_skip_lookup: Option<bool>,
    /// Accepted: nothing is looked up that is not given
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub authentication_tolerate_lookup_failure: Option<bool>,
    /// Accepted: there are no profiles
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub profiling: Option<bool>,
}

impl Default for ServingFlags {
    fn default() -> ServingFlags {
        ServingFlags {
            bind_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            secure_port: None,
            cert_dir: None,
            tls_cert_file: None,
            tls_private_key_file: None,
            authentication_kubeconfig: None,
            authorization_kubeconfig: None,
            authorization_always_allow_paths: ["/healthz", "/readyz", "/livez"]
                .map(str::to_owned)
                .to_vec(),
            authentication_token_webhook_cache_ttl: Duration::from_secs(10),
            authorization_webhook_cache_authorized_ttl: Duration::from_secs(10),
            authorization_webhook_cache_unauthorized_ttl: Duration::from_secs(10),
            accepted: Accepted::default(),
        }
    }
}

impl ServingFlags {
    /// Binds the port, and gives what answers at it until it is dropped; nothing if there is to be no port. `program` and `port` are what
    /// holds where no flag says otherwise: the name of a certificate in a folder, and the number.
    ///
    /// # Errors
    ///
    /// If the port is taken, or a file that a flag names cannot be used.
    pub async fn bind(
        &self,
        (program, port): (&str, u16),
        pages: Pages,
    ) -> Result<Option<impl Future<Output = ()> + Send + 'static>> {
        let port = self.secure_port.unwrap_or(port);
        if port == 0 {
            return Ok(None);
        }
        let tls = tls::of_flags(self, program)?;
        let access = Arc::new(Access::new(self)?);
        let address = SocketAddr::new(self.bind_address, port);
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| {
            format!("cannot listen on {address}; --secure-port=0 serves nothing")
        })?;
        tracing::info!(address = %address, "serving probes and metrics");
        let pages = Arc::new(pages);
        let answer = move |request| {
            let (pages, access) = (pages.clone(), access.clone());
            async move { pages.answer(&access, &request).await }
        };
        Ok(Some(port::serve(listener, tls, answer)))
    }
}

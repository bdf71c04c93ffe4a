//! Where the agents of nodes are, and how they are spoken to.

use anyhow::{Result, anyhow};
use objects::{Value, meta};

use crate::config::Config;
use crate::dial::{Identity, Place, Roots, Tls};
use crate::flag_files::{read, read_pair};

/// The port of an agent that does not tell its own.
const PORT: u16 = 10_250;

/// How agents are reached.
#[derive(Debug)]
pub(crate) struct Kubelets {
    /// Kinds of addresses, the best first.
    address_types: Vec<String>,
    tls: Tls,
    /// For who asks not to look who is there.
    unverified: Tls,
}

impl Kubelets {
    /// # Errors
    ///
    /// If a file cannot be used.
    pub(crate) fn new(config: &Config) -> Result<Kubelets> {
        let pair = read_pair(
            (
                "--kubelet-client-certificate",
                &config.kubelet_client_certificate,
            ),
            ("--kubelet-client-key", &config.kubelet_client_key),
        )?;
        let identity = pair
            .as_ref()
            .map(|(certificate, key)| Identity { certificate, key });
        let authority = config.kubelet_certificate_authority.as_ref();
        let authority = authority.map(read).transpose()?;
        let roots = authority
            .as_deref()
            .map_or(Roots::Unverified, Roots::Bundle);
        let tls = |roots| Tls::new(roots, identity).map_err(|why| anyhow!("kubelets: {why}"));
        Ok(Kubelets {
            address_types: config.kubelet_preferred_address_types.clone(),
            tls: tls(roots)?,
            unverified: tls(Roots::Unverified)?,
        })
    }

    /// Where the agent of a node listens.
    ///
    /// # Errors
    ///
    /// If the node has no address of a kind that is wanted.
    pub(crate) fn place(&self, node: &Value) -> Result<Place, String> {
        let addresses = meta::list(node, &["status", "addresses"]);
        let of_type = |wanted: &String| addresses.iter().find(|one| one["type"] == *wanted);
        let Some(found) = self.address_types.iter().find_map(of_type) else {
            let told: Vec<String> = addresses.iter().map(told).collect();
            return Err(format!(
                "no preferred addresses found; known addresses: [{}]",
                told.join(" ")
            ));
        };
        let port = meta::at(
            node,
            &["status", "daemonEndpoints", "kubeletEndpoint", "Port"],
        );
        let port = port
            .and_then(Value::as_u64)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port > 0);
        Ok(Place {
            host: meta::text(found, &["address"]).to_owned(),
            port: port.unwrap_or(PORT),
        })
    }

    /// How the stream to an agent is secured.
    pub(crate) fn tls(&self, place: &Place, is_verified: bool) -> (Tls, String) {
        let tls = if is_verified {
            &self.tls
        } else {
            &self.unverified
        };
        (tls.clone(), place.host.clone())
    }
}

/// An address, as Go shows one.
fn told(address: &Value) -> String {
    let text = |field| meta::text(address, &[field]);
    format!("{{{} {}}}", text("type"), text("address"))
}

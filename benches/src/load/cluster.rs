//! The servers under load: which endpoints there are, which one leads.

use anyhow::{Result, bail};

use crate::load::engine::Engine;
use crate::load::messages::{self, MemberStatus};

/// Endpoints as host:port; a URL's `http://` is taken off.
pub fn addresses(endpoints: &[String]) -> Result<Vec<String>> {
    if endpoints.is_empty() {
        bail!("no endpoints");
    }
    endpoints
        .iter()
        .map(|endpoint| {
            if endpoint.starts_with("https://") {
                bail!("{endpoint}: only plain connections are measured");
            }
            let address = endpoint.strip_prefix("http://").unwrap_or(endpoint);
            Ok(address.trim_end_matches('/').to_owned())
        })
        .collect()
}

/// What the member behind `address` says of itself.
pub fn status(address: &str) -> Result<MemberStatus> {
    let mut engine = Engine::new()?;
    let connection = engine.connect(address)?;
    Ok(messages::member_status(&engine.ask(
        connection,
        messages::STATUS,
        &[],
    )?))
}

/// The address of the leader.
pub fn leader(addresses: &[String]) -> Result<String> {
    for address in addresses {
        let status = status(address)?;
        if status.leader != 0 && status.leader == status.member {
            return Ok(address.clone());
        }
    }
    bail!("none of {addresses:?} leads")
}

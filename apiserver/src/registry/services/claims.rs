//! Claims in the store: a key for every address and port, made only where there is none.

use std::net::IpAddr;

use objects::status::Status;
use objects::{Value, meta};
use serde_json::json;

use super::super::Registry;
use super::super::create::uid;
use super::super::store::decode;
use super::ranges::Range;
use super::wanted;
use crate::clock;
use crate::storage::{Part, Stored, Written};

/// How often a number is drawn before the free ones are looked for.
const DRAWS_MAX: usize = 16;
/// A claim that no service has by then is anybody's: who made it did not come to make the service.
const ABANDONED_SECONDS: i64 = 60;

/// A key that this server made.
#[derive(Debug)]
pub(in super::super) struct Claim {
    key: String,
    revision: i64,
}

/// Whether a claim could be made.
pub(super) enum Taken {
    Now(Claim),
    /// Somebody else has it.
    Before,
}

impl Registry {
    pub(super) fn address_key(&self, address: IpAddr) -> String {
        format!("{}/ipaddresses/{address}", self.prefix)
    }

    pub(super) fn port_key(&self, port: i64) -> String {
        format!("{}/ranges/nodeports/{port}", self.prefix)
    }

    pub(super) async fn claim_address(
        &self,
        address: IpAddr,
        owner: &str,
    ) -> Result<Taken, Status> {
        let (namespace, name) = owner.split_once('/').unwrap_or(("", owner));
        let family = if address.is_ipv6() { "IPv6" } else { "IPv4" };
        let object = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "IPAddress",
            "metadata": {
                "name": address.to_string(),
                "uid": uid(),
                "creationTimestamp": clock::now(),
                "labels": {
                    "ipaddress.kubernetes.io/ip-family": family,
                    "ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io",
                },
            },
            "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
        });
        self.take(self.address_key(address), &object).await
    }

    pub(super) async fn claim_port(&self, port: i64, owner: &str) -> Result<Taken, Status> {
        let (namespace, name) = owner.split_once('/').unwrap_or(("", owner));
        let claim = json!({
            "metadata": {"name": port.to_string(), "creationTimestamp": clock::now()},
            "spec": {"parentRef": {"resource": "services", "namespace": namespace, "name": name}},
        });
        self.take(self.port_key(port), &claim).await
    }

    /// Makes a key; in the place of one that was abandoned, if need be.
    async fn take(&self, key: String, claim: &Value) -> Result<Taken, Status> {
        let bytes = serde_json::to_vec(claim).expect("a tree is JSON");
        let written = self
            .storage
            .create(key.as_bytes(), bytes.clone().into(), 0)
            .await?;
        let found = match written {
            Written::At(revision) => return Ok(Taken::Now(Claim { key, revision })),
            Written::Changed(found) => found,
        };
        let Some(found) = found else {
            return Ok(Taken::Before);
        };
        if !self.is_abandoned(&found).await? {
            return Ok(Taken::Before);
        }
        let written = self
            .storage
            .replace(key.as_bytes(), found.revision, bytes.into(), 0)
            .await?;
        Ok(match written {
            Written::At(revision) => Taken::Now(Claim { key, revision }),
            Written::Changed(_) => Taken::Before,
        })
    }

    /// Whether a claim's owner is not there, or does not have what is claimed, for longer than it takes to make it.
    async fn is_abandoned(&self, found: &Stored) -> Result<bool, Status> {
        let Ok(claim) = decode(&found.value) else {
            return Ok(false);
        };
        let made = clock::seconds(meta::text(&claim, &["metadata", "creationTimestamp"]));
        if made.is_none_or(|made| clock::now_seconds() - made < ABANDONED_SECONDS) {
            return Ok(false);
        }
        let parent = &claim["spec"]["parentRef"];
        if parent["resource"] != "services" {
            return Ok(false);
        }
        let (namespace, name) = (
            meta::text(parent, &["namespace"]),
            meta::text(parent, &["name"]),
        );
        let key = format!("{}/services/specs/{namespace}/{name}", self.prefix);
        let (service, _) = self.storage.get(key.as_bytes()).await?;
        let Some(service) = service else {
            return Ok(true);
        };
        let Ok(service) = decode(&service.value) else {
            return Ok(false);
        };
        let claimed = meta::name(&claim);
        let has = wanted::addresses(&service).iter().any(|own| own == claimed)
            || wanted::node_ports(&service)
                .iter()
                .any(|own| own.to_string() == claimed);
        Ok(!has)
    }

    /// An address that is free.
    pub(super) async fn claim_any_address(
        &self,
        range: Range,
        owner: &str,
    ) -> Result<(IpAddr, Claim), Status> {
        let count = range.given_out();
        // The first addresses are left to those who ask for one.
        let reserved = (count / 16).clamp(16, 256);
        for _ in 0..DRAWS_MAX {
            let drawn = if count > reserved {
                reserved + 1 + draw(count - reserved)
            } else {
                1 + draw(count.max(1))
            };
            let address = range.at(drawn.min(count));
            if let Taken::Now(claim) = self.claim_address(address, owner).await? {
                return Ok((address, claim));
            }
        }
        let taken = self.names_below("/ipaddresses/").await?;
        for offset in (1..=count).rev() {
            let address = range.at(offset);
            if !taken.contains(&address.to_string())
                && let Taken::Now(claim) = self.claim_address(address, owner).await?
            {
                return Ok((address, claim));
            }
        }
        Err(Status::internal(format!(
            "failed to allocate a serviceIP for Service {:?}: range is full",
            owner.split('/').next_back().unwrap_or_default()
        )))
    }

    /// A port of nodes that is free.
    pub(super) async fn claim_any_port(&self, owner: &str) -> Result<(i64, Claim), Status> {
        let ports = self.services.ports();
        let count = ports.end() - ports.start() + 1;
        for _ in 0..DRAWS_MAX {
            let drawn = draw(u128::from(count.unsigned_abs()));
            let port = ports.start() + i64::try_from(drawn).expect("less than the count of ports");
            if let Taken::Now(claim) = self.claim_port(port, owner).await? {
                return Ok((port, claim));
            }
        }
        let taken = self.names_below("/ranges/nodeports/").await?;
        for port in ports {
            if !taken.contains(&port.to_string())
                && let Taken::Now(claim) = self.claim_port(port, owner).await?
            {
                return Ok((port, claim));
            }
        }
        Err(Status::internal(
            "failed to allocate a nodePort: range is full",
        ))
    }

    async fn names_below(&self, folder: &str) -> Result<std::collections::HashSet<String>, Status> {
        let prefix = format!("{}{folder}", self.prefix);
        let all = Part {
            start: bytes::Bytes::new(),
            limit: 0,
            revision: 0,
        };
        let page = self.storage.list(prefix.as_bytes(), all).await?;
        Ok(page
            .items
            .iter()
            .map(|stored| String::from_utf8_lossy(&stored.key[prefix.len()..]).into_owned())
            .collect())
    }

    /// Gives a claim back. One that cannot be given back now is abandoned.
    pub(super) async fn release_one(&self, claim: &Claim) {
        if let Err(error) = self
            .storage
            .remove(claim.key.as_bytes(), claim.revision)
            .await
        {
            tracing::debug!(%error, "a claim of a service is abandoned");
        }
    }

    /// Gives back what is claimed for an owner.
    pub(super) async fn release_owned(&self, key: String, owner: &str) {
        let Ok((Some(found), _)) = self.storage.get(key.as_bytes()).await else {
            return;
        };
        let parent = decode(&found.value).map(|claim| claim["spec"]["parentRef"].clone());
        let is_own = parent.is_ok_and(|parent| {
            let place = (
                meta::text(&parent, &["namespace"]),
                meta::text(&parent, &["name"]),
            );
            format!("{}/{}", place.0, place.1) == owner
        });
        if is_own {
            let revision = found.revision;
            self.release_one(&Claim { key, revision }).await;
        }
    }
}

/// A random number below another.
fn draw(below: u128) -> u128 {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    u128::from_le_bytes(bytes) % below
}

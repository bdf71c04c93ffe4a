//! Addresses and ports of services: each is a key of its own in the store, so that no two services ever have the same.

mod claims;
mod ranges;
mod wanted;

pub use self::ranges::Ranges;

use objects::invalid::Invalid;
use objects::path::Path;
use objects::status::Status;
use objects::{Value, meta};
use serde_json::json;

use self::claims::{Claim, Taken};
use super::{Registry, Request};

/// What was claimed for one write.
pub(super) type Claims = Vec<Claim>;

/// Whether a request writes services themselves.
fn is_about_services(request: &Request) -> bool {
    let resource = &request.served.resource;
    resource.group.is_empty() && resource.kind == "Service" && request.subresource.is_empty()
}

impl Registry {
    /// Gives a service what it needs and was not given: families, addresses and ports of nodes. What the old one has stays its own.
    pub(super) async fn claim(
        &self,
        request: &Request,
        service: &mut Value,
        old: Option<&Value>,
        dry_run: bool,
    ) -> Result<Claims, Status> {
        let mut claims = Claims::new();
        if !is_about_services(request) || dry_run {
            return Ok(claims);
        }
        let result = self.claim_all(request, service, old, &mut claims).await;
        match result {
            Ok(()) => Ok(claims),
            Err(status) => {
                self.release(&claims).await;
                Err(status)
            }
        }
    }

    async fn claim_all(
        &self,
        request: &Request,
        service: &mut Value,
        old: Option<&Value>,
        claims: &mut Claims,
    ) -> Result<(), Status> {
        wanted::set_families(&self.services, service, old);
        self.claim_addresses(request, service, old, claims).await?;
        self.claim_ports(request, service, old, claims).await
    }

    async fn claim_addresses(
        &self,
        request: &Request,
        service: &mut Value,
        old: Option<&Value>,
        claims: &mut Claims,
    ) -> Result<(), Status> {
        if !wanted::has_addresses(service) {
            return Ok(());
        }
        let owner = owner(service);
        let had = old.map(wanted::addresses).unwrap_or_default();
        let mut addresses = wanted::addresses(service);
        for address in addresses.iter().filter(|own| !had.contains(own)) {
            // What is no address is for validation to tell.
            let Ok(parsed) = address.parse() else {
                return Ok(());
            };
            let refused = |why: &str| {
                let fault = Invalid::value(
                    &Path::new("spec").child("clusterIPs"),
                    json!(wanted::addresses(service)),
                    format!("failed to allocate IP {address}: {why}"),
                );
                Err(request.invalid(meta::name(service), &vec![fault]))
            };
            if !self.services.has_address(parsed) {
                return refused("the provided network does not match the current range");
            }
            match self.claim_address(parsed, &owner).await? {
                Taken::Now(claim) => claims.push(claim),
                Taken::Before => return refused("provided IP is already allocated"),
            }
        }
        for family in wanted::families(service).iter().skip(addresses.len()) {
            let Some(range) = self.services.of_family(family) else {
                break;
            };
            let (address, claim) = self.claim_any_address(range, &owner).await?;
            claims.push(claim);
            addresses.push(address.to_string());
        }
        if let Some(first) = addresses.first() {
            let spec = meta::fields_mut(service, "spec");
            spec.insert("clusterIP".to_owned(), json!(first));
            spec.insert("clusterIPs".to_owned(), json!(addresses));
        }
        Ok(())
    }

    async fn claim_ports(
        &self,
        request: &Request,
        service: &mut Value,
        old: Option<&Value>,
        claims: &mut Claims,
    ) -> Result<(), Status> {
        let owner = owner(service);
        let mut own = old.map(wanted::node_ports).unwrap_or_default();
        for slot in wanted::port_slots(service) {
            let number = match wanted::node_port(service, &slot) {
                Some(number) if own.contains(&number) => continue,
                Some(number) => {
                    let refused = |why: String| {
                        let fault = Invalid::value(&slot.path(), number, why);
                        Err(request.invalid(meta::name(service), &vec![fault]))
                    };
                    if !self.services.has_port(number) {
                        let range = self.services.ports_text();
                        return refused(format!(
                            "provided port is not in the valid range. The range of valid ports is {range}"
                        ));
                    }
                    match self.claim_port(number, &owner).await? {
                        Taken::Now(claim) => claims.push(claim),
                        Taken::Before => {
                            return refused("provided port is already allocated".to_owned());
                        }
                    }
                    number
                }
                None => match wanted::shared_port(service, &slot) {
                    Some(number) => number,
                    None => {
                        let (number, claim) = self.claim_any_port(&owner).await?;
                        claims.push(claim);
                        number
                    }
                },
            };
            own.push(number);
            wanted::set_node_port(service, &slot, number);
        }
        Ok(())
    }

    /// Gives back what a write claimed that came to nothing.
    pub(super) async fn release(&self, claims: &Claims) {
        for claim in claims {
            self.release_one(claim).await;
        }
    }

    /// Gives back what a failed write claimed, unless it is unknown whether it failed.
    pub(super) async fn release_after(&self, claims: &Claims, status: &Status) {
        if status.code < 500 && status.code != 429 {
            self.release(claims).await;
        }
    }

    /// Gives back what a service has no more, or all it had when it is gone.
    pub(super) async fn release_old(&self, request: &Request, old: &Value, new: Option<&Value>) {
        if !is_about_services(request) {
            return;
        }
        let owner = owner(old);
        let kept = new.map(wanted::addresses).unwrap_or_default();
        for address in wanted::addresses(old) {
            if let (false, Ok(address)) = (kept.contains(&address), address.parse()) {
                self.release_owned(self.address_key(address), &owner).await;
            }
        }
        let kept = new.map(wanted::node_ports).unwrap_or_default();
        for port in wanted::node_ports(old) {
            if !kept.contains(&port) {
                self.release_owned(self.port_key(port), &owner).await;
            }
        }
    }
}

/// Whose a claim is.
fn owner(service: &Value) -> String {
    format!("{}/{}", meta::namespace(service), meta::name(service))
}

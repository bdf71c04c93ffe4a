//! Where what a request names is: `name`, `name:port`, `scheme:name:port`.

use std::net::{IpAddr, Ipv6Addr};

use objects::status::{Reason, Status};
use objects::{Value, meta};

use super::super::objects_api::Call;
use super::{Outward, find};
use crate::dial::{Place, Tls, any_of};

/// The name in a request, with the scheme and port it wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted<'a> {
    pub(super) is_secure: bool,
    pub(super) name: &'a str,
    pub(super) port: &'a str,
}

impl<'a> Wanted<'a> {
    /// None for what is in none of the three forms.
    pub(super) fn parse(text: &'a str) -> Option<Wanted<'a>> {
        let parts: Vec<&str> = text.split(':').collect();
        let (scheme, name, port) = match parts[..] {
            [name] => ("", name, ""),
            [name, port] => ("", name, port),
            [scheme, name, port] => (scheme, name, port),
            _ => return None,
        };
        (!name.is_empty() && matches!(scheme, "" | "http" | "https")).then_some(Wanted {
            is_secure: scheme == "https",
            name,
            port,
        })
    }

    /// The port as a number; that of its scheme where it says none.
    fn number(&self) -> Result<u16, Status> {
        match self.port {
            "" if self.is_secure => Ok(443),
            "" => Ok(80),
            text => text.parse().map_err(|_error| {
                let why = format!(
                    "error trying to reach service: dial tcp: lookup tcp/{text}: unknown port"
                );
                Status::new(Reason::ServiceUnavailable, why)
            }),
        }
    }
}

/// A place, and how the stream to it is secured.
pub(super) type Found = (Place, Option<(Tls, String)>);

/// Where the object of a request is.
pub(super) async fn locate(call: &Call<'_>, outward: &Outward) -> Result<Found, Status> {
    let (plural, name) = (
        call.request.served.resource.plural.as_str(),
        call.request.name.as_str(),
    );
    let kind = plural.trim_end_matches('s');
    let wanted = Wanted::parse(name)
        .ok_or_else(|| Status::bad_request(format!("invalid {kind} request {name:?}")))?;
    if plural == "nodes" {
        return node(call, outward, wanted).await;
    }
    let place = if plural == "pods" {
        pod(call, wanted).await?
    } else {
        service(call, wanted).await?
    };
    let tls = wanted
        .is_secure
        .then(|| (outward.unverified.clone(), place.host.clone()));
    Ok((place, tls))
}

async fn node(call: &Call<'_>, outward: &Outward, wanted: Wanted<'_>) -> Result<Found, Status> {
    let node = find(call, "nodes", "", wanted.name).await?;
    let kubelets = &outward.kubelets;
    let agent = kubelets.place(&node).map_err(crate::relay::unnamed)?;
    let looked_up = tokio::net::lookup_host((agent.host.as_str(), agent.port)).await;
    let addresses: Vec<_> = looked_up
        .map_err(|_error| Status::bad_request(format!("lookup {}: no such host", agent.host)))?
        .collect();
    if !addresses.iter().all(|address| is_global(address.ip())) {
        return Err(Status::bad_request("address not allowed"));
    }
    if wanted.port.is_empty() || wanted.port == agent.port.to_string() {
        let tls = kubelets.tls(&agent, true);
        return Ok((agent, Some(tls)));
    }
    let place = Place {
        host: agent.host,
        port: wanted.number()?,
    };
    let tls = wanted
        .is_secure
        .then(|| (outward.unverified.clone(), place.host.clone()));
    Ok((place, tls))
}

async fn pod(call: &Call<'_>, wanted: Wanted<'_>) -> Result<Place, Status> {
    let pod = find(call, "pods", &call.request.namespace, wanted.name).await?;
    let first_port = meta::list(&pod, &["spec", "containers"])
        .iter()
        .find_map(|container| meta::list(container, &["ports"]).first())
        .and_then(|port| port["containerPort"].as_u64())
        .and_then(|port| u16::try_from(port).ok());
    let address = meta::list(&pod, &["status", "podIPs"])
        .first()
        .map_or("", |first| meta::text(first, &["ip"]));
    let is_allowed = address.parse().is_ok_and(is_global);
    if !is_allowed {
        return Err(Status::bad_request("address not allowed"));
    }
    let port = match first_port {
        Some(port) if wanted.port.is_empty() => port,
        _ => wanted.number()?,
    };
    Ok(Place {
        host: address.to_owned(),
        port,
    })
}

async fn service(call: &Call<'_>, wanted: Wanted<'_>) -> Result<Place, Status> {
    let (namespace, name) = (&call.request.namespace, wanted.name);
    let unavailable = |why: String| Status::new(Reason::ServiceUnavailable, why);
    let mut port_name = wanted.port.to_owned();
    if let Ok(number) = wanted.port.parse::<i64>() {
        let service = find(call, "services", namespace, name).await?;
        let port = meta::list(&service, &["spec", "ports"])
            .iter()
            .find(|port| port["port"] == number)
            .ok_or_else(|| {
                unavailable(format!(
                    "no service port {number} found for service {name:?}"
                ))
            })?;
        meta::text(port, &["name"]).clone_into(&mut port_name);
    }
    let endpoints = find(call, "endpoints", namespace, name).await?;
    let subsets = meta::list(&endpoints, &["subsets"]);
    if subsets.is_empty() {
        return Err(unavailable(format!(
            "no endpoints available for service {name:?}"
        )));
    }
    for subset in turned(subsets) {
        let port = meta::list(subset, &["ports"])
            .iter()
            .find(|port| meta::text(port, &["name"]) == port_name)
            .and_then(|port| port["port"].as_u64())
            .and_then(|port| u16::try_from(port).ok());
        let Some(port) = port else { continue };
        for address in turned(meta::list(subset, &["addresses"])) {
            if is_of_pod(call, address).await {
                let host = meta::text(address, &["ip"]).to_owned();
                return Ok(Place { host, port });
            }
        }
    }
    let name = &call.request.name;
    Err(unavailable(format!(
        "no endpoints available for service {name:?}"
    )))
}

/// All of them, beginning at one that is chosen at random.
fn turned(all: &[Value]) -> impl Iterator<Item = &Value> {
    all.iter().cycle().skip(any_of(all.len())).take(all.len())
}

/// Whether an address is that of the pod that it says it is: nobody reaches another one through a service.
async fn is_of_pod(call: &Call<'_>, address: &Value) -> bool {
    let target = |field| meta::text(address, &["targetRef", field]);
    if target("namespace") != call.request.namespace || target("name").is_empty() {
        return false;
    }
    let Ok(pod) = find(call, "pods", target("namespace"), target("name")).await else {
        return false;
    };
    meta::list(&pod, &["status", "podIPs"])
        .iter()
        .any(|one| one["ip"] == address["ip"])
}

/// Whether an address leads to somebody in the network, and not to this machine or its neighbours.
fn is_global(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast(),
        IpAddr::V6(address) => Ipv6Addr::is_unicast_link_local(&address),
    };
    !(address.is_unspecified() || address.is_loopback() || address.is_multicast() || is_link_local)
}

#[cfg(test)]
mod tests {
    use super::{Wanted, is_global};

    #[test]
    fn a_name_may_have_a_port_and_a_scheme() {
        let told =
            |text| Wanted::parse(text).map(|wanted| (wanted.is_secure, wanted.name, wanted.port));
        assert_eq!(told("a"), Some((false, "a", "")));
        assert_eq!(told("a:web"), Some((false, "a", "web")));
        assert_eq!(told("http:a:80"), Some((false, "a", "80")));
        assert_eq!(told("https:a:"), Some((true, "a", "")));
        for text in ["", ":80", "ftp:a:1", "a:b:c:d"] {
            assert_eq!(told(text), None, "{text}");
        }
    }

    #[test]
    fn nobody_is_passed_on_to_the_machine_itself() {
        for address in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "169.254.169.254",
            "fe80::1",
            "::ffff:127.0.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!is_global(address.parse().unwrap()), "{address}");
        }
        for address in ["10.0.0.1", "8.8.8.8", "fd00::1"] {
            assert!(is_global(address.parse().unwrap()), "{address}");
        }
    }
}

//! Where a service is: at one of its ready endpoints, or else at its own address.

use std::sync::Arc;

use objects::status::{Reason, Status};
use objects::{Value, meta};

use super::Place;
use crate::objects_view::ObjectsView;

/// The label of slices that names their service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The services in memory. Endpoints come first, for the addresses of services lead nowhere on a machine without a proxy for them.
pub struct Services {
    view: Arc<dyn ObjectsView>,
}

impl Services {
    pub fn new(view: Arc<dyn ObjectsView>) -> Services {
        Services { view }
    }

    /// Where a port of a service is.
    ///
    /// # Errors
    ///
    /// If there is no such service or port, or nobody behind it.
    pub fn resolve(&self, (namespace, name): (&str, &str), port: u16) -> Result<Place, Status> {
        let service = self
            .view
            .get("", "services", namespace, name)
            .ok_or_else(|| Status::not_found("", "service", name))?;
        let place = |host: &str, port: u16| Place {
            host: host.to_owned(),
            port,
        };
        if meta::text(&service, &["spec", "type"]) == "ExternalName" {
            let host = meta::text(&service, &["spec", "externalName"]);
            return Ok(place(host, port));
        }
        let service_port = find_port(&service, port).ok_or_else(|| {
            unavailable(format!("no service port {port} found for service {name:?}"))
        })?;
        let port_name = meta::text(service_port, &["name"]);
        let slices = self.slices(namespace, &service);
        if let Some((host, port)) = slices.iter().find_map(|slice| endpoint(slice, port_name)) {
            return Ok(place(&host, port));
        }
        match meta::text(&service, &["spec", "clusterIP"]) {
            "" | "None" => Err(unavailable(format!(
                "no endpoints available for service {name:?}"
            ))),
            address => Ok(place(address, port)),
        }
    }

    /// The slices of a service, those of its first family of addresses first.
    pub(crate) fn slices(&self, namespace: &str, service: &Value) -> Vec<Arc<Value>> {
        let name = meta::name(service);
        let mut slices = self
            .view
            .list("discovery.k8s.io", "endpointslices", Some(namespace));
        slices.retain(|slice| meta::text(slice, &["metadata", "labels", SERVICE_LABEL]) == name);
        let family = meta::list(service, &["spec", "ipFamilies"])
            .first()
            .cloned();
        slices.sort_by_key(|slice| slice.get("addressType") != family.as_ref());
        slices
    }
}

/// The index of one of so many, chosen at random; 0 if there is none.
pub(crate) fn any_of(count: usize) -> usize {
    let mut random = [0; size_of::<usize>()];
    getrandom::fill(&mut random).expect("the system has randomness");
    usize::from_ne_bytes(random) % count.max(1)
}

fn unavailable(why: String) -> Status {
    Status::new(Reason::ServiceUnavailable, why)
}

fn find_port(service: &Value, port: u16) -> Option<&Value> {
    meta::list(service, &["spec", "ports"])
        .iter()
        .find(|candidate| candidate["port"] == port)
}

/// The address of somebody in a slice who is ready, and the port of a name there.
fn endpoint(slice: &Value, port_name: &str) -> Option<(String, u16)> {
    let named = |port: &&Value| meta::text(port, &["name"]) == port_name;
    let port = meta::list(slice, &["ports"]).iter().find(named)?;
    let port = u16::try_from(port["port"].as_u64()?).ok()?;
    let ready: Vec<&Value> = meta::list(slice, &["endpoints"])
        .iter()
        .filter(|endpoint| endpoint["conditions"]["ready"] != false)
        .collect();
    let chosen = ready.get(any_of(ready.len()))?;
    let address = meta::list(chosen, &["addresses"]).first()?.as_str()?;
    Some((address.to_owned(), port))
}

//! Services and what leads to them.

use std::collections::BTreeSet;

use serde_json::json;

use super::{Kind, kind};
use crate::table::column::{AGE, Column, NAME, Row, join, several, text, text_or, with};
use crate::table::format;
use crate::{Value, meta};

pub(super) const KINDS: &[Kind] = &[
    kind("", "Service", SERVICE),
    kind("", "Endpoints", &[NAME, with("Endpoints", endpoints), AGE]),
    kind("discovery.k8s.io", "EndpointSlice", ENDPOINT_SLICE),
    kind("networking.k8s.io", "Ingress", INGRESS),
    kind("networking.k8s.io", "IngressClass", INGRESS_CLASS),
    kind(
        "networking.k8s.io",
        "NetworkPolicy",
        &[
            NAME,
            with("Pod-Selector", |row| {
                json!(format::selector_or_none(row.at("spec.podSelector")))
            }),
            AGE,
        ],
    ),
    kind(
        "networking.k8s.io",
        "ServiceCIDR",
        &[NAME, join("CIDRs", "spec.cidrs", ""), AGE],
    ),
    // A cell for an age follows, which has no column.
    kind(
        "networking.k8s.io",
        "IPAddress",
        &[
            NAME,
            several("ParentRef", |row| vec![parent(row), json!(row.age())]),
        ],
    ),
];

const SERVICE: &[Column] = &[
    NAME,
    text("Type", "spec.type"),
    with("Cluster-IP", cluster_ip),
    with("External-IP", external_ip),
    with("Port(s)", ports),
    AGE,
    with("Selector", |row| {
        json!(format::labels(row.map("spec.selector")))
    })
    .wide(),
];

const ENDPOINT_SLICE: &[Column] = &[
    NAME,
    text("AddressType", "addressType"),
    with("Ports", slice_ports),
    with("Endpoints", slice_endpoints),
    AGE,
];

const INGRESS: &[Column] = &[
    NAME,
    text_or("Class", "spec.ingressClassName", "<none>"),
    with("Hosts", hosts),
    with("Address", |row| json!(load_balancer(row))),
    with("Ports", |row| {
        json!(if row.list("spec.tls").is_empty() {
            "80"
        } else {
            "80, 443"
        })
    }),
    AGE,
];

const INGRESS_CLASS: &[Column] = &[
    with("Name", |row| {
        json!(format::name_or_default(
            row.object,
            &["ingressclass.kubernetes.io/is-default-class"]
        ))
    })
    .formatted("name"),
    text("Controller", "spec.controller"),
    with("Parameters", parameters),
    AGE,
];

fn cluster_ip(row: &Row<'_>) -> Value {
    let first = row.list("spec.clusterIPs").first().and_then(Value::as_str);
    json!(first.unwrap_or("<none>"))
}

fn external_ip(row: &Row<'_>) -> Value {
    let external = row.join("spec.externalIPs", "");
    json!(match row.text("spec.type") {
        "ClusterIP" | "NodePort" => format::none_if_empty(external),
        "LoadBalancer" => match (&*load_balancer(row), &*external) {
            ("", "") => "<pending>".to_owned(),
            (balancer, "") => balancer.to_owned(),
            ("", external) => external.to_owned(),
            (balancer, external) => format!("{balancer},{external}"),
        },
        "ExternalName" => row.text("spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    })
}

/// The addresses or names of a load balancer, each once and in order.
fn load_balancer(row: &Row<'_>) -> String {
    let ingress = row.list("status.loadBalancer.ingress").iter();
    let addresses: BTreeSet<&str> = ingress
        .map(|ingress| match meta::text(ingress, &["ip"]) {
            "" => meta::text(ingress, &["hostname"]),
            ip => ip,
        })
        .filter(|address| !address.is_empty())
        .collect();
    addresses.into_iter().collect::<Vec<_>>().join(",")
}

fn ports(row: &Row<'_>) -> Value {
    let ports = row.list("spec.ports").iter().map(|port| {
        let number = port["port"].as_i64().unwrap_or_default();
        let protocol = meta::text(port, &["protocol"]);
        match port["nodePort"].as_i64().unwrap_or_default() {
            1.. => format!("{number}:{}/{protocol}", port["nodePort"]),
            _ => format!("{number}/{protocol}"),
        }
    });
    json!(format::none_if_empty(ports.collect::<Vec<_>>().join(",")))
}

fn endpoints(row: &Row<'_>) -> Value {
    let subsets = row.list("subsets");
    if subsets.is_empty() {
        return json!("<none>");
    }
    let mut texts = Vec::new();
    for subset in subsets {
        let addresses = meta::list(subset, &["addresses"]);
        let ips = || addresses.iter().map(|address| meta::text(address, &["ip"]));
        let ports = meta::list(subset, &["ports"]);
        if ports.is_empty() {
            texts.extend(ips().map(str::to_owned));
        }
        for port in ports {
            let number = port["port"].as_i64().unwrap_or_default();
            texts.extend(ips().map(|ip| {
                if ip.contains(':') {
                    format!("[{ip}]:{number}")
                } else {
                    format!("{ip}:{number}")
                }
            }));
        }
    }
    json!(format::first_of(&texts, ""))
}

fn slice_ports(row: &Row<'_>) -> Value {
    let ports: Vec<String> = row
        .list("ports")
        .iter()
        .map(
            |port| match (port["port"].as_i64(), port["name"].as_str()) {
                (Some(number), _) => number.to_string(),
                (None, Some(name)) => name.to_owned(),
                (None, None) => "*".to_owned(),
            },
        )
        .collect();
    json!(format::first_of(&ports, "<unset>"))
}

fn slice_endpoints(row: &Row<'_>) -> Value {
    let addresses: Vec<String> = row
        .list("endpoints")
        .iter()
        .flat_map(|endpoint| meta::list(endpoint, &["addresses"]))
        .filter_map(|address| address.as_str().map(str::to_owned))
        .collect();
    json!(format::first_of(&addresses, "<unset>"))
}

/// The hosts of the first rules. How many more there are counts the rules without a host too.
fn hosts(row: &Row<'_>) -> Value {
    let rules = row.list("spec.rules");
    let named: Vec<(usize, &str)> = rules
        .iter()
        .map(|rule| meta::text(rule, &["host"]))
        .enumerate()
        .filter(|(_, host)| !host.is_empty())
        .take(format::SHOWN_MAX)
        .collect();
    let shown: Vec<&str> = named.iter().map(|(_, host)| *host).collect();
    let is_full = shown.len() == format::SHOWN_MAX;
    let more = is_full
        && named
            .last()
            .is_some_and(|(index, _)| index + 1 < rules.len());
    json!(match () {
        () if shown.is_empty() => "*".to_owned(),
        () if more => format!(
            "{} + {} more...",
            shown.join(","),
            rules.len() - format::SHOWN_MAX
        ),
        () => shown.join(","),
    })
}

fn parameters(row: &Row<'_>) -> Value {
    let Some(parameters) = row.at("spec.parameters") else {
        return json!("<none>");
    };
    let of = |field: &str| meta::text(parameters, &[field]);
    let kind = match parameters["apiGroup"].as_str() {
        Some(group) => format!("{}.{group}", of("kind")),
        None => of("kind").to_owned(),
    };
    json!(format!("{kind}/{}", of("name")))
}

/// What an address belongs to.
fn parent(row: &Row<'_>) -> Value {
    let Some(parent) = row.at("spec.parentRef") else {
        return json!("<none>");
    };
    let of = |field: &str| meta::text(parent, &[field]);
    let mut text = crate::status::qualified(of("group"), of("resource")).to_lowercase();
    for part in [of("namespace"), of("name")] {
        if !part.is_empty() || part == of("name") {
            text.push('/');
            text.push_str(part);
        }
    }
    json!(text)
}

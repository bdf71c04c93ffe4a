//! Gives nodes the ranges that are decided on.

use std::sync::Arc;

use anyhow::Result;
use client::{Change, Client, Key, Next, Patch, Store};
use k8s_openapi::api::core::v1::Node;
use parking_lot::Mutex;
use serde_json::json;

use super::{Cidr, Masks, NoCidr, Ranges};
use crate::context::Context;
use crate::events::Event;
use crate::options::Nodes;
use crate::patches;
use crate::telling::Teller;

struct Controller {
    client: Client,
    nodes: Store<Node>,
    ranges: Mutex<Ranges>,
    teller: Teller,
}

fn ranges(options: &Nodes) -> Result<Ranges, NoCidr> {
    let clusters: Result<Vec<Cidr>, NoCidr> = options
        .cluster_cidr
        .iter()
        .map(|text| text.parse())
        .collect();
    let masks = Masks {
        v4: options.node_cidr_mask_size.into(),
        v6: options.node_cidr_mask_size_ipv6.into(),
    };
    let of_services = options.service_cluster_ip_range.iter();
    let of_services = of_services.filter_map(|text| {
        let read = text.parse();
        read.inspect_err(
            |error| tracing::warn!(%error, "a range of services is not kept from nodes"),
        )
        .ok()
    });
    Ok(Ranges::new(clusters?, masks, of_services.collect()))
}

pub(crate) fn start(context: &Context) {
    let options = &context.options.nodes;
    if !options.allocate_node_cidrs || options.cluster_cidr.is_empty() {
        return;
    }
    let ranges = match ranges(options) {
        Ok(ranges) => ranges,
        Err(error) => {
            tracing::error!(%error, "nodes get no ranges of addresses");
            return;
        }
    };
    let nodes = context.informers.of::<Node>();
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        nodes: nodes.store(),
        ranges: Mutex::new(ranges),
        teller: Teller::new(context, "cidrAllocator"),
    });
    let queue = context.queue("cidrallocator_node");
    let (added, watched) = (Arc::clone(&queue), Arc::clone(&controller));
    nodes.on_change(move |change| {
        let node = change.object();
        let key = Key::of(&**node);
        match change {
            Change::Deleted(_) => watched.ranges.lock().release(&key.name),
            _ => match &node.spec.as_ref().and_then(|spec| spec.pod_cidrs.clone()) {
                Some(parts) => watched.ranges.lock().occupy(&key.name, parts),
                None => added.add(key),
            },
        }
    });
    context.work(
        ("node ipam", 1),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = Arc::clone(&controller);
            async move { controller.sync(&key).await }
        },
    );
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let Some(node) = self.nodes.get(key) else {
            return Ok(Next::Done);
        };
        if node
            .spec
            .as_ref()
            .is_some_and(|spec| spec.pod_cidrs.is_some())
        {
            return Ok(Next::Done);
        }
        let Some(parts) = self.ranges.lock().allocate(&key.name) else {
            let message = format!("Node {key} status is now: CIDRNotAvailable");
            self.teller
                .tell(&*node, &Event::normal("CIDRNotAvailable", message));
            anyhow::bail!("no range of addresses is left for node {key}");
        };
        let patch = json!({"spec": {"podCIDR": parts.first(), "podCIDRs": parts}});
        let patch = Patch::Merge(patches::when_unchanged(&node.metadata, patch));
        match self.client.patch::<Node>(key, &patch).await {
            // A node that changed meanwhile is queued again when that is seen.
            Err(error) if !error.is_conflict() && !error.is_not_found() => Err(error.into()),
            _ => Ok(Next::Done),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Flags {
        #[command(flatten)]
        nodes: Nodes,
    }

    #[test]
    fn the_addresses_of_services_go_to_no_node() {
        let flags = [
            "flags",
            "--cluster-cidr=10.0.0.0/16,fd00::/48",
            "--service-cluster-ip-range=10.0.0.0/20,fd00::/108,x",
        ];
        let mut ranges = ranges(&Flags::parse_from(flags).nodes).unwrap();
        let given = ranges.allocate("a").unwrap();
        assert_eq!(given, ["10.0.16.0/24", "fd00:0:0:1::/64"]);
    }
}

//! `NodeName`: a pod that names its node goes nowhere else.

use crate::{
    cluster::{Site, Snapshot},
    framework::{EventKinds, Filter, Plugin, PreFilter, Verdict},
    pod::PodView,
};

const REASON: &str = "node(s) didn't match the requested node name";

/// Rejects nodes of other names.
#[derive(Debug, Default)]
pub struct NodeName;

#[derive(Clone, Copy)]
struct Named<'a>(&'a str);

impl Filter for Named<'_> {
    fn filter(&self, site: &Site<'_>) -> Verdict {
        if *site.node().name == *self.0 {
            return Verdict::Fits;
        }
        Verdict::Unresolvable(REASON.into())
    }

    fn fork(&self) -> Box<dyn Filter + '_> {
        Box::new(*self)
    }
}

impl Plugin for NodeName {
    fn name(&self) -> &'static str {
        "NodeName"
    }

    fn events(&self) -> EventKinds {
        EventKinds::NODE_ADDED
    }

    fn pre_filter<'a>(&'a self, pod: &'a PodView, _: &'a Snapshot) -> PreFilter<'a> {
        match &pod.node_name {
            Some(name) => PreFilter::judge(Named(name)),
            None => PreFilter::Skip,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::World;

    #[test]
    fn a_pod_that_names_a_node_fits_that_one() {
        let world = World::of(&[json!({"name": "bar"}), json!({"name": "foo"})]);
        let named = world.pod(&json!({"spec": {"nodeName": "foo"}}));
        let rejected = "!node(s) didn't match the requested node name";
        assert_eq!(world.judge(&NodeName, &named), [rejected, ""]);
        assert_eq!(world.judge(&NodeName, &world.pod(&json!({}))), ["", ""]);
    }
}

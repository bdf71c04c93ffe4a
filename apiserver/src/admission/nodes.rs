//! A new node takes no pods until it is known to be ready.

use objects::{Value, meta};
use serde_json::json;

use super::pods::push;
use super::{Operation, Review};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) fn taint(review: &Review<'_>, node: &mut Value) {
    if review.operation == Operation::Create && review.is_of("", "nodes") {
        add_taint(node);
    }
}

fn add_taint(node: &mut Value) {
    let has = meta::list(node, &["spec", "taints"])
        .iter()
        .any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule");
    if !has {
        let taint = json!({"key": NOT_READY, "effect": "NoSchedule"});
        push(&mut node["spec"], "taints", taint);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_node_is_tainted_once() {
        let mut node = json!({});
        add_taint(&mut node);
        add_taint(&mut node);
        let expected = json!([{"key": NOT_READY, "effect": "NoSchedule"}]);
        assert_eq!(node["spec"]["taints"], expected);
    }
}

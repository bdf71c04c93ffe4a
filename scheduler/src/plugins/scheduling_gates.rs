//! `SchedulingGates`: a pod with gates is not tried.

use crate::{
    framework::{EventKinds, Plugin, Reasons},
    pod::PodView,
};

/// Keeps pods with gates out of the queue.
#[derive(Debug, Default)]
pub struct SchedulingGates;

impl Plugin for SchedulingGates {
    fn name(&self) -> &'static str {
        "SchedulingGates"
    }

    fn events(&self) -> EventKinds {
        EventKinds::POD_GATES
    }

    fn pre_enqueue(&self, pod: &PodView) -> Result<(), Reasons> {
        if pod.gates.is_empty() {
            return Ok(());
        }
        let gates: Vec<&str> = pod.gates.iter().map(|gate| &**gate).collect();
        Err(format!("waiting for scheduling gates: [{}]", gates.join(" ")).into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugins::testing::World;

    #[test]
    fn a_pod_waits_while_it_has_gates() {
        let world = World::of(&[]);
        let pod = |gates| world.pod(&json!({"spec": {"schedulingGates": gates}}));
        assert_eq!(SchedulingGates.pre_enqueue(&pod(json!([]))), Ok(()));
        let gated = pod(json!([{"name": "foo"}, {"name": "bar"}]));
        let words = "waiting for scheduling gates: [foo bar]".to_owned();
        assert_eq!(SchedulingGates.pre_enqueue(&gated), Err(words.into()));
    }
}

//! `NodeResourcesBalancedAllocation`: rather where the pod makes the use of resources more even.

use super::resources_fit::ResourceWeight;
use crate::{
    cluster::{NodeIndex, Site, Snapshot},
    framework::{Plugin, SCORE_MAX, Score},
    pod::PodView,
    resources::ResourceId,
};

/// Ranks nodes by how much more even the shares of used resources become.
#[derive(Debug)]
pub struct NodeResourcesBalancedAllocation {
    /// The resources that are compared; their weights do not matter.
    pub resources: Vec<ResourceWeight>,
}

impl Default for NodeResourcesBalancedAllocation {
    fn default() -> NodeResourcesBalancedAllocation {
        NodeResourcesBalancedAllocation {
            resources: ResourceWeight::cpu_and_memory(),
        }
    }
}

/// What the pod asks of each resource.
struct Balance(Vec<(ResourceId, i64)>);

impl Balance {
    /// How even the shares are, up to 100: one less the standard deviation.
    fn evenness(&self, site: &Site<'_>, with_pod: bool) -> i64 {
        let share = |(id, asked): &(ResourceId, i64)| {
            let capacity = site.allocatable(*id);
            let used = site
                .used(*id)
                .saturating_add(if with_pod { *asked } else { 0 });
            (capacity > 0).then(|| (used as f64 / capacity as f64).min(1.0))
        };
        let shares = || self.0.iter().filter_map(share);
        let (mut count, mut sum, mut ends) = (0, 0.0, (0.0, 0.0));
        for share in shares() {
            ends = (if count == 0 { share } else { ends.0 }, share);
            count += 1;
            sum += share;
        }
        let deviation = match count {
            0 | 1 => 0.0,
            2 => ((ends.0 - ends.1) / 2.0).abs(),
            _ => {
                let mean = sum / f64::from(count);
                let squares: f64 = shares().map(|share| (share - mean) * (share - mean)).sum();
                (squares / f64::from(count)).sqrt()
            }
        };
        ((1.0 - deviation) * SCORE_MAX as f64) as i64
    }
}

impl Score for Balance {
    fn score(&self, site: &Site<'_>) -> i64 {
        let gained = self.evenness(site, true) - self.evenness(site, false);
        // Between 50 and 100: 75 where nothing changes.
        SCORE_MAX / 2 + (SCORE_MAX / 2 + gained) / 2
    }

    fn is_local(&self) -> bool {
        true
    }
}

impl Plugin for NodeResourcesBalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        _: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        let names = snapshot.resource_names();
        let asked = |resource: &ResourceWeight| {
            let id = names.id(&resource.name);
            (id, pod.requests.get(id))
        };
        let counts =
            |(id, asked): &(ResourceId, i64)| *asked != 0 || *id <= ResourceId::EPHEMERAL_STORAGE;
        let asked: Vec<_> = self.resources.iter().map(asked).filter(counts).collect();
        // Pods that ask for nothing would all go to the same node.
        if asked.iter().all(|(_, asked)| *asked == 0) {
            return None;
        }
        Some(Box::new(Balance(asked)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::World;

    fn node(name: &str, cpu: &str, memory: &str, gpu: &str) -> Value {
        json!({"name": name, "status": {"allocatable":
            {"cpu": cpu, "memory": memory, "example.com/gpu": gpu, "pods": "110"}}})
    }

    fn asking(name: &str, requests: Value) -> Value {
        json!({"name": name, "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}})
    }

    #[test]
    fn a_pod_that_evens_out_scores_more_than_one_that_tilts() {
        let mut world = World::of(&[node("a", "4", "10000", "0"), node("b", "6", "10000", "0")]);
        world.place(&asking("tilted", json!({"cpu": "2"})), "b");
        let incoming = asking("incoming", json!({"cpu": "3", "memory": "5000"}));
        let pod = world.pod(&incoming);
        // a: |0.75 - 0.5| / 2 leaves 87 of 100 before: 50 + (50 - 13) / 2.
        // b: |5/6 - 0.5| / 2 leaves 83, |2/6 - 0| / 2 left 83: 75.
        let scores = world
            .score(&NodeResourcesBalancedAllocation::default(), &pod)
            .unwrap();
        assert_eq!(scores, [68, 75]);
    }

    #[test]
    fn three_resources_are_compared_by_their_standard_deviation() {
        let world = World::of(&[node("a", "10", "1000", "10")]);
        let mut plugin = NodeResourcesBalancedAllocation::default();
        plugin.resources.push(ResourceWeight {
            name: "example.com/gpu".to_owned(),
            weight: 1,
        });
        let requests = json!({"cpu": "2", "memory": "400", "example.com/gpu": "6"});
        let pod = world.pod(&asking("incoming", requests));
        // 0.2, 0.4 and 0.6 deviate by sqrt(0.08 / 3) = 0.163: 83 - 100 = -17; 50 + 33 / 2.
        assert_eq!(world.score(&plugin, &pod).unwrap(), [66]);
    }

    #[test]
    fn pods_that_ask_for_nothing_are_not_ranked() {
        let world = World::of(&[node("a", "4", "10000", "0")]);
        let plugin = NodeResourcesBalancedAllocation::default();
        assert!(
            world
                .score(&plugin, &world.pod(&asking("incoming", json!({}))))
                .is_none()
        );
    }
}

//! `ImageLocality`: rather where the pod's images are already, unless few nodes have them.

use std::sync::Arc;

use crate::{
    cluster::{NodeIndex, Site, Snapshot},
    framework::{Plugin, SCORE_MAX, Score},
    pod::PodView,
};

/// Images that are smaller do not matter.
const BYTES_MIN: i64 = 23 * 1024 * 1024;

/// An image of a container counts as no more than this.
const BYTES_MAX: i64 = 1000 * 1024 * 1024;

/// Ranks nodes by the bytes of images that they need not pull.
#[derive(Debug, Default)]
pub struct ImageLocality;

struct Images {
    /// Images by name, each with the share of nodes that have it: one that few have attracts little, so that its pods do not crowd.
    wanted: Vec<(Arc<str>, f64)>,
    bytes_max: i64,
}

impl Score for Images {
    fn score(&self, site: &Site<'_>) -> i64 {
        let images = &site.node().images;
        let bytes = |(name, share): &(Arc<str>, f64)| {
            let bytes = images.get(name).copied().unwrap_or(0);
            (bytes as f64 * share) as i64
        };
        let sum: i64 = self.wanted.iter().map(bytes).sum();
        let counted = sum.min(self.bytes_max).max(BYTES_MIN);
        SCORE_MAX * (counted - BYTES_MIN) / (self.bytes_max - BYTES_MIN)
    }
}

/// The name under which a node has an image: with `latest` where there is no tag.
fn full_name(image: &str) -> Arc<str> {
    let name = image.rsplit('/').next().unwrap_or_default();
    if name.contains(':') {
        return image.into();
    }
    format!("{image}:latest").into()
}

impl Plugin for ImageLocality {
    fn name(&self) -> &'static str {
        "ImageLocality"
    }

    fn pre_score<'a>(
        &'a self,
        pod: &'a PodView,
        snapshot: &'a Snapshot,
        _: &[NodeIndex],
    ) -> Option<Box<dyn Score + 'a>> {
        let nodes = snapshot.nodes().len() as f64;
        let share = |name: Arc<str>| {
            let having = snapshot.image_nodes(&name);
            (having > 0).then(|| (name, f64::from(having) / nodes))
        };
        let names = pod.images.iter().map(|image| full_name(image));
        let wanted: Vec<(Arc<str>, f64)> = names.filter_map(share).collect();
        let bytes_max = BYTES_MAX * pod.containers as i64;
        if wanted.is_empty() || bytes_max == 0 {
            return None;
        }
        Some(Box::new(Images { wanted, bytes_max }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugins::testing::World;

    const MIB: i64 = 1024 * 1024;

    fn node(name: &str, images: &[(&str, i64)]) -> Value {
        let image = |(name, mebibytes): &(&str, i64)| json!({"names": [name, format!("{name}-alias")], "sizeBytes": mebibytes * MIB});
        let images: Vec<Value> = images.iter().map(image).collect();
        json!({"name": name, "status": {"images": images}})
    }

    fn pod(world: &World, images: &[&str]) -> PodView {
        let container = |image: &&str| json!({"name": "c", "image": image});
        let containers: Vec<Value> = images.iter().map(container).collect();
        world.pod(&json!({"spec": {"containers": containers}}))
    }

    #[test]
    fn images_count_by_size_and_by_how_many_nodes_have_them() {
        let world = World::of(&[
            node(
                "a",
                &[
                    ("gcr.io/40:latest", 40),
                    ("gcr.io/300:latest", 300),
                    ("gcr.io/2000:latest", 2000),
                ],
            ),
            node("b", &[("gcr.io/250:latest", 250), ("gcr.io/10:v1", 10)]),
        ]);
        let cases: [(&[&str], [i64; 2]); 5] = [
            // a: (40 / 2) is below 23. b: (250 / 2 - 23) * 100 / (2000 - 23).
            (&["gcr.io/40", "gcr.io/250"], [0, 5]),
            // a: (20 + 150 - 23) * 100 / 1977.
            (&["gcr.io/40", "gcr.io/300"], [7, 0]),
            // a: 2000 / 2 is cut at the most of one container.
            (&["gcr.io/2000"], [100, 0]),
            (&["gcr.io/10:v1"], [0, 0]),
            // b has the other image, a: (1000 - 23) * 100 / 1977.
            (&["gcr.io/2000", "gcr.io/250"], [49, 5]),
        ];
        for (images, expected) in cases {
            let scores = world.score(&ImageLocality, &pod(&world, images)).unwrap();
            assert_eq!(scores, expected, "{images:?}");
        }
        assert!(
            world
                .score(&ImageLocality, &pod(&world, &["gcr.io/unknown"]))
                .is_none()
        );
    }

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        let cases = [
            ("root", "root:latest"),
            ("gcr.io:5000/root", "gcr.io:5000/root:latest"),
            ("gcr.io:5000/root:v1", "gcr.io:5000/root:v1"),
            ("root@sha256:abc", "root@sha256:abc"),
        ];
        for (image, name) in cases {
            assert_eq!(&*full_name(image), name);
        }
    }
}

//! What a user wishes, drawn from the seed before the run: with and without faults it comes to the same end.

use crate::random::Random;

/// Bounds of the pause before each wish, in milliseconds.
const PAUSE_MS_MIN: u64 = 1_500;
const PAUSE_MS_MAX: u64 = 4_000;
/// Most wishes about one workload.
const WISHES_MAX: usize = 2_000;
/// Most pods of one workload.
const REPLICAS_MAX: u64 = 5;
/// Versions of an image: few, so that old ReplicaSets are used again.
const IMAGES: u64 = 4;

/// Deployments with their replicas in the beginning, `maxSurge`, `maxUnavailable`, and the seconds in which pods get ready and stop.
pub(super) const DEPLOYMENTS: [(&str, Deployment); 3] = [
    ("web", Deployment::of([4, 1, 1, 1, 1])),
    ("api", Deployment::of([3, 1, 0, 1, 0])),
    ("cache", Deployment::of([4, 0, 2, 0, 2])),
];
/// StatefulSets and how they manage their pods.
pub(super) const STATEFUL_SETS: [(&str, &str); 2] = [("db", "OrderedReady"), ("peers", "Parallel")];
/// Pods of a StatefulSet in the beginning.
pub(super) const STATEFUL_REPLICAS: u64 = 3;
/// What jobs' names begin with.
const JOBS: &str = "job";

/// How a Deployment begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deployment {
    pub(super) replicas: u64,
    pub(super) surge: u64,
    pub(super) unavailable: u64,
    pub(super) ready_seconds: u64,
    pub(super) stop_seconds: u64,
}

impl Deployment {
    const fn of(words: [u64; 5]) -> Deployment {
        let [replicas, surge, unavailable, ready_seconds, stop_seconds] = words;
        Deployment {
            replicas,
            surge,
            unavailable,
            ready_seconds,
            stop_seconds,
        }
    }
}

/// One wish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Another image, by its number.
    Image(u64),
    /// Another number of pods.
    Scale(u64),
    /// No rollout until further notice, or on with it.
    Pause(bool),
    /// One of the pods is deleted; the number decides which.
    DeletePod(u64),
    /// A new Job.
    Job {
        name: String,
        completions: u64,
        parallelism: u64,
        run_seconds: u64,
    },
}

/// Wishes about one workload, or about jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Script {
    /// `deployments`, `statefulsets` or `jobs`.
    pub(super) resource: &'static str,
    /// The workload's name.
    pub(super) name: &'static str,
    /// Each with the pause before it, in milliseconds.
    pub(super) wishes: Vec<(u64, Wish)>,
}

/// Draws what is wished within a time.
pub(super) fn draw(seed: u64, duration_ms: u64) -> Vec<Script> {
    let deployments = DEPLOYMENTS.iter().map(|(name, _)| ("deployments", *name));
    let sets = STATEFUL_SETS
        .iter()
        .map(|(name, _)| ("statefulsets", *name));
    let all = deployments.chain(sets).chain([("jobs", JOBS)]);
    (0..)
        .zip(all)
        .map(|(number, (resource, name))| {
            let random = Random::for_purpose(seed, "control plane", number);
            let mut drawing = Drawing {
                random,
                images: (0, 0),
                is_paused: false,
                jobs: 0,
            };
            let wishes = drawing.wishes(resource, duration_ms);
            Script {
                resource,
                name,
                wishes,
            }
        })
        .collect()
}

struct Drawing {
    random: Random,
    /// The image and the one before it.
    images: (u64, u64),
    is_paused: bool,
    jobs: u64,
}

impl Drawing {
    fn wishes(&mut self, resource: &str, duration_ms: u64) -> Vec<(u64, Wish)> {
        let mut wishes = Vec::new();
        let mut at_ms = 0;
        while wishes.len() < WISHES_MAX {
            let pause_ms = self.random.between(PAUSE_MS_MIN, PAUSE_MS_MAX);
            at_ms += pause_ms;
            if at_ms > duration_ms && !wishes.is_empty() {
                break;
            }
            let wish = match resource {
                "deployments" => self.of_deployment(),
                "statefulsets" => self.of_stateful_set(),
                _ => self.job(),
            };
            wishes.push((pause_ms, wish));
        }
        if self.is_paused {
            wishes.push((0, Wish::Pause(false)));
        }
        wishes
    }

    fn of_deployment(&mut self) -> Wish {
        match self.random.below(100) {
            0..40 => self.other_image(),
            40..50 => {
                // An undo: back to the image before.
                self.images = (self.images.1, self.images.0);
                Wish::Image(self.images.0)
            }
            50..70 => Wish::Scale(self.random.between(1, REPLICAS_MAX)),
            70..85 => {
                self.is_paused = !self.is_paused;
                Wish::Pause(self.is_paused)
            }
            _ => Wish::DeletePod(self.random.draw()),
        }
    }

    fn of_stateful_set(&mut self) -> Wish {
        match self.random.below(100) {
            0..40 => self.other_image(),
            40..70 => Wish::Scale(self.random.between(1, REPLICAS_MAX)),
            _ => Wish::DeletePod(self.random.draw()),
        }
    }

    fn other_image(&mut self) -> Wish {
        let next = (self.images.0 + 1 + self.random.below(IMAGES - 1)) % IMAGES;
        self.images = (next, self.images.0);
        Wish::Image(next)
    }

    fn job(&mut self) -> Wish {
        self.jobs += 1;
        Wish::Job {
            name: format!("{JOBS}-{}", self.jobs),
            completions: self.random.between(2, 5),
            parallelism: self.random.between(1, 3),
            run_seconds: self.random.between(1, 2),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_draws_one_script_and_nothing_is_paused_in_the_end() {
        for seed in 0..50 {
            let scripts = draw(seed, 60_000);
            assert_eq!(scripts, draw(seed, 60_000));
            for script in &scripts {
                let mut pauses = script.wishes.iter().filter_map(|(_, wish)| match wish {
                    Wish::Pause(paused) => Some(*paused),
                    _ => None,
                });
                assert_ne!(pauses.next_back(), Some(true), "{script:?}");
                let span: u64 = script.wishes.iter().map(|(pause, _)| pause).sum();
                assert!(span <= 60_000, "{span}");
            }
        }
        assert_ne!(draw(1, 60_000), draw(2, 60_000));
    }

    #[test]
    fn an_image_of_a_stateful_set_is_another_one_each_time() {
        let scripts = draw(3, 600_000).into_iter();
        for script in scripts.filter(|script| script.resource == "statefulsets") {
            let images = script.wishes.iter().filter_map(|(_, wish)| match wish {
                Wish::Image(image) => Some(*image),
                _ => None,
            });
            let images: Vec<u64> = images.collect();
            assert!(images.windows(2).all(|pair| pair[0] != pair[1]));
            assert!(images.iter().max() < Some(&IMAGES), "{images:?}");
        }
    }
}

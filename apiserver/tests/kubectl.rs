//! Stories of kubectl against this server, told as a kube-apiserver would have answered them.
#![allow(
    clippy::unwrap_used,
    reason = "a test says what broke by breaking there"
)]

#[path = "kubectl/cluster.rs"]
mod cluster;
#[path = "kubectl/normal.rs"]
mod normal;
#[path = "kubectl/story.rs"]
mod story;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cluster::Cluster;
use story::{Shell, Story};

/// Names a kubeconfig; the stories are then run there and what they say is kept as golden.
const CAPTURE: &str = "KUBECTL_STORIES_CAPTURE";
/// Stories that are told at a time.
const STORIES_AT_ONCE: usize = 4;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl")
}

/// Every story of a folder by its name, with what each of its steps said.
fn told(kubeconfig: &Path, stories: &str) -> BTreeMap<String, Vec<story::Said>> {
    let shell = Shell::new(kubeconfig);
    let waiting = Mutex::new(Story::all(&folder().join(stories)));
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..STORIES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(story) = waiting.lock().unwrap().pop() else {
                        return;
                    };
                    let said = shell.tell(&story);
                    done.lock().unwrap().insert(story.name, said);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

/// Steps that are known to differ, as `story step` with the way they do.
fn known(stories: &str) -> BTreeMap<String, String> {
    fs::read_to_string(folder().join(stories).join("differs.txt"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(step, how)| (step.to_owned(), how.to_owned()))
        .collect()
}

/// Tells the stories of a folder and compares each step with its golden.
fn compare(stories: &str) {
    let place = folder().join(stories);
    if let Ok(kubeconfig) = std::env::var(CAPTURE) {
        for (name, said) in told(Path::new(&kubeconfig), stories) {
            fs::write(place.join(format!("{name}.golden")), story::golden(&said)).unwrap();
        }
        return;
    }
    let cluster = Cluster::start();
    let mut known = known(stories);
    let mut wrong = Vec::new();
    let mut steps = 0;
    for (name, said) in told(&cluster.kubeconfig, stories) {
        let golden = fs::read_to_string(place.join(format!("{name}.golden"))).unwrap();
        let expected = story::read_golden(&golden);
        assert_eq!(
            expected.len(),
            said.len(),
            "the golden of {name} has other steps"
        );
        for (number, (expected, said)) in expected.iter().zip(&said).enumerate() {
            steps += 1;
            let step = format!("{name} {}", number + 1);
            let listed = known.remove(&step);
            match (expected.difference(said), listed) {
                (Some(how), None) => wrong.push(format!("{step}: {how}")),
                (None, Some(_)) => wrong.push(format!("{step} is listed and no longer differs")),
                _ => {}
            }
        }
    }
    wrong.extend(
        known
            .keys()
            .map(|step| format!("{step} is listed and there is no such step")),
    );
    drop(cluster);
    assert!(
        wrong.is_empty(),
        "of {steps} steps {} are not as expected:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
#[ignore = "its answers are those of one release of kubectl, which `cargo xtask test` builds"]
fn kubectl_is_answered_as_a_kube_apiserver_answers() {
    compare("stories");
}

/// Definitions and installations that others publish, below the folder that `MANIFESTS` names.
#[test]
#[ignore = "the published manifests are fetched by `cargo xtask test`"]
fn published_manifests_are_taken_as_a_kube_apiserver_takes_them() {
    compare("manifests");
}

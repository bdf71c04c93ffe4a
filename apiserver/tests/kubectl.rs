//! Stories of kubectl against this server, told as a kube-apiserver would have answered them.
mod cluster;
mod kills;
mod normal;
mod process;
mod relay;
mod store;
mod story;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use cluster::Cluster;
use kills::Killed;
use story::{Shell, Story};

/// Names a kubeconfig; the stories are then run there and what they say is kept as golden.
const CAPTURE: &str = "KUBECTL_STORIES_CAPTURE";
/// Stories that are told at a time.
const STORIES_AT_ONCE: usize = 4;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kubectl")
}

/// Every story of a folder by its name, with what came of telling it.
fn told<T: Send>(stories: &str, tell: impl Fn(&Story) -> T + Sync) -> BTreeMap<String, T> {
    let waiting = Mutex::new(Story::all(&folder().join(stories)));
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..STORIES_AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(story) = waiting.lock().unwrap().pop() else {
                        return;
                    };
                    let said = tell(&story);
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

/// Keeps what the stories of a folder say as golden, if that is asked for.
fn is_captured(stories: &str) -> bool {
    let Ok(kubeconfig) = std::env::var(CAPTURE) else {
        return false;
    };
    let shell = Shell::new(Path::new(&kubeconfig));
    for (name, said) in told(stories, |story| shell.tell(story)) {
        let place = folder().join(stories).join(format!("{name}.golden"));
        fs::write(place, story::golden(&said)).unwrap();
    }
    true
}

/// What each step of a story has to say.
fn expected(stories: &str, name: &str) -> Vec<story::Said> {
    let place = folder().join(stories).join(format!("{name}.golden"));
    story::read_golden(&fs::read_to_string(place).unwrap())
}

/// Tells the stories of a folder and compares each step with its golden.
fn compare(stories: &str) {
    if is_captured(stories) {
        return;
    }
    let cluster = Cluster::start();
    let mut known = known(stories);
    let mut wrong = Vec::new();
    let mut steps = 0;
    let shell = Shell::new(&cluster.kubeconfig);
    for (name, said) in told(stories, |story| shell.tell(story)) {
        let expected = expected(stories, &name);
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

/// Stories each step of which may be told again, and which end with a look at everything that they made.
#[test]
#[ignore = "it kills servers of the program that `cargo xtask test` builds"]
fn what_kubectl_was_told_is_there_whichever_server_is_killed() {
    if is_captured("kept") {
        return;
    }
    let mut cluster = Killed::start();
    let shell = Shell::new(&cluster.kubeconfig);
    let tell = || told("kept", |story| shell.persist(story, kills::is_lost));
    let (told, kills) = cluster.meanwhile(tell);
    let mut wrong = Vec::new();
    let mut lost_steps = 0;
    for (name, said) in told {
        let expected = expected("kept", &name);
        assert_eq!(expected.len(), said.len(), "the golden of {name}");
        for (number, (expected, (said, lost))) in expected.iter().zip(&said).enumerate() {
            lost_steps += usize::from(*lost);
            // A write that was lost may have been done, and is then answered in another way.
            if *lost && !said.only_reads() {
                continue;
            }
            if let Some(how) = expected.difference(said) {
                wrong.push(format!("{name} {}: {how}", number + 1));
            }
        }
    }
    println!("{kills} kills, {lost_steps} steps were told again");
    assert!(kills > 0, "nothing was killed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

//! Sizes by what pods use.

use serde_json::json;

use super::*;
use crate::hpa::tests::{at, hpa, pod, rules, samples, scale};

/// A pod as a letter: ready, unready for long, pending, failed, going, young and unready, young and ready since just now.
fn pods(letters: &str) -> Vec<Pod> {
    let conditions = |status: &str, since: i64| {
        let ready = json!([{"type": "Ready", "status": status, "lastTransitionTime": at(since).to_string()}]);
        serde_json::from_value(ready).unwrap()
    };
    let each = letters.chars().enumerate().map(|(index, letter)| {
        let mut pod = pod(&format!("p{index}"));
        let status = pod.status.as_mut().unwrap();
        let young = Some(crate::patches::time(at(9_900)));
        match letter {
            'r' => {}
            'n' => status.conditions = conditions("False", 10),
            'l' => status.conditions = conditions("False", 5_000),
            'p' => status.phase = Some("Pending".into()),
            'f' => status.phase = Some("Failed".into()),
            'g' => pod.metadata.deletion_timestamp = young,
            'y' => {
                status.start_time = young;
                status.conditions = conditions("False", 9_900);
            }
            'j' => {
                status.start_time = young;
                status.conditions = conditions("True", 9_990);
            }
            other => panic!("{other}"),
        }
        pod
    });
    each.collect()
}

fn asked<T>(letters: &str, replicas: i32, ask: impl FnOnce(Question<'_>) -> T) -> T {
    let pods = pods(letters);
    let seen: Vec<&Pod> = pods.iter().collect();
    let (hpa, scale, rules) = (hpa(&json!({})), scale(replicas), rules());
    ask(Question {
        state: State {
            hpa: &hpa,
            scale: &scale,
            pods: &seen,
            rivals: &[],
            measured: &[],
            rules: &rules,
            now: at(10_000),
        },
        resource: "cpu",
        container: None,
        tolerance: Tolerance { down: 0.1, up: 0.1 },
    })
}

/// A name, the pods, what they used, the percentage that is wanted, and the size.
type Case = (&'static str, &'static str, &'static [i64], i32, i32);

#[rustfmt::skip]
const BY_UTILIZATION: [Case; 15] = [
    ("as it should be", "rrr", &[500, 500, 500], 50, 3),
    ("within the tolerance", "rrr", &[540, 540, 540], 50, 3),
    ("too much", "rrr", &[700, 800, 900], 50, 5),
    ("too little", "rrrr", &[100, 200, 100, 200], 50, 2),
    ("what is not ready counts as nothing when growing", "rrn", &[900, 900, 900], 50, 4),
    ("unready ones can hold growth back", "rnn", &[700, 900, 900], 50, 3),
    ("a pod that was ready once counts with what it uses", "rrl", &[900, 900, 900], 50, 6),
    ("what is not ready is not looked at when shrinking", "rrp", &[100, 100, 900], 50, 1),
    ("young pods count when they are ready and measured since", "rry", &[900, 900, 900], 50, 4),
    ("a window from before a pod was ready does not count", "rrj", &[900, 900, 900], 50, 4),
    ("failed and going pods do not count", "rrfg", &[900, 900, 0, 0], 50, 4),
    ("missing pods use nothing when growing", "rrr", &[900, 900], 50, 4),
    ("missing pods use all they ask for when shrinking", "rrrr", &[100, 100, 100], 50, 3),
    ("missing pods can hold shrinking back", "rrr", &[300, 300], 50, 3),
    ("missing pods count with a target beyond all", "rrrr", &[100, 100, 100], 150, 2),
];

#[test]
fn utilization_gives_a_size() {
    for (name, letters, used, target, expected) in BY_UTILIZATION {
        let replicas = i32::try_from(letters.len()).unwrap();
        let answer = asked(letters, replicas, |question| {
            by_utilization(question, &samples(used), target)
        });
        assert_eq!(answer.map(|answer| answer.replicas), Ok(expected), "{name}");
    }
}

#[test]
fn averages_give_a_size() {
    for (name, letters, used, target, expected) in [
        ("as it should be", "rr", vec![500, 500], 500, 2),
        ("too much", "rr", vec![1000, 1000], 500, 4),
        (
            "missing pods use as they should when shrinking",
            "rrrr",
            vec![100, 100, 100],
            500,
            2,
        ),
    ] {
        let replicas = i32::try_from(letters.len()).unwrap();
        let answer = asked(letters, replicas, |question| {
            by_average(question, &samples(&used), target)
        });
        assert_eq!(answer.map(|answer| answer.replicas), Ok(expected), "{name}");
    }
}

#[test]
fn what_cannot_be_told_is_said() {
    let ask = |letters, used: &[i64]| {
        asked(letters, 2, |question| {
            by_utilization(question, &samples(used), 50)
        })
        .unwrap_err()
    };
    assert_eq!(
        ask("", &[]),
        "no pods returned by selector while calculating replica count"
    );
    let unready = "did not receive metrics for targeted pods (pods might be unready)";
    assert_eq!(ask("pp", &[100, 100]), unready);
    let of = |resource, container| {
        asked("r", 1, |question| {
            let question = Question {
                resource,
                container,
                ..question
            };
            by_utilization(question, &samples(&[100]), 50)
        })
        .unwrap_err()
    };
    assert_eq!(
        of("disk", None),
        "missing request for disk in container c of Pod p0"
    );
    assert_eq!(of("cpu", Some("x")), "container x not found in Pod p0");
}

//! The reports of a made-up run: everything is on the page, and nothing on it needs a network.

use super::*;
use crate::cluster::Role;
use crate::nemesis::Injected;
use crate::observe::Look;
use crate::scene::{Scene, Shown};
use crate::summary::{Count, Judged};
use crate::timeline::{Bucket, Timeline, Window};

fn shown(involved: bool) -> Shown {
    Shown {
        client: 4,
        member: 2,
        call_ns: 2_000_000_000,
        return_ns: (!involved).then_some(2_000_900_000),
        words: "read r/<09>".to_owned(),
        involved,
    }
}

fn summary(buckets: usize) -> Summary {
    let bucket = Bucket {
        ok: 80,
        writes: 40,
        p50_us: 900,
        p99_us: 12_000,
        ..Bucket::default()
    };
    let end_ms = buckets as u64 * 100;
    Summary {
        scenario: "kill-leader".to_owned(),
        target: "ours".to_owned(),
        server: "ours 9.9.9".to_owned(),
        seed: 77,
        duration_ms: 12_000,
        verdict: Verdict::Violated,
        violations: vec!["client <3> read & lost \"x\"".to_owned()],
        doubts: Vec::new(),
        operations: [1_234_567, 8, 9],
        acknowledged_writes: 500_000,
        judged: Judged {
            counts: vec![Count {
                words: "no write takes effect twice".to_owned(),
                count: 4_321,
            }],
            broken: 17,
            lost: Some(0),
            scenes: vec![Scene {
                promise: "what is called after something was answered comes after it".to_owned(),
                words: "revision 83 was there".to_owned(),
                operations: vec![shown(false), shown(true)],
            }],
            ..Judged::default()
        },
        injected: vec![Injected {
            number: 0,
            fault: "kill".to_owned(),
            aim: None,
            members: vec![1],
            role: Some(Role::Leader),
            terms: (3, 4),
            start_ms: 2_000,
            end_ms: 4_000,
            evidence: "ended by SIGKILL".to_owned(),
            fired: true,
        }],
        load_ms: (1_000, end_ms),
        end_ms,
        looks: (0..buckets as u64)
            .map(|at| Look {
                at_ms: at * 100,
                leader: Some(usize::from(at > 30)),
                term: 3 + u64::from(at > 30),
                answered: vec![true, !(20..=40).contains(&at), true],
            })
            .collect(),
        timeline: Timeline {
            buckets: vec![bucket; buckets],
            windows: vec![Window {
                start_ms: 2_000,
                end_ms: 3_250,
            }],
            gaps_ms: vec![1_250],
            available_permille: 950,
        },
        replay: "chaos run --target ours --scenario kill-leader --duration 12s --seed 77"
            .to_owned(),
    }
}

#[test]
fn the_page_says_verdict_seed_command_role_gap_and_checks() {
    let page = page::render(&[summary(120)]);
    for wanted in [
        "VIOLATED",
        "seed 77",
        "chaos run --target ours --scenario kill-leader --duration 12s --seed 77",
        "kill leader m1",
        "1\u{202f}250 ms",
        "no write takes effect twice",
        "4\u{202f}321",
        "client &lt;3&gt; read &amp; lost &quot;x&quot;",
        "ended by SIGKILL",
        "faults = 1, lost = 0",
        "broken promises = 18",
        "client 4 → member 2",
        "read r/&lt;09&gt;",
    ] {
        assert!(page.contains(wanted), "{wanted} is missing");
    }
}

#[test]
fn labels_of_neighbouring_faults_do_not_cover_one_another() {
    let mut crowded = summary(120);
    let one = crowded.injected[0].clone();
    crowded.injected = (0..40)
        .map(|number| Injected {
            start_ms: 1_000 + number * 150,
            end_ms: 1_100 + number * 150,
            ..one.clone()
        })
        .collect();
    let chart = chart::render(&crowded);
    let mut places: Vec<(f64, f64)> = Vec::new();
    for label in chart.split("<text x=\"").skip(1) {
        let Some((place, _)) = label.split_once("\">kill leader m1<") else {
            continue;
        };
        let (x, y) = place.split_once("\" y=\"").unwrap();
        places.push((y.parse().unwrap(), x.parse().unwrap()));
    }
    assert!(places.len() > 8, "{} labels", places.len());
    places.sort_by(|a, b| a.partial_cmp(b).unwrap());
    let room = "kill leader m1".len() as f64 * 6.0;
    for pair in places.windows(2) {
        assert!(
            pair[0].0 < pair[1].0 || pair[1].1 - pair[0].1 >= room,
            "{pair:?}"
        );
    }
}

#[test]
fn the_page_needs_no_network() {
    let page = page::render(&[summary(120)]);
    for foreign in ["http://", "https://", "<link", "src=", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign} is on the page");
    }
}

#[test]
fn the_page_of_a_long_run_stays_small() {
    let day = 24 * 3600 * 10;
    let mut long = summary(1);
    long.timeline.buckets = vec![long.timeline.buckets[0]; day];
    long.end_ms = day as u64 * 100;
    let page = page::render(&[long]);
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn every_element_that_is_opened_is_closed() {
    let page = page::render(&[summary(120), summary(120)]);
    for name in [
        "section", "table", "tr", "td", "svg", "g", "p", "div", "ul", "li", "span", "details",
    ] {
        let opened =
            page.matches(&format!("<{name} ")).count() + page.matches(&format!("<{name}>")).count();
        let closed = page.matches(&format!("</{name}>")).count();
        assert_eq!(opened, closed, "{name}");
    }
}

#[test]
fn a_violation_is_a_failure_for_ci_and_an_inconclusive_run_an_error() {
    let violated = summary(10);
    let mut unclear = summary(10);
    unclear.verdict = Verdict::Inconclusive;
    unclear.doubts = vec!["fault 0 did not fire".to_owned()];
    let xml = junit::render(&[violated, unclear]);
    assert!(
        xml.contains("tests=\"2\" failures=\"1\" errors=\"1\""),
        "{xml}"
    );
    assert!(
        xml.contains("<failure message=\"VIOLATED\">client &lt;3&gt;"),
        "{xml}"
    );
    assert!(
        xml.contains("<error message=\"INCONCLUSIVE\">fault 0 did not fire"),
        "{xml}"
    );
}

#[test]
fn the_gravest_verdict_counts() {
    let mut held = summary(1);
    held.verdict = Verdict::Held;
    assert_eq!(overall(&[held.clone()]), Verdict::Held);
    assert_eq!(overall(&[held, summary(1)]), Verdict::Violated);
    assert_eq!(overall(&[]), Verdict::Inconclusive);
}

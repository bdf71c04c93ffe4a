//! Scripts of requests that come and go, and what became of them.

use proptest::prelude::*;

use super::{Queues, Shape};

/// Runs a script of lines and returns what each of them said.
///
/// `A t flow seats` comes, `F ticket` ends, `L n` sets the limit, `T seconds` lets time pass.
fn told(queues: &mut Queues, script: &str) -> Vec<String> {
    let mut now = 0.0;
    let mut said = Vec::new();
    for line in script
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        let words: Vec<&str> = line.split(' ').collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let outcome = match words[0] {
            "A" => {
                let seats = usize::try_from(number(3)).unwrap();
                match queues.arrive(now, number(1), number(2), seats) {
                    Ok(()) => String::new(),
                    Err(refusal) => format!("{} ", refusal.name()),
                }
            }
            "F" => {
                assert!(queues.finish(now, number(1)));
                String::new()
            }
            "L" => {
                queues.set_limit(now, usize::try_from(number(1)).unwrap());
                String::new()
            }
            "T" => {
                now += words[1].parse::<f64>().unwrap();
                String::new()
            }
            other => panic!("{other}"),
        };
        let started: Vec<String> = queues.start(now).iter().map(u64::to_string).collect();
        said.push(
            format!("{line}: {outcome}{}", started.join(" "))
                .trim_end()
                .to_owned(),
        );
    }
    said
}

fn queued(limit: usize, length_max: usize) -> Queues {
    let shape = Shape::Queues {
        count: 8,
        hand: 1,
        length_max,
    };
    Queues::new(shape, limit)
}

#[test]
fn a_full_queue_refuses_and_a_free_seat_starts_the_oldest() {
    let said = told(
        &mut queued(1, 2),
        "A 1 0 1\nA 2 0 1\nA 3 0 1\nA 4 0 1\nF 1\nF 3\nF 2",
    );
    assert_eq!(
        said,
        [
            "A 1 0 1: 1",
            "A 2 0 1:",
            "A 3 0 1:",
            "A 4 0 1: queue-full",
            "F 1: 2",
            "F 3:",
            "F 2:"
        ]
    );
}

#[test]
fn one_greedy_client_does_not_starve_the_others() {
    let mut queues = queued(2, 1_000);
    let mut script = String::new();
    for ticket in 0..500 {
        script.push_str(&format!("A {ticket} 0 1\n"));
    }
    // Others come when all of that is already there, one of them with three requests.
    script.push_str("A 1001 1 1\nA 1002 2 1\nA 1003 2 1\nA 1004 2 1\n");
    told(&mut queues, &script);
    let (mut now, mut running, mut order) = (0.0, vec![0, 1], Vec::<u64>::new());
    for _ in 0..20 {
        now += 0.01;
        assert!(queues.finish(now, running.remove(0)));
        let started = queues.start(now);
        order.extend(&started);
        running.extend(started);
    }
    let place = |ticket: u64| order.iter().position(|one| *one == ticket).unwrap();
    assert!(place(1001) < 3, "{order:?}");
    assert!(place(1002) < 3, "{order:?}");
    assert!(place(1004) < 10, "{order:?}");
    // Nor does the greedy one starve.
    assert!(order.iter().filter(|ticket| **ticket < 500).count() > 5);
}

#[test]
fn wide_requests_cost_their_flow_what_they_take() {
    let mut queues = queued(4, 1_000);
    let mut script = String::from("A 1 3 4\n");
    for ticket in 0..50 {
        script.push_str(&format!("A {} 0 4\nA {} 1 1\n", 100 + ticket, 200 + ticket));
    }
    told(&mut queues, &script);
    let (mut now, mut running) = (0.0, vec![1]);
    let (mut wide, mut narrow) = (0, 0);
    for _ in 0..60 {
        now += 0.003;
        for ticket in std::mem::take(&mut running) {
            assert!(queues.finish(now, ticket));
        }
        running = queues.start(now);
        wide += running
            .iter()
            .filter(|ticket| (100..200).contains(*ticket))
            .count();
        narrow += running.iter().filter(|ticket| **ticket >= 200).count();
        if narrow == 50 {
            break;
        }
    }
    assert_eq!(narrow, 50);
    assert!(
        (8..=30).contains(&wide),
        "{wide} wide ones while 50 narrow ones ran"
    );
}

#[test]
fn a_request_wider_than_the_level_runs_alone() {
    let said = told(&mut queued(2, 9), "A 1 0 5\nA 2 1 1\nF 1\nA 3 0 5\nF 2");
    assert_eq!(
        said,
        ["A 1 0 5: 1", "A 2 1 1:", "F 1: 2", "A 3 0 5:", "F 2: 3"]
    );
}

#[test]
fn levels_without_queues_refuse_at_once_and_exempt_ones_never_do() {
    let script = "A 1 0 1\nA 2 0 1\nF 1\nA 3 0 1";
    let mut reject = Queues::new(Shape::Reject, 1);
    let refused = "A 2 0 1: concurrency-limit";
    assert_eq!(
        told(&mut reject, script),
        ["A 1 0 1:", refused, "F 1:", "A 3 0 1:"]
    );
    assert!(reject.is_running(3));
    let mut exempt = Queues::new(Shape::Exempt, 0);
    told(&mut exempt, script);
    assert!(exempt.is_running(2) && exempt.is_running(3));
}

#[test]
fn seats_that_are_added_start_those_who_wait() {
    let said = told(&mut queued(1, 9), "A 1 0 1\nA 2 1 1\nA 3 2 1\nL 3");
    assert_eq!(said[3], "L 3: 2 3");
}

#[test]
fn whoever_waits_is_kept_when_the_level_gets_another_shape() {
    let mut queues = queued(1, 9);
    told(&mut queues, "A 1 0 1\nA 2 1 1\nA 3 1 1");
    let shape = Shape::Queues {
        count: 2,
        hand: 1,
        length_max: 1,
    };
    assert!(queues.reshape(0.0, shape).is_empty());
    assert_eq!(told(&mut queues, "F 1\nF 2"), ["F 1: 2", "F 2: 3"]);
    told(&mut queues, "A 4 0 1");
    assert_eq!(queues.reshape(0.0, Shape::Reject), [4]);
    assert!(queues.is_running(3) && queues.is_running(4));
}

proptest! {
    #[test]
    fn no_seat_is_lost_and_none_given_twice(steps in prop::collection::vec((0u8..3, 0u64..6, 1usize..4), 1..200)) {
        let mut queues = queued(4, 5);
        let (mut now, mut ticket, mut here) = (0.0, 0, Vec::new());
        for (what, flow, seats) in steps {
            now += 0.001;
            if what < 2 {
                ticket += 1;
                if queues.arrive(now, ticket, flow, seats).is_ok() {
                    here.push(ticket);
                }
            } else if !here.is_empty() {
                let gone = here.remove(usize::try_from(flow).unwrap() % here.len());
                prop_assert!(queues.finish(now, gone));
            }
            queues.start(now);
            prop_assert!(queues.seats_running <= 4);
            // Whoever is first may be too wide for what is free; nobody waits beside four free seats.
            prop_assert!(queues.waiting.is_empty() || queues.seats_running > 1);
        }
        for ticket in here {
            prop_assert!(queues.finish(now, ticket));
            queues.start(now);
        }
        prop_assert!(queues.is_idle());
        prop_assert_eq!(queues.demand(), 0);
    }
}

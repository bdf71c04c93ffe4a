//! Requests at all levels together, without a server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use objects::Value;

use super::{Fairness, Seat};
use crate::attributes::Attributes;
use crate::fairness::bootstrap;
use crate::fairness::configuration::Configuration;
use crate::user::User;

/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(600);

fn of(user: &str, groups: &[&str]) -> Attributes {
    Attributes {
        user: Arc::new(User {
            name: user.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            ..User::default()
        }),
        verb: "get".to_owned(),
        version: "v1".to_owned(),
        resource: "pods".to_owned(),
        namespace: "a".to_owned(),
        name: "p".to_owned(),
        ..Attributes::default()
    }
}

fn waiting(fairness: &Fairness) -> BTreeMap<String, usize> {
    let mut waiting = BTreeMap::new();
    fairness.look(|levels| {
        for (name, level) in levels {
            let count: usize = level.counts.values().map(|counts| counts.waiting).sum();
            if count > 0 {
                waiting.insert(name.to_string(), count);
            }
        }
    });
    waiting
}

/// Takes seats for a user until one has to wait.
async fn fill(fairness: &Arc<Fairness>, attributes: &Attributes) -> Vec<Seat> {
    let mut seats = Vec::new();
    while let (Some(seat), _) = fairness.enter(attributes, 1, Duration::ZERO).await {
        seats.push(seat);
    }
    seats
}

#[tokio::test]
async fn whoever_waits_runs_when_a_seat_is_free_and_gives_up_in_time() {
    let fairness = Fairness::new(49, LONG);
    let greedy = of("greedy", &["system:authenticated"]);
    let mut seats = fill(&fairness, &greedy).await;
    assert!(!seats.is_empty());
    let other = of("other", &["system:authenticated"]);
    let entering = fairness.enter(&other, 1, LONG);
    tokio::pin!(entering);
    assert!(futures::poll!(entering.as_mut()).is_pending());
    assert_eq!(
        waiting(&fairness),
        BTreeMap::from([("global-default".to_owned(), 1)])
    );
    seats.pop();
    let (seat, marks) = entering.await;
    assert!(seat.is_some() && marks.is_some());
    assert!(waiting(&fairness).is_empty());
    // The masters never wait.
    let (seat, _) = fairness
        .enter(&of("root", &["system:masters"]), 1, Duration::ZERO)
        .await;
    assert!(seat.is_some());
}

#[tokio::test]
async fn whoever_goes_away_while_it_waits_leaves_nothing_behind() {
    let fairness = Fairness::new(49, LONG);
    let greedy = of("greedy", &["system:authenticated"]);
    let seats = fill(&fairness, &greedy).await;
    {
        let entering = fairness.enter(&greedy, 1, LONG);
        tokio::pin!(entering);
        assert!(futures::poll!(entering.as_mut()).is_pending());
        assert_eq!(waiting(&fairness).len(), 1);
    }
    assert!(waiting(&fairness).is_empty());
    drop(seats);
    fairness.look(|levels| assert!(levels.values().all(|level| level.queues.is_idle())));
}

#[tokio::test]
async fn whoever_waits_runs_when_its_level_has_no_queues_any_more() {
    let fairness = Fairness::new(49, LONG);
    let greedy = of("greedy", &["system:authenticated"]);
    let _seats = fill(&fairness, &greedy).await;
    let entering = fairness.enter(&greedy, 1, LONG);
    tokio::pin!(entering);
    assert!(futures::poll!(entering.as_mut()).is_pending());
    let mut levels: Vec<Value> = bootstrap::levels().map(|one| one.object).collect();
    for level in &mut levels {
        if level["spec"]["type"] == "Limited" {
            level["spec"]["limited"]["limitResponse"] = serde_json::json!({"type": "Reject"});
        }
    }
    let schemas: Vec<Value> = bootstrap::schemas().map(|one| one.object).collect();
    fairness.configure(Configuration::read(levels.iter(), schemas.iter()));
    assert!(waiting(&fairness).is_empty());
    assert!(matches!(
        futures::poll!(entering),
        std::task::Poll::Ready((Some(_), _))
    ));
}

#[tokio::test]
async fn a_level_whose_object_is_deleted_goes_with_its_last_request() {
    let fairness = Fairness::new(49, LONG);
    let account = of("system:serviceaccount:a:b", &["system:serviceaccounts"]);
    let (seat, _) = fairness.enter(&account, 1, Duration::ZERO).await;
    fairness.configure(Configuration::read(std::iter::empty(), std::iter::empty()));
    let names = |fairness: &Fairness| {
        let mut names = Vec::new();
        fairness.look(|levels| names.extend(levels.keys().map(ToString::to_string)));
        names
    };
    assert_eq!(names(&fairness), ["catch-all", "exempt", "workload-low"]);
    drop(seat);
    assert_eq!(names(&fairness), ["catch-all", "exempt"]);
}

#[tokio::test]
async fn seats_that_are_held_too_long_are_free_again() {
    let fairness = Fairness::new(49, Duration::ZERO);
    let seats = fill(&fairness, &of("slow", &["system:authenticated"])).await;
    fairness.tick();
    fairness.look(|levels| assert!(levels.values().all(|level| level.queues.is_idle())));
    drop(seats);
    fairness.look(|levels| assert!(levels.values().all(|level| level.queues.is_idle())));
}

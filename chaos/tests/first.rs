//! The example of docs/testing.md: tickets that are drawn once, while members are killed and paused.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, ensure};
use chaos::faults::{kill, pause};
use chaos::{Actor, Aim, Chaos, Stop, Target, Workload};

/// Clients draw tickets; nobody may draw one that somebody has.
#[derive(Default)]
struct Tickets {
    drawn: Mutex<BTreeSet<u64>>,
}

impl Workload for Tickets {
    async fn run(&self, client: &mut Actor, stop: &Stop) -> Result<()> {
        while !stop.is_reached() {
            let number = client.random.below(5_000);
            let owner = client.value();
            if let Ok(true) = client.create(&format!("ticket/{number}"), owner, 0).await {
                let mut drawn = self.drawn.lock().expect("no client panics");
                ensure!(drawn.insert(number), "ticket {number} was drawn twice");
            }
        }
        Ok(())
    }

    async fn check(&self, members: &mut [Actor]) -> Result<()> {
        let drawn = self.drawn.lock().expect("no client panics").clone();
        for number in drawn.into_iter().take(100) {
            let ticket = members[0].get(&format!("ticket/{number}")).await?;
            ensure!(ticket.is_some(), "ticket {number} is lost");
        }
        Ok(())
    }
}

#[chaos::test(
    target = "etcd",
    faults = "kill,pause",
    seed_env = "CHAOS_SEED",
    budget = "8s"
)]
async fn no_ticket_is_drawn_twice(chaos: Chaos) -> Result<()> {
    chaos
        .workload(Tickets::default())
        .run()
        .await?
        .assert_held();
    Ok(())
}

#[tokio::test]
async fn no_ticket_is_lost_when_leaders_fail() -> Result<()> {
    Chaos::on(Target::etcd())
        .workload(Tickets::default())
        .faults([kill(Aim::Leader), pause(Aim::Leader)])
        .every(Duration::from_secs(5))
        .budget(Duration::from_secs(10))
        .seed_from("CHAOS_SEED")
        .run()
        .await?
        .assert_held();
    Ok(())
}

#[test]
fn the_example_in_the_documentation_is_this_file() {
    let documented = include_str!("../../docs/testing.md");
    let own = include_str!("first.rs");
    let behind_first_line = own.split_once("\n\n").map_or(own, |(_, rest)| rest);
    let example = behind_first_line.split("\n\n#[test]").next().unwrap_or(own);
    for line in example.lines().filter(|line| !line.is_empty()) {
        let shown = format!("\n    {line}\n");
        assert!(
            documented.contains(&shown),
            "docs/testing.md does not show: {line}"
        );
    }
}

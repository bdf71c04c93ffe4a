//! A user's own workload: a lock on etcd that holds while members are killed and paused, and one that is caught.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Result, ensure};
use chaos::faults::{kill, pause};
use chaos::{Actor, Aim, Chaos, NoAnswer, Stop, Target, Workload};

const LOCK: &str = "lock";
/// Only who has the lock writes, so that a member that is paused may stop all of it.
const WRITES_A_SECOND_MIN: u64 = 2;
/// Between two looks at a lock that is taken.
const PATIENCE: Duration = Duration::from_millis(5);

/// How the lock is taken.
#[derive(Clone, Copy)]
enum Way {
    /// In one txn that compares.
    OneTxn,
    /// By a look, and a put if it was free: somebody else may have looked at the same time.
    LookThenPut,
}

/// Every client takes the lock, writes a little, and gives it back.
struct Lock {
    way: Way,
    /// Who is between taking the lock and giving it back, by this process's own account.
    holder: Mutex<Option<u32>>,
}

impl Lock {
    fn taken_by(way: Way) -> Lock {
        Lock {
            way,
            holder: Mutex::new(None),
        }
    }

    /// Tries once; the revision of the lock when it is ours. One that is ours from before is given back first: the answer
    /// to taking it was lost.
    async fn take(&self, client: &mut Actor) -> Result<Option<i64>, NoAnswer> {
        let me = format!("v{}.", client.number);
        if let Some(found) = client.get(LOCK).await? {
            if found.value.as_slice().starts_with(me.as_bytes()) {
                client.delete_if_unchanged(LOCK, found.mod_revision).await?;
            }
            return Ok(None);
        }
        let value = client.value();
        let taken = match self.way {
            Way::OneTxn => client.create(LOCK, value.clone(), 0).await?,
            Way::LookThenPut => client.put(LOCK, value.clone()).await.is_ok(),
        };
        if !taken {
            return Ok(None);
        }
        let found = client.get(LOCK).await?;
        let ours =
            found.filter(|found| found.value == value || matches!(self.way, Way::LookThenPut));
        Ok(ours.map(|found| found.mod_revision))
    }

    /// What is done under the lock. An error of the cluster's is nobody's fault; two holders are.
    async fn hold(&self, client: &mut Actor, revision: i64) -> Result<()> {
        let before = self.holder.lock().unwrap().replace(client.number);
        let value = client.value();
        client.put("what the lock guards", value).await.ok();
        self.holder.lock().unwrap().take();
        client.delete_if_unchanged(LOCK, revision).await.ok();
        ensure!(before.is_none(), "the lock was held twice");
        Ok(())
    }
}

impl Workload for Lock {
    async fn run(&self, client: &mut Actor, stop: &Stop) -> Result<()> {
        while !stop.is_reached() {
            match self.take(client).await {
                Ok(Some(revision)) => self.hold(client, revision).await?,
                Ok(None) => drop(stop.within(PATIENCE).await),
                Err(NoAnswer::Failed(_) | NoAnswer::Unknown(_)) => {}
            }
        }
        Ok(())
    }

    async fn check(&self, members: &mut [Actor]) -> Result<()> {
        let mut seen = Vec::new();
        for member in members {
            seen.push(member.get("what the lock guards").await?);
        }
        ensure!(
            seen.iter().all(|one| *one == seen[0]),
            "members differ: {seen:?}"
        );
        ensure!(seen[0].is_some(), "nobody ever had the lock");
        Ok(())
    }
}

#[chaos::test(target = "etcd", faults = "kill,pause", budget = "12s")]
async fn a_lock_that_is_taken_in_one_txn_is_never_held_twice(chaos: Chaos) -> Result<()> {
    chaos
        .workload(Lock::taken_by(Way::OneTxn))
        .writes_a_second_min(WRITES_A_SECOND_MIN)
        .run()
        .await?
        .assert_held();
    Ok(())
}

#[tokio::test]
async fn a_lock_that_is_taken_by_a_look_and_a_put_is_caught() {
    let judgement = Chaos::on(Target::etcd())
        .workload(Lock::taken_by(Way::LookThenPut))
        .writes_a_second_min(WRITES_A_SECOND_MIN)
        .faults([kill(Aim::Leader), pause(Aim::Follower)])
        .every(Duration::from_secs(4))
        .budget(Duration::from_secs(6))
        .seed_from("CHAOS_SEED")
        .run()
        .await
        .unwrap();
    judgement.assert_violated("the lock was held twice");
    // Only the lock is wrong: of etcd's own promises none is broken.
    assert!(
        judgement.summary().judged.violations.is_empty(),
        "{judgement}"
    );
}

#[chaos::test(faults = "calm", budget = "2s")]
#[should_panic(expected = "has shown nothing")]
async fn a_test_that_never_runs_what_it_was_given_fails(chaos: Chaos) {
    drop(chaos);
}

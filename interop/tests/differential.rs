//! The same requests to real etcd and to our server: the same answers.

use anyhow::Result;
use interop::differential::{Pair, Plan, cancel_what_catches_up, run};
use interop::target::Target;

/// Requests when `MAINSTAY_DIFF_REQUESTS` does not say.
const REQUESTS: usize = 100_000;
const REQUESTS_TO_A_FOLLOWER: usize = 10_000;
const REQUESTS_TO_TWO_ETCDS: usize = 10_000;
const CANCELLED_WATCHES: i64 = 100;

/// The harness itself: what it reports between two equal servers would be its own fault.
#[tokio::test(flavor = "multi_thread")]
async fn etcd_answers_as_etcd_does() -> Result<()> {
    let plan = Plan::from_environment(REQUESTS_TO_TWO_ETCDS)?;
    run(&two_etcds()?, plan).await
}

/// The harness itself: it lets both sides finish before it compares.
#[tokio::test(flavor = "multi_thread")]
async fn watches_of_two_etcds_catch_up_before_they_are_cancelled() -> Result<()> {
    cancel_what_catches_up(&two_etcds()?, CANCELLED_WATCHES).await
}

fn two_etcds() -> Result<Pair> {
    let etcd = Target::etcd()?;
    Ok(Pair {
        left: etcd.clone(),
        right: etcd,
        right_members: 1,
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn mainstay_answers_as_etcd_does() -> Result<()> {
    let pair = Pair {
        left: Target::etcd()?,
        right: Target::mainstay()?,
        right_members: 1,
    };
    run(&pair, Plan::from_environment(REQUESTS)?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_of_mainstay_answers_as_etcd_does() -> Result<()> {
    let pair = Pair {
        left: Target::etcd()?,
        right: Target::mainstay()?,
        right_members: 3,
    };
    run(&pair, Plan::from_environment(REQUESTS_TO_A_FOLLOWER)?).await
}

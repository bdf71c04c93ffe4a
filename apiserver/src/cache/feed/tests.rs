//! A feed whose store has a member that is alive and stuck.

use super::*;
use crate::storage::silent_member::{Member, NEWEST, READ_AT, serve};
use crate::storage::{Encryption, Endpoints, Tls};

#[tokio::test]
async fn a_member_that_tells_nothing_is_left_once_somebody_waits_for_more() {
    let stuck = serve(Member { is_stuck: true }).await;
    let other = serve(Member { is_stuck: false }).await;
    let urls = [stuck, other].map(|address| format!("http://{address}"));
    let endpoints = Endpoints::new(&urls, &Tls::default()).unwrap();
    let storage = Storage::new(endpoints, Encryption::none("/registry"));
    let decode: Decode = Arc::new(|_, _| Err("there are no keys".to_owned()));
    let (feed, mut runner) = Feed::new(storage, "/registry", &["/pods/"], decode);
    runner.silence_max = Duration::from_millis(500);
    let running = tokio::spawn(runner.run());
    let limit = Duration::from_secs(20);
    let position = feed.position();
    tokio::time::timeout(limit, position.reach(READ_AT))
        .await
        .unwrap();
    // Nobody waits, so nothing is wrong with a watch that tells nothing.
    assert!(!position.is_behind());
    tokio::time::timeout(limit, position.reach(NEWEST))
        .await
        .unwrap();
    running.abort();
}

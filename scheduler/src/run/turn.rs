//! The loop that owns the engine: news in, decisions, effects out.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    carrier::Carrier,
    engine::Engine,
    figures::Figures,
    inbox::{Inbox, News},
};

/// Most news of one turn.
const NEWS_MAX: usize = 4096;
/// Longest that decisions are made before news are looked at and effects handed out.
const DECISIONS_TIME_MAX: Duration = Duration::from_millis(5);
/// Longest sleep.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Turns, for ever. They begin when everything is known that there was at the beginning.
pub(super) async fn turns(
    mut engine: Engine,
    inbox: Arc<Inbox>,
    carrier: Arc<Carrier>,
    figures: Arc<Figures>,
) {
    loop {
        let now = Timestamp::now();
        let news = inbox.take(NEWS_MAX);
        let had_news = news.len() == NEWS_MAX;
        for one in news {
            apply(&mut engine, one, now);
        }
        engine.tick(now);
        figures.happened(engine.take_notes(), now);
        let decided = !had_news && decide(&mut engine, (&carrier, &figures), now);
        figures.look(&engine);
        for effect in engine.take_effects() {
            carrier.carry(effect, &engine.snapshot().objects);
        }
        if had_news || decided {
            tokio::task::yield_now().await;
            continue;
        }
        let wait = engine.next_tick().map_or(IDLE_MAX, |next| {
            Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default()
        });
        // A timeout is a reason to look, like news.
        let _ = tokio::time::timeout(wait.min(IDLE_MAX), inbox.arrived()).await;
    }
}

/// Decides for some time. Whether there may be more to decide at once.
fn decide(engine: &mut Engine, (carrier, figures): (&Carrier, &Figures), now: Timestamp) -> bool {
    let begin = Instant::now();
    let mut last = begin;
    while carrier.has_room() {
        if !engine.schedule_next(now) {
            return false;
        }
        let done = Instant::now();
        figures.decided(done - last, engine.take_notes());
        if done - begin >= DECISIONS_TIME_MAX {
            return true;
        }
        last = done;
    }
    false
}

fn apply(engine: &mut Engine, news: News, now: Timestamp) {
    match news {
        News::Pod { pod: Some(pod), .. } => engine.set_pod(pod, now),
        News::Pod { uid, pod: None } => engine.remove_pod(&uid, now),
        News::Node {
            node: Some(node), ..
        } => engine.set_node(node, now),
        News::Node { name, node: None } => engine.remove_node(&name, now),
        News::Namespace { name, labels } => engine.set_namespace(&name, labels, now),
        News::Object {
            kind,
            namespace,
            name,
            change,
        } => {
            engine.change_object((kind, &namespace, &name), change, now);
        }
        News::PodGroup { name, members_min } => engine.set_pod_group(name, members_min),
        News::Bound { uid, outcome } => engine.bound(&uid, outcome, now),
        News::PreparationFailed { uid, message } => engine.preparation_failed(&uid, message, now),
        News::Preempted { uid, succeeded } => engine.preempted(&uid, succeeded, now),
    }
}

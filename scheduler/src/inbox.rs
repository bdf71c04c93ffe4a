//! What the loop has to be told, in order; of an object that changes again before the loop has looked only the newest state.
//!
//! So it holds no more than there are objects, and outcomes of calls in flight.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    cluster::{Name, Objects},
    framework::EventKinds,
    node::NodeView,
    pod::PodView,
    selector::Labels,
};

/// What an object is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// By UID.
    Pod(Arc<str>),
    /// By name.
    Node(Arc<str>),
    /// By name.
    Namespace(Arc<str>),
    /// By the kind's name, namespace and name.
    Object(&'static str, Arc<str>, Arc<str>),
}

/// Brings an object into the maps, or takes it out.
pub(crate) type Change = Box<dyn FnOnce(&mut Objects) + Send>;

/// Something that has happened.
pub(crate) enum News {
    Pod {
        uid: Arc<str>,
        pod: Option<Arc<PodView>>,
    },
    Node {
        name: Arc<str>,
        node: Option<Arc<NodeView>>,
    },
    Namespace {
        name: Arc<str>,
        labels: Option<Labels>,
    },
    Object {
        kind: EventKinds,
        namespace: Arc<str>,
        name: Arc<str>,
        change: Change,
    },
    PodGroup {
        name: Name,
        members_min: Option<usize>,
    },
    /// It is certain now whether the pod was bound.
    Bound {
        uid: Arc<str>,
        outcome: Result<(), String>,
    },
    PreparationFailed {
        uid: Arc<str>,
        message: String,
    },
    Preempted {
        uid: Arc<str>,
        succeeded: bool,
    },
}

#[derive(Default)]
struct State {
    order: VecDeque<Entry>,
    latest: HashMap<Subject, News>,
}

enum Entry {
    Of(Subject),
    Outcome(News),
}

/// The news.
#[derive(Default)]
pub(crate) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

impl Inbox {
    /// An object is in another state now.
    pub(crate) fn put(&self, subject: Subject, news: News) {
        let mut state = self.state.lock();
        if state.latest.insert(subject.clone(), news).is_none() {
            state.order.push_back(Entry::Of(subject));
        }
        drop(state);
        self.arrived.notify_one();
    }

    /// Calls have come to an end.
    pub(crate) fn tell(&self, outcomes: impl IntoIterator<Item = News>) {
        self.state
            .lock()
            .order
            .extend(outcomes.into_iter().map(Entry::Outcome));
        self.arrived.notify_one();
    }

    /// The oldest news, at most so many.
    pub(crate) fn take(&self, max: usize) -> Vec<News> {
        let mut state = self.state.lock();
        let count = state.order.len().min(max);
        let taken: Vec<Entry> = state.order.drain(..count).collect();
        taken
            .into_iter()
            .filter_map(|entry| match entry {
                Entry::Outcome(news) => Some(news),
                Entry::Of(subject) => state.latest.remove(&subject),
            })
            .collect()
    }

    /// Waits for news. Returns at once if some came since the last call.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }
}

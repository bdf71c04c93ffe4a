//! What every controller is started with.

use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use client::{Client, Informers, Item, Next, Recorder, WorkQueue};
use daemon::{OnFailure, Tasks};

use crate::material::Material;
use crate::monitors::Monitors;
use crate::options::Options;
use crate::queues::Queues;

/// The means of all controllers for one term.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) informers: Informers,
    pub(crate) recorder: Recorder,
    pub(crate) tasks: Tasks,
    pub(crate) options: Arc<Options>,
    pub(crate) material: Arc<Material>,
    /// The metadata of everything.
    pub(crate) monitors: Arc<Monitors>,
    pub(crate) queues: Queues,
}

impl Context {
    /// Spawns a task that runs until it is done or its term is over.
    pub(crate) fn spawn(&self, name: &str, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_until_stopped(name, OnFailure::Stop, task);
    }

    /// Makes a queue that is counted under upstream's name for it.
    pub(crate) fn queue<T: Item + Sync>(&self, name: &'static str) -> Arc<WorkQueue<T>> {
        self.queues.add(name, WorkQueue::new())
    }

    /// The same, whose items wait so long after their first failure, and `max` at most.
    pub(crate) fn queue_with<T: Item + Sync>(
        &self,
        name: &'static str,
        first: Duration,
        max: Duration,
    ) -> Arc<WorkQueue<T>> {
        self.queues.add(name, WorkQueue::with_waits(first, max))
    }

    /// Waits until all informers that were made up to now know what there is.
    pub(crate) fn synced(&self) -> impl Future<Output = ()> + Send + use<> {
        let informers = self.informers.clone();
        async move { informers.synced().await }
    }

    /// Spawns a queue's workers, which begin when `ready` is over: the informers that they look at are synced.
    pub(crate) fn work<T, F, S, E>(
        &self,
        (name, workers): (&str, usize),
        queue: Arc<WorkQueue<T>>,
        ready: impl Future<Output = ()> + Send + 'static,
        sync: F,
    ) where
        T: Item + Sync,
        F: Fn(T) -> S + Send + Sync + 'static,
        S: Future<Output = Result<Next, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        self.spawn(name, async move {
            ready.await;
            client::work(queue, workers.max(1), sync).await;
        });
    }
}

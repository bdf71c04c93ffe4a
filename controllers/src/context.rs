//! What every controller is started with.

use std::fmt::Display;
use std::sync::Arc;

use client::{Client, Informers, Item, Next, Recorder, WorkQueue};
use daemon::{OnFailure, Tasks};

use crate::material::Material;
use crate::monitors::Monitors;
use crate::options::Options;

/// What every controller is started with. Clones share all of it.
#[derive(Clone)]
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) informers: Informers,
    pub(crate) tasks: Tasks,
    pub(crate) recorder: Recorder,
    pub(crate) options: Arc<Options>,
    pub(crate) material: Arc<Material>,
    /// The metadata of everything.
    pub(crate) monitors: Arc<Monitors>,
}

impl Context {
    /// Starts the workers of a controller, which wait until its informers know what there is.
    pub(crate) fn work<T, F, S, E>(
        &self,
        name: &'static str,
        workers: usize,
        queue: Arc<WorkQueue<T>>,
        sync: F,
    ) where
        T: Item + Sync,
        F: Fn(T) -> S + Send + Sync + 'static,
        S: Future<Output = Result<Next, E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let informers = self.informers.clone();
        self.spawn(name, async move {
            informers.synced().await;
            client::work(queue, workers, sync).await;
        });
    }

    /// Starts a task that runs until the term is over.
    pub(crate) fn spawn(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.tasks.spawn(name, OnFailure::Stop, |stop| async move {
            stop.run_until_cancelled_owned(task).await;
            Ok::<(), anyhow::Error>(())
        });
    }
}

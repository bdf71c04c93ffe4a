//! One process of several that are alike: it waits until it leads, works while it does, and ends.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Client, Election, Term};
use daemon::{CancellationToken, Tasks};
use metrics::{Kind, Page};
use parking_lot::Mutex;

use crate::election::ElectionSettings;

/// Whether the process leads, for whoever asks. Clones tell the same.
#[derive(Clone, Default)]
pub struct Standing {
    now: Arc<Mutex<Now>>,
}

#[derive(Default)]
enum Now {
    #[default]
    Waits,
    /// Without an election there is no term.
    Leads(Option<Term>),
}

impl Standing {
    /// Whether work has begun.
    #[must_use]
    pub fn leads(&self) -> bool {
        matches!(*self.now.lock(), Now::Leads(_))
    }

    /// Whether the process works although its term may be over.
    pub(crate) fn is_overdue(&self) -> bool {
        match &*self.now.lock() {
            Now::Leads(Some(term)) => term.left().is_none(),
            Now::Leads(None) | Now::Waits => false,
        }
    }

    /// Writes upstream's metric of elections, for a process that takes part in one.
    pub(crate) fn write(&self, page: &mut Page, lease: &str) {
        let name = "leader_election_master_status";
        let help = "Gauge of if the reporting system is master of the relevant lease, 0 indicates backup, 1 indicates master. 'name' is the string used to identify the lease. Please make sure to group by name.";
        page.head(name, help, Kind::Gauge);
        page.sample(name, &[("name", lease)], u8::from(self.leads()));
    }
}

/// A process before it works.
pub struct Candidate {
    pub tasks: Tasks,
    /// Whether it is told to stop.
    pub stop: CancellationToken,
    pub standing: Standing,
    /// Time for all tasks to end.
    pub grace: Duration,
}

impl Candidate {
    /// Waits until the process leads, starts its work, and waits until it is told to stop or something fails. Then all tasks are stopped, and after them the
    /// lease is given back, so that the next one takes over at once.
    ///
    /// A process whose lease is lost fails, as upstream's does: whoever started it starts it again, and all that it knew is read anew.
    ///
    /// # Errors
    ///
    /// If the work cannot be started, one of its tasks fails, or the lease is lost.
    pub async fn run(
        self,
        client: Client,
        settings: &ElectionSettings,
        start: impl FnOnce(Client) -> Result<()>,
    ) -> Result<()> {
        let (tasks, standing, grace) = (&self.tasks, &self.standing, self.grace);
        let lead = |client: Client, term: Option<Term>| async move {
            *standing.now.lock() = Now::Leads(term);
            let started = start(client);
            if started.is_ok() {
                tasks.stop_asked().await;
            }
            let stopped = stop(tasks, grace).await;
            started.and(stopped)
        };
        let run = async {
            if !settings.leader_elect {
                return lead(client, None).await;
            }
            let election = Election::new(client, settings.config()?)?;
            let led = election.run(|term| lead(term.client(), Some(term.clone())));
            led.await?
        };
        tokio::pin!(run);
        loop {
            tokio::select! {
                ended = &mut run => {
                    // One that lost its lease was dropped where it stood.
                    let stopped = stop(tasks, grace).await;
                    return ended.and(stopped);
                }
                () = self.stop.cancelled(), if !tasks.stop_token().is_cancelled() => tasks.ask_stop(),
                // Whoever leads sees to it by itself.
                () = tasks.stop_asked(), if !standing.leads() => {
                    if !standing.leads() {
                        return stop(tasks, grace).await;
                    }
                }
            }
        }
    }
}

async fn stop(tasks: &Tasks, grace: Duration) -> Result<()> {
    match tasks.stop(grace).await.failure {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use client::{Config, Trust};
    use daemon::OnFailure;

    use super::*;

    /// What comes of a candidate that works as told, and whether it ever led. No apiserver is there.
    async fn run(tasks: &Tasks, elect: bool, start: impl FnOnce() -> Result<()>) -> (String, bool) {
        let standing = Standing::default();
        let candidate = Candidate {
            tasks: tasks.clone(),
            stop: CancellationToken::new(),
            standing: standing.clone(),
            grace: Duration::from_secs(5),
        };
        let nowhere = Config::new(vec!["https://127.0.0.1:1".to_owned()], Trust::Anybody);
        let client = Client::new(nowhere).unwrap();
        let settings = ElectionSettings {
            leader_elect: elect,
            ..ElectionSettings::standard("a-lease")
        };
        let ended = candidate.run(client, &settings, |_| start()).await;
        let ended = ended.map_or_else(|error| error.to_string(), |()| String::new());
        (ended, standing.leads())
    }

    #[tokio::test]
    async fn a_task_that_fails_ends_the_work_with_its_failure() {
        let tasks = Tasks::new();
        let (ended, led) = run(&tasks, false, || {
            tasks.spawn("one", OnFailure::Stop, |_| async { Err("on purpose") });
            Ok(())
        })
        .await;
        assert_eq!(ended, "task one failed: on purpose");
        assert!(led);
    }

    #[tokio::test]
    async fn work_that_cannot_be_started_fails_and_leaves_no_task() {
        let tasks = Tasks::new();
        let dropped = Arc::new(());
        let held = dropped.clone();
        tasks.spawn_until_stopped("port", OnFailure::Log, async move {
            let _held = held;
            std::future::pending().await
        });
        let start = || Err(anyhow::anyhow!("no seed"));
        assert_eq!(run(&tasks, false, start).await.0, "no seed");
        assert_eq!(Arc::strong_count(&dropped), 1);
    }

    #[tokio::test]
    async fn one_that_is_stopped_before_it_leads_ends_well_and_has_done_nothing() {
        let tasks = Tasks::new();
        tasks.ask_stop();
        let (ended, led) = run(&tasks, true, || panic!("it leads")).await;
        assert_eq!((&*ended, led), ("", false));
    }
}

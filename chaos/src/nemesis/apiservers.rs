//! Faults of apiservers: killed and frozen.

use anyhow::{Context, Result};

use super::{Effect, Nemesis};
use crate::cluster::{Ended, Roles, apiserver_name};
use crate::schedule::Step;

impl Nemesis {
    pub(super) async fn kill_apiserver(&mut self, step: &Step) -> Result<Effect> {
        let number = self.choose_apiserver(step)?;
        self.note("kill apiserver", None, None).await;
        let start_ms = self.recorder.clock().millis();
        self.cluster.kill_apiserver(number).await?;
        let words = format!("{} ended by SIGKILL", apiserver_name(number));
        let effect = self.effect_on_apiserver(start_ms, words).await;
        self.hold(step.hold_ms).await;
        self.cluster.start_apiserver(number)?;
        Ok(effect)
    }

    pub(super) async fn freeze_apiserver(&mut self, step: &Step) -> Result<Effect> {
        let number = self.choose_apiserver(step)?;
        self.note("stop apiserver", None, None).await;
        let start_ms = self.recorder.clock().millis();
        self.cluster.pause_apiserver(number).await?;
        let words = format!("the system shows {} stopped", apiserver_name(number));
        let effect = self.effect_on_apiserver(start_ms, words).await;
        self.hold(step.hold_ms).await;
        self.cluster.resume_apiserver(number)?;
        Ok(effect)
    }

    fn choose_apiserver(&self, step: &Step) -> Result<usize> {
        let pick = usize::try_from(step.pick).context("a pick fits")?;
        pick.checked_rem(self.cluster.apiservers())
            .context("there are no apiservers")
    }

    /// The members of the store go on as they were.
    async fn effect_on_apiserver(&self, start_ms: u64, evidence: String) -> Effect {
        let term = Roles::read(self.cluster.urls()).await.term;
        Effect {
            members: Vec::new(),
            role: None,
            terms: (term, term),
            start_ms,
            evidence,
        }
    }

    /// Starts every apiserver that does not run, and lets frozen ones go on.
    pub(super) fn heal_apiservers(&mut self) -> Result<()> {
        for number in 0..self.cluster.apiservers() {
            if self.cluster.apiserver_ended(number) == Some(Ended::NeverRan) {
                self.cluster.start_apiserver(number)?;
            } else {
                // For a pause that failed half-way; one that goes on anyway does not notice.
                self.cluster.resume_apiserver(number).ok();
            }
        }
        Ok(())
    }

    /// One that ended although nobody ended it has broken something of its own.
    pub(super) fn look_for_ended_apiservers(&mut self) {
        for number in 0..self.cluster.apiservers() {
            match self.cluster.apiserver_ended(number) {
                None | Some(Ended::NeverRan) => {}
                Some(ended) => {
                    let log = self.cluster.apiserver_log(number).unwrap_or_default();
                    let last = log.lines().last().unwrap_or_default();
                    self.violations.push(format!(
                        "{} {ended} although nobody ended it; its last words: {last}",
                        apiserver_name(number)
                    ));
                }
            }
        }
    }
}

//! Ctrl-C and SIGTERM: the first asks for the cut-over, the second ends at once.

use anyhow::Result;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How many signals came.
pub(super) struct Signals {
    count: watch::Receiver<u32>,
    _listener: tokio::task::JoinSet<()>,
}

impl Signals {
    pub(super) fn new() -> Result<Signals> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let (counter, count) = watch::channel(0);
        let mut listener = tokio::task::JoinSet::new();
        listener.spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                counter.send_modify(|count| *count += 1);
            }
        });
        Ok(Signals {
            count,
            _listener: listener,
        })
    }

    pub(super) fn has_come(&self) -> bool {
        *self.count.borrow() > 0
    }

    /// Waits for the second one.
    pub(super) async fn second(&self) {
        let mut count = self.count.clone();
        // The listener lives as long as this.
        let _ = count.wait_for(|count| *count > 1).await;
    }
}

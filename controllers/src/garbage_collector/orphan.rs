//! Leaves the dependents of an object behind that is being deleted.

use client::Next;
use futures::StreamExt;
use serde_json::json;

use super::facts::{Identity, ORPHAN};
use super::{Collector, Fault, Found};

/// Dependents that are written at a time.
const AT_A_TIME: usize = 16;

impl Collector {
    /// Takes an owner from all its dependents, and then lets it go.
    pub(super) async fn orphan(&self, uid: &str) -> Result<Next, Fault> {
        let (view, dependents) = {
            let graph = self.graph.lock();
            (graph.view(uid), graph.dependents(uid))
        };
        let Some(view) = view else {
            return Ok(Next::Done);
        };
        let free = dependents
            .into_iter()
            .map(|dependent| async move { self.free(&dependent, uid).await });
        let mut freed = futures::stream::iter(free).buffer_unordered(AT_A_TIME);
        let mut fault = None;
        while let Some(one) = freed.next().await {
            fault = fault.or(one.err());
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
        if let Found::Object(found) = self.find(&view.identity).await? {
            self.remove_finalizer(&found, ORPHAN).await?;
        }
        Ok(Next::Done)
    }

    async fn free(&self, dependent: &Identity, owner: &str) -> Result<(), Fault> {
        let Found::Object(found) = self.find(dependent).await? else {
            return Ok(());
        };
        let mut owners = found.owners.clone();
        owners.retain(|reference| reference.uid != owner);
        if owners.len() == found.owners.len() {
            return Ok(());
        }
        self.change(&found, "ownerReferences", json!(owners)).await
    }
}

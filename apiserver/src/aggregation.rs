//! Keeps the rules of cluster roles that are made of others: they follow the roles that their labels select.

use std::sync::Arc;
use std::time::Duration;

use objects::Value;
use objects::status::{Reason, Status};

use crate::authz::Rule;
use crate::authz::aggregation::aggregate;
use crate::objects_view::ObjectsView;
use crate::registry::{Registry, WriteOptions};

const GROUP: &str = "rbac.authorization.k8s.io";
const PLURAL: &str = "clusterroles";
/// Pause before a failed round is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Runs a round at every change of a cluster role, until it is dropped.
pub(crate) async fn run(registry: Arc<Registry>, view: Arc<dyn ObjectsView>) {
    let table = registry.resources.table();
    let cache = table
        .any_version(GROUP, PLURAL)
        .and_then(|served| registry.feed.cache(&served.resource.storage));
    let Some(cache) = cache else { return };
    let mut changes = cache.changes();
    loop {
        // Seen before the roles are read, so that a change that comes in between leads to another round.
        changes.mark_unchanged();
        match round(&registry, view.as_ref()).await {
            Ok(()) => {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            Err(status) => {
                tracing::debug!(error = %status, "cannot aggregate cluster roles; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

async fn round(registry: &Registry, view: &dyn ObjectsView) -> Result<(), Status> {
    let all = view.list(GROUP, PLURAL, None);
    for role in &all {
        let Some(rules) = aggregate(role, &all) else {
            continue;
        };
        if rules == Rule::list_of(role) {
            continue;
        }
        let rules: Value = rules.iter().map(Rule::to_value).collect::<Vec<_>>().into();
        let change = |role: &Value| {
            let mut role = role.clone();
            role["rules"] = rules.clone();
            Ok(role)
        };
        let request = registry.own_request((GROUP, PLURAL), role)?;
        match registry
            .patch(&request, &change, &WriteOptions::default())
            .await
        {
            Err(status) if status.reason != Reason::NotFound => return Err(status),
            _ => {}
        }
    }
    Ok(())
}

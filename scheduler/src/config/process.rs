//! What the configuration file says of the process: how it reaches the apiservers, and which lease it wants.

use component::ElectionSettings;
use serde::Deserialize;

use super::{ConfigurationError, invalid};

/// Who the scheduler is to the apiserver, and the name of its lease where nothing else is said.
pub(crate) const AGENT: &str = "kube-scheduler";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FileConnection {
    pub(super) kubeconfig: String,
    burst: Option<i64>,
}

impl FileConnection {
    pub(super) fn check(&self) -> Result<(), ConfigurationError> {
        match self.burst {
            Some(burst) if burst < 0 => {
                Err(invalid("clientConnection.burst", "must be non-negative"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct FileElection {
    leader_elect: Option<bool>,
    lease_duration: Option<String>,
    renew_deadline: Option<String>,
    retry_period: Option<String>,
    resource_lock: Option<String>,
    resource_name: Option<String>,
    resource_namespace: Option<String>,
}

impl FileElection {
    /// Upstream's defaults where the file says nothing.
    pub(super) fn settings(self) -> Result<ElectionSettings, ConfigurationError> {
        let mut settings = ElectionSettings::standard(AGENT);
        for (field, text, time) in [
            ("leaseDuration", &self.lease_duration, &mut settings.lease),
            ("renewDeadline", &self.renew_deadline, &mut settings.renew),
            ("retryPeriod", &self.retry_period, &mut settings.retry),
        ] {
            if let Some(text) = text {
                *time = component::duration(text)
                    .map_err(|why| invalid(format!("leaderElection.{field}"), why))?;
            }
        }
        if let Some(lock) = self.resource_lock.filter(|lock| lock != "leases") {
            let why = format!("{lock:?} is not known; there is \"leases\"");
            return Err(invalid("leaderElection.resourceLock", why));
        }
        Ok(ElectionSettings {
            leader_elect: self.leader_elect.unwrap_or(settings.leader_elect),
            name: self.resource_name.unwrap_or(settings.name),
            namespace: self.resource_namespace.unwrap_or(settings.namespace),
            ..settings
        })
    }
}

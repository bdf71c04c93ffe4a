//! The configuration file: a `KubeSchedulerConfiguration` in `kubescheduler.config.k8s.io/v1`, as far as this scheduler has what it sets.

mod process;
mod registry;

use std::{collections::HashMap, time::Duration};

use component::ElectionSettings;
use serde::Deserialize;
use serde_json::Value;

pub(crate) use process::AGENT;
pub use registry::default_profile;

use process::{FileConnection, FileElection};

use crate::{
    pod::DEFAULT_SCHEDULER,
    profile::{PLUGINS_MAX, Profile},
    queue::Backoff,
};

/// What the file says, ready for use.
pub struct Configuration {
    pub profiles: Vec<Profile>,
    pub backoff: Backoff,
    /// Where the apiservers are; empty for what a pod is given.
    pub kubeconfig: String,
    /// Which lease the process wants.
    pub election: ElectionSettings,
}

/// The file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    #[error("the configuration cannot be read: {0}")]
    Unreadable(#[from] serde_yaml_ng::Error),
    #[error("{field}: {why}")]
    Invalid { field: String, why: String },
}

fn invalid(field: impl Into<String>, why: impl Into<String>) -> ConfigurationError {
    ConfigurationError::Invalid {
        field: field.into(),
        why: why.into(),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    api_version: String,
    kind: String,
    percentage_of_nodes_to_score: Option<i64>,
    pod_initial_backoff_seconds: Option<i64>,
    pod_max_backoff_seconds: Option<i64>,
    profiles: Vec<FileProfile>,
    extenders: Vec<Value>,
    client_connection: FileConnection,
    leader_election: FileElection,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileProfile {
    scheduler_name: Option<String>,
    percentage_of_nodes_to_score: Option<i64>,
    plugins: Points,
    plugin_config: Vec<Arguments>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Points {
    pre_enqueue: Set,
    queue_sort: Set,
    pre_filter: Set,
    filter: Set,
    post_filter: Set,
    pre_score: Set,
    score: Set,
    reserve: Set,
    permit: Set,
    pre_bind: Set,
    bind: Set,
    post_bind: Set,
    multi_point: Set,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Set {
    enabled: Vec<Named>,
    disabled: Vec<Named>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    weight: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct Arguments {
    name: String,
    #[serde(default)]
    args: Value,
}

impl Set {
    fn disables(&self, name: &str) -> bool {
        self.disabled
            .iter()
            .any(|one| one.name == name || one.name == "*")
    }

    fn enables(&self, name: &str) -> Option<&Named> {
        self.enabled.iter().find(|one| one.name == name)
    }
}

impl Configuration {
    /// Without a file: one profile with the default plugins.
    #[must_use]
    pub fn standard() -> Configuration {
        Configuration {
            profiles: vec![default_profile(DEFAULT_SCHEDULER)],
            backoff: Backoff::default(),
            kubeconfig: String::new(),
            election: ElectionSettings::standard(AGENT),
        }
    }

    /// What a file says.
    ///
    /// # Errors
    /// If it is no such configuration, or asks for what there is not.
    pub fn parse(text: &str) -> Result<Configuration, ConfigurationError> {
        let file: File = serde_yaml_ng::from_str(text)?;
        if file.kind != "KubeSchedulerConfiguration"
            || file.api_version != "kubescheduler.config.k8s.io/v1"
        {
            let why = "must be a KubeSchedulerConfiguration of kubescheduler.config.k8s.io/v1";
            return Err(invalid("kind", why));
        }
        if !file.extenders.is_empty() {
            return Err(invalid("extenders", "there are none in this scheduler"));
        }
        let backoff = Backoff {
            initial: seconds(
                "podInitialBackoffSeconds",
                file.pod_initial_backoff_seconds,
                1,
            )?,
            max: seconds("podMaxBackoffSeconds", file.pod_max_backoff_seconds, 10)?,
        };
        if backoff.max < backoff.initial {
            let why = "must be greater than or equal to podInitialBackoffSeconds";
            return Err(invalid("podMaxBackoffSeconds", why));
        }
        let percent = percentage(
            "percentageOfNodesToScore",
            file.percentage_of_nodes_to_score,
        )?;
        let mut profiles = Vec::new();
        let defaults = vec![FileProfile::default()];
        let given = if file.profiles.is_empty() {
            &defaults
        } else {
            &file.profiles
        };
        for (at, profile) in given.iter().enumerate() {
            profiles.push(profile.build(&format!("profiles[{at}]"), percent)?);
        }
        let mut names = HashMap::new();
        for (at, profile) in profiles.iter().enumerate() {
            if names.insert(profile.scheduler_name.clone(), at).is_some() {
                let field = format!("profiles[{at}].schedulerName");
                return Err(invalid(field, "is that of another profile"));
            }
        }
        file.client_connection.check()?;
        Ok(Configuration {
            profiles,
            backoff,
            kubeconfig: file.client_connection.kubeconfig,
            election: file.leader_election.settings()?,
        })
    }
}

fn seconds(field: &str, value: Option<i64>, default: u64) -> Result<Duration, ConfigurationError> {
    let seconds = match value {
        None => default,
        Some(value) if value > 0 => value.unsigned_abs(),
        Some(_) => return Err(invalid(field, "must be greater than 0")),
    };
    Ok(Duration::from_secs(seconds))
}

fn percentage(field: &str, value: Option<i64>) -> Result<Option<usize>, ConfigurationError> {
    match value {
        None => Ok(None),
        Some(value @ 0..=100) => Ok(Some(value as usize)),
        Some(_) => Err(invalid(field, "not in valid range [0-100]")),
    }
}

impl FileProfile {
    fn build(&self, field: &str, percent: Option<usize>) -> Result<Profile, ConfigurationError> {
        let own = format!("{field}.percentageOfNodesToScore");
        let own = percentage(&own, self.percentage_of_nodes_to_score)?;
        let name = self.scheduler_name.as_deref().unwrap_or(DEFAULT_SCHEDULER);
        let mut profile = Profile {
            scheduler_name: name.into(),
            plugins: Vec::new(),
            nodes_scored_percent: own.or(percent),
            preemption: None,
        };
        let arguments = |name: &str| {
            self.plugin_config
                .iter()
                .find(|one| one.name == name)
                .map(|one| &one.args)
        };
        for (name, weight) in self.names() {
            if name == registry::PREEMPTION {
                let on = !self.plugins.post_filter.disables(name);
                let limits =
                    registry::preemption(arguments(name)).map_err(|why| invalid(field, why))?;
                profile.preemption = on.then_some(limits);
                continue;
            }
            if registry::BUILT_IN.contains(&name) {
                continue;
            }
            let plugin = registry::make(name, arguments(name))
                .map_err(|why| invalid(format!("{field}.pluginConfig[{name}]"), why))?;
            let mut enabled = crate::profile::Enabled::everywhere(plugin, weight);
            self.restrict(name, &mut enabled);
            profile.plugins.push(enabled);
        }
        if profile.plugins.len() > PLUGINS_MAX {
            return Err(invalid(
                field,
                format!("has more than {PLUGINS_MAX} plugins"),
            ));
        }
        Ok(profile)
    }

    /// The plugins with their weights: the default ones that are not disabled, and those that are enabled, which come after them unless
    /// they are default ones.
    fn names(&self) -> Vec<(&str, i64)> {
        let points = &self.plugins;
        let mut names: Vec<(&str, i64)> = Vec::new();
        for (name, weight) in registry::DEFAULTS {
            if let Some(again) = points.multi_point.enables(name) {
                names.push((
                    name,
                    again.weight.filter(|weight| *weight != 0).unwrap_or(weight),
                ));
            } else if !points.multi_point.disables(name) {
                names.push((name, weight));
            }
        }
        for set in points.sets() {
            for one in &set.enabled {
                if !names.iter().any(|(name, _)| *name == one.name) {
                    names.push((&one.name, one.weight.unwrap_or(1)));
                }
            }
        }
        names
    }

    fn restrict(&self, name: &str, enabled: &mut crate::profile::Enabled) {
        let points = &self.plugins;
        // A plugin that is enabled at single points alone takes part in those.
        let is_default = registry::DEFAULTS
            .iter()
            .any(|(default, _)| *default == name);
        let everywhere = points.multi_point.enables(name).is_some()
            || (is_default && !points.multi_point.disables(name));
        let at = |set: &Set| set.enables(name).is_some() || (everywhere && !set.disables(name));
        enabled.gates = at(&points.pre_enqueue);
        enabled.filters = at(&points.filter) && !points.pre_filter.disables(name);
        enabled.reserves = at(&points.reserve);
        enabled.weight = enabled.weight.filter(|_| at(&points.score));
        if let Some(weight) = points.score.enables(name).and_then(|one| one.weight) {
            enabled.weight = Some(if weight == 0 { 1 } else { weight });
        }
    }
}

impl Points {
    fn sets(&self) -> [&Set; 13] {
        [
            &self.multi_point,
            &self.pre_enqueue,
            &self.queue_sort,
            &self.pre_filter,
            &self.filter,
            &self.post_filter,
            &self.pre_score,
            &self.score,
            &self.reserve,
            &self.permit,
            &self.pre_bind,
            &self.bind,
            &self.post_bind,
        ]
    }
}

//! Which lease a process wants, by its flags and by what holds where no flag says anything.

use std::fs;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use client::ElectionConfig;
use serde_json::{Value, json};

use crate::duration;

/// Flags about the lease. One that is not given leaves what the configuration file, or else upstream's default, says.
#[derive(Debug, Clone, Default, Args)]
pub struct ElectionFlags {
    /// Whether to work only while holding the lease [default: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub leader_elect: Option<bool>,
    /// Time after which others take over a lease that is not renewed [default: 15s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub leader_elect_lease_duration: Option<Duration>,
    /// Time after which a holder that cannot renew its lease gives up [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub leader_elect_renew_deadline: Option<Duration>,
    /// Time between two tries [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub leader_elect_retry_period: Option<Duration>,
    /// What is held: a Lease [default: leases]
    #[arg(long, value_name = "KIND", value_parser = ["leases"])]
    pub leader_elect_resource_lock: Option<String>,
    /// Name of the lease [default: the program's]
    #[arg(long, value_name = "NAME")]
    pub leader_elect_resource_name: Option<String>,
    /// Namespace of the lease [default: kube-system]
    #[arg(long, value_name = "NAMESPACE")]
    pub leader_elect_resource_namespace: Option<String>,
}

/// What is to be held, if anything, and how long everything lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElectionSettings {
    /// Whether to work only while holding the lease.
    pub leader_elect: bool,
    pub lease: Duration,
    pub renew: Duration,
    pub retry: Duration,
    pub name: String,
    pub namespace: String,
}

impl ElectionSettings {
    /// Upstream's defaults, with a lease of this name.
    #[must_use]
    pub fn standard(name: &str) -> ElectionSettings {
        ElectionSettings {
            leader_elect: true,
            lease: Duration::from_secs(15),
            renew: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            name: name.to_owned(),
            namespace: "kube-system".to_owned(),
        }
    }

    /// The same where flags do not say otherwise.
    #[must_use]
    pub fn with(self, flags: &ElectionFlags) -> ElectionSettings {
        let name = flags.leader_elect_resource_name.clone();
        let namespace = flags.leader_elect_resource_namespace.clone();
        ElectionSettings {
            leader_elect: flags.leader_elect.unwrap_or(self.leader_elect),
            lease: flags.leader_elect_lease_duration.unwrap_or(self.lease),
            renew: flags.leader_elect_renew_deadline.unwrap_or(self.renew),
            retry: flags.leader_elect_retry_period.unwrap_or(self.retry),
            name: name.unwrap_or(self.name),
            namespace: namespace.unwrap_or(self.namespace),
        }
    }

    /// # Errors
    ///
    /// If the times make no sense together.
    pub fn check(&self) -> Result<()> {
        if !self.leader_elect {
            return Ok(());
        }
        if self.lease <= self.renew {
            bail!(
                "leader election: the lease duration must be greater than the renew deadline (--leader-elect-lease-duration, --leader-elect-renew-deadline)"
            );
        }
        // A try is put off by up to 1.2 times its pause.
        if self.renew * 10 <= self.retry * 12 {
            bail!(
                "leader election: the renew deadline must be greater than the retry period times 1.2 (--leader-elect-renew-deadline, --leader-elect-retry-period)"
            );
        }
        Ok(())
    }

    /// As it stands in configurations that are served.
    #[must_use]
    pub fn told(&self) -> Value {
        json!({
            "leaderElect": self.leader_elect,
            "leaseDuration": written(self.lease),
            "renewDeadline": written(self.renew),
            "retryPeriod": written(self.retry),
            "resourceLock": "leases",
            "resourceName": self.name,
            "resourceNamespace": self.namespace,
        })
    }

    /// The lease, and who this process is among those that want it.
    pub(crate) fn config(&self) -> Result<ElectionConfig> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(ElectionConfig {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            identity: format!("{}_{random}", host.trim()),
            lease: self.lease,
            renew: self.renew,
            retry: self.retry,
        })
    }
}

/// A time as Go writes it.
fn written(time: Duration) -> String {
    objects::codec::duration::format(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_wins_and_what_no_flag_says_stays() {
        let flags = ElectionFlags {
            leader_elect: Some(false),
            leader_elect_lease_duration: Some(Duration::from_secs(30)),
            leader_elect_resource_name: Some("mine".to_owned()),
            ..ElectionFlags::default()
        };
        let file = ElectionSettings {
            lease: Duration::from_secs(60),
            renew: Duration::from_secs(20),
            ..ElectionSettings::standard("kube-scheduler")
        };
        let settings = file.with(&flags);
        let wanted = ElectionSettings {
            leader_elect: false,
            lease: Duration::from_secs(30),
            renew: Duration::from_secs(20),
            ..ElectionSettings::standard("mine")
        };
        assert_eq!(settings, wanted);
        assert_eq!(wanted.told()["leaseDuration"], "30s");
    }

    #[test]
    fn times_that_make_no_sense_are_refused_where_there_is_an_election() {
        let standard = ElectionSettings::standard("n");
        standard.check().unwrap();
        for (lease, renew, retry, word) in [(10, 10, 2, "lease duration"), (15, 12, 10, "retry")] {
            let bad = ElectionSettings {
                lease: Duration::from_secs(lease),
                renew: Duration::from_secs(renew),
                retry: Duration::from_secs(retry),
                ..standard.clone()
            };
            assert!(bad.check().unwrap_err().to_string().contains(word));
            let none = ElectionSettings {
                leader_elect: false,
                ..bad
            };
            none.check().unwrap();
        }
    }
}

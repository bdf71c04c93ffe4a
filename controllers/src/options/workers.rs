//! How many keys of each controller are seen to at a time.

use clap::Args;

/// The flags with numbers of workers.
#[derive(Debug, Clone, Args)]
pub struct Workers {
    /// Deployments at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_deployment_syncs: usize,
    /// Replica sets at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_replicaset_syncs: usize,
    /// Replication controllers at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_rc_syncs: usize,
    /// Stateful sets at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_statefulset_syncs: usize,
    /// Daemon sets at a time
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub concurrent_daemonset_syncs: usize,
    /// Jobs at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_job_syncs: usize,
    /// Cron jobs at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_cron_job_syncs: usize,
    /// Finished jobs at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_ttl_after_finished_syncs: usize,
    /// Services at a time whose `Endpoints` are seen to
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_endpoint_syncs: usize,
    /// Services at a time whose `EndpointSlices` are seen to
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_service_endpoint_syncs: usize,
    /// `Endpoints` at a time that are mirrored
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub mirroring_concurrent_service_endpoint_syncs: usize,
    /// Autoscalers at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_horizontal_pod_autoscaler_syncs: usize,
    /// Pods at a time whose ephemeral volumes are seen to
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_ephemeralvolume_syncs: usize,
    /// Namespaces at a time
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub concurrent_namespace_syncs: usize,
    /// Objects at a time that the garbage collector sees to
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub concurrent_gc_syncs: usize,
    /// Quotas at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_resource_quota_syncs: usize,
    /// Secrets with tokens at a time
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub concurrent_serviceaccount_token_syncs: usize,
}

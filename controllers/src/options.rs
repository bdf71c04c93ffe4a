//! The options that controllers look at.

use std::time::Duration;

/// How many objects of a kind are seen to at the same time.
#[derive(Debug, Clone)]
pub(crate) struct Workers {
    pub(crate) concurrent_deployment_syncs: usize,
    pub(crate) concurrent_replicaset_syncs: usize,
    pub(crate) concurrent_rc_syncs: usize,
    pub(crate) concurrent_cron_job_syncs: usize,
    pub(crate) concurrent_daemonset_syncs: usize,
    pub(crate) concurrent_job_syncs: usize,
    pub(crate) concurrent_statefulset_syncs: usize,
    pub(crate) concurrent_ttl_after_finished_syncs: usize,
    pub(crate) concurrent_horizontal_pod_autoscaler_syncs: usize,
}

/// How workloads are scaled by what they use.
#[derive(Debug, Clone)]
pub(crate) struct Autoscaling {
    pub(crate) horizontal_pod_autoscaler_sync_period: Duration,
    pub(crate) horizontal_pod_autoscaler_downscale_stabilization: Duration,
    pub(crate) horizontal_pod_autoscaler_tolerance: f64,
    pub(crate) horizontal_pod_autoscaler_cpu_initialization_period: Duration,
    pub(crate) horizontal_pod_autoscaler_initial_readiness_delay: Duration,
}

#[derive(Debug, Clone)]
pub(crate) struct Options {
    pub(crate) workers: Workers,
    pub(crate) autoscaling: Autoscaling,
}

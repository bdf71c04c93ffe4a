//! Flags about nodes, their addresses, pods and volumes, and about autoscaling.

use std::time::Duration;

use clap::{ArgAction, Args};

use super::duration;

/// The flags about nodes.
#[derive(Debug, Clone, Args)]
pub struct Nodes {
    /// Whether nodes get ranges of addresses for their pods
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub allocate_node_cidrs: bool,
    /// Addresses of pods, at most one range of each family
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    pub cluster_cidr: Vec<String>,
    /// Addresses of services, which no node gets
    #[arg(long, value_delimiter = ',', value_name = "CIDR")]
    pub service_cluster_ip_range: Vec<String>,
    /// Bits of the prefix of a node's range
    #[arg(long, default_value_t = 24, value_name = "BITS")]
    pub node_cidr_mask_size: u8,
    /// Bits of the prefix of a node's range of IPv6
    #[arg(long, default_value_t = 64, value_name = "BITS")]
    pub node_cidr_mask_size_ipv6: u8,
    /// Time between two looks at all nodes
    #[arg(long, default_value = "5s", value_parser = duration)]
    pub node_monitor_period: Duration,
    /// Time that a node may say nothing
    #[arg(long, default_value = "50s", value_parser = duration)]
    pub node_monitor_grace_period: Duration,
    /// Time that a new node may say nothing
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub node_startup_grace_period: Duration,
    /// Nodes a second whose pods are deleted
    #[arg(long, default_value_t = 0.1)]
    pub node_eviction_rate: f32,
    /// The same in a zone of which much is unhealthy
    #[arg(long, default_value_t = 0.01)]
    pub secondary_node_eviction_rate: f32,
    /// Part of a zone that must be unhealthy for that
    #[arg(long, default_value_t = 0.55)]
    pub unhealthy_zone_threshold: f32,
    /// Nodes up to which a cluster is small, where nothing is deleted then
    #[arg(long, default_value_t = 50)]
    pub large_cluster_size_threshold: usize,
}

/// The flags about autoscaling.
#[derive(Debug, Clone, Args)]
pub struct Autoscaling {
    /// Time between two looks at an autoscaler
    #[arg(long, default_value = "15s", value_parser = duration)]
    pub horizontal_pod_autoscaler_sync_period: Duration,
    /// Time for which the most that was wanted counts
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub horizontal_pod_autoscaler_downscale_stabilization: Duration,
    /// Part of what is wanted that changes nothing
    #[arg(long, default_value_t = 0.1)]
    pub horizontal_pod_autoscaler_tolerance: f64,
    /// Time after its start in which a pod's use of CPU may not count
    #[arg(long, default_value = "5m", value_parser = duration)]
    pub horizontal_pod_autoscaler_cpu_initialization_period: Duration,
    /// Time after its start in which a pod that was never ready may become so
    #[arg(long, default_value = "30s", value_parser = duration)]
    pub horizontal_pod_autoscaler_initial_readiness_delay: Duration,
}

/// The flags about volumes that are attached to nodes.
#[derive(Debug, Clone, Args)]
pub struct Attaching {
    /// Time between two looks at all attached volumes
    #[arg(long, default_value = "1m", value_parser = duration)]
    pub attach_detach_reconcile_sync_period: Duration,
    /// Whether there are none but when something changes
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub disable_attach_detach_reconcile_sync: bool,
    /// Whether volumes stay at a node that is not ready, however long it says nothing
    #[arg(long, default_value = "false", num_args = 0..=1, default_missing_value = "true", require_equals = true, action = ArgAction::Set)]
    pub disable_force_detach_on_timeout: bool,
}

//! The plugins: what a pod needs of a node, and what it would rather have. One file each, under upstream's names.

pub mod image_locality;
pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_unschedulable;
pub mod node_volume_limits;
pub mod pod_topology_spread;
pub mod resources_balanced;
pub mod resources_fit;
pub mod scheduling_gates;
pub mod shape;
pub mod taint_toleration;
pub mod volume_binding;
pub mod volume_restrictions;
pub mod volume_zone;

mod domains;
mod storage;
mod volume_choice;

#[cfg(test)]
mod testing;

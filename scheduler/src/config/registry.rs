//! Every plugin there is, by name, made from its arguments in the configuration.

use k8s_openapi::api::core::v1::{NodeAffinity as AddedAffinity, TopologySpreadConstraint};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    framework::Plugin,
    plugins::{
        image_locality::ImageLocality,
        inter_pod_affinity::InterPodAffinity,
        node_affinity::NodeAffinity,
        node_name::NodeName,
        node_ports::NodePorts,
        node_unschedulable::NodeUnschedulable,
        node_volume_limits::NodeVolumeLimits,
        pod_topology_spread::{Defaults, PodTopologySpread},
        resources_balanced::NodeResourcesBalancedAllocation,
        resources_fit::{NodeResourcesFit, ResourceWeight, Strategy},
        scheduling_gates::SchedulingGates,
        shape::{Shape, ShapePoint},
        taint_toleration::TaintToleration,
        volume_binding::VolumeBinding,
        volume_restrictions::VolumeRestrictions,
        volume_zone::VolumeZone,
    },
    profile::{Enabled, PreemptionLimits, Profile},
};

/// The plugins of a profile that says nothing else, in their order, with their weights.
pub(super) const DEFAULTS: [(&str, i64); 18] = [
    ("SchedulingGates", 1),
    ("PrioritySort", 1),
    ("NodeUnschedulable", 1),
    ("NodeName", 1),
    ("TaintToleration", 3),
    ("NodeAffinity", 2),
    ("NodePorts", 1),
    ("NodeResourcesFit", 1),
    ("VolumeRestrictions", 1),
    ("NodeVolumeLimits", 1),
    ("VolumeBinding", 1),
    ("VolumeZone", 1),
    ("PodTopologySpread", 2),
    ("InterPodAffinity", 2),
    (PREEMPTION, 1),
    ("NodeResourcesBalancedAllocation", 1),
    ("ImageLocality", 1),
    ("DefaultBinder", 1),
];

/// The name of preemption.
pub(super) const PREEMPTION: &str = "DefaultPreemption";

/// Names of what the scheduler does itself.
pub(super) const BUILT_IN: [&str; 2] = ["PrioritySort", "DefaultBinder"];

/// The default plugins for pods of one scheduler name.
#[must_use]
pub fn default_profile(scheduler_name: &str) -> Profile {
    let plugins = DEFAULTS
        .iter()
        .filter(|(name, _)| !BUILT_IN.contains(name) && *name != PREEMPTION);
    Profile {
        scheduler_name: scheduler_name.into(),
        plugins: plugins
            .map(|(name, weight)| {
                let plugin = make(name, None).expect("a plugin can be made without arguments");
                Enabled::everywhere(plugin, *weight)
            })
            .collect(),
        nodes_scored_percent: None,
        preemption: Some(PreemptionLimits::default()),
    }
}

/// Makes a plugin.
pub(super) fn make(name: &str, arguments: Option<&Value>) -> Result<Box<dyn Plugin>, String> {
    Ok(match name {
        "SchedulingGates" => Box::new(SchedulingGates),
        "NodeUnschedulable" => Box::new(NodeUnschedulable),
        "NodeName" => Box::new(NodeName),
        "TaintToleration" => Box::new(TaintToleration),
        "NodeAffinity" => {
            let read: AffinityArguments = read(arguments)?;
            Box::new(NodeAffinity::new(read.added_affinity.as_ref()))
        }
        "NodePorts" => Box::new(NodePorts),
        "NodeResourcesFit" => Box::new(read::<FitArguments>(arguments)?.plugin()?),
        "VolumeRestrictions" => Box::new(VolumeRestrictions),
        "NodeVolumeLimits" => Box::new(NodeVolumeLimits),
        "VolumeBinding" => Box::new(VolumeBinding),
        "VolumeZone" => Box::new(VolumeZone),
        "PodTopologySpread" => Box::new(read::<SpreadArguments>(arguments)?.plugin()?),
        "InterPodAffinity" => Box::new(read::<InterPodArguments>(arguments)?.plugin()?),
        "NodeResourcesBalancedAllocation" => {
            let read: BalancedArguments = read(arguments)?;
            Box::new(NodeResourcesBalancedAllocation {
                resources: weights(&read.resources)?,
            })
        }
        "ImageLocality" => Box::new(ImageLocality),
        _ => return Err("there is no such plugin".to_owned()),
    })
}

/// Limits of preemption.
pub(super) fn preemption(arguments: Option<&Value>) -> Result<PreemptionLimits, String> {
    let read: PreemptionArguments = read(arguments)?;
    let percent = read.min_candidate_nodes_percentage.unwrap_or(10);
    let least = read.min_candidate_nodes_absolute.unwrap_or(100);
    if !(0..=100).contains(&percent) || least < 0 || (percent == 0 && least == 0) {
        return Err(
            "minCandidateNodesPercentage or minCandidateNodesAbsolute is out of range".to_owned(),
        );
    }
    Ok(PreemptionLimits {
        candidates_min_percent: percent as usize,
        candidates_min: least as usize,
    })
}

fn read<T: DeserializeOwned + Default>(arguments: Option<&Value>) -> Result<T, String> {
    match arguments {
        None | Some(Value::Null) => Ok(T::default()),
        Some(value) => T::deserialize(value).map_err(|error| error.to_string()),
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PreemptionArguments {
    min_candidate_nodes_percentage: Option<i64>,
    min_candidate_nodes_absolute: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AffinityArguments {
    added_affinity: Option<AddedAffinity>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BalancedArguments {
    resources: Vec<ResourceArgument>,
}

#[derive(Deserialize)]
struct ResourceArgument {
    name: String,
    #[serde(default)]
    weight: i64,
}

/// Resources with their weights; CPU and memory where none are given.
fn weights(resources: &[ResourceArgument]) -> Result<Vec<ResourceWeight>, String> {
    if resources.is_empty() {
        return Ok(ResourceWeight::cpu_and_memory());
    }
    let weight = |one: &ResourceArgument| match one.weight {
        0 => Ok(1),
        weight @ 1..=100 => Ok(weight),
        _ => Err(format!("weight of {} is not in the range 1-100", one.name)),
    };
    resources
        .iter()
        .map(|one| {
            Ok(ResourceWeight {
                name: one.name.clone(),
                weight: weight(one)?,
            })
        })
        .collect()
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FitArguments {
    ignored_resources: Vec<String>,
    ignored_resource_groups: Vec<String>,
    scoring_strategy: Option<StrategyArguments>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StrategyArguments {
    r#type: String,
    resources: Vec<ResourceArgument>,
    requested_to_capacity_ratio: Option<RatioArguments>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RatioArguments {
    shape: Vec<PointArguments>,
}

#[derive(Deserialize)]
struct PointArguments {
    utilization: i64,
    score: i64,
}

impl FitArguments {
    fn plugin(self) -> Result<NodeResourcesFit, String> {
        let strategy = self.scoring_strategy.unwrap_or_default();
        let ranked = weights(&strategy.resources)?;
        let strategy = match strategy.r#type.as_str() {
            "" | "LeastAllocated" => Strategy::LeastAllocated,
            "MostAllocated" => Strategy::MostAllocated,
            "RequestedToCapacityRatio" => {
                let shape = strategy
                    .requested_to_capacity_ratio
                    .unwrap_or_default()
                    .shape;
                let point = |one: PointArguments| ShapePoint {
                    utilization: one.utilization,
                    score: one.score,
                };
                Strategy::RequestedToCapacityRatio(Shape::new(
                    shape.into_iter().map(point).collect(),
                )?)
            }
            other => return Err(format!("scoringStrategy.type: {other} is not known")),
        };
        Ok(NodeResourcesFit {
            ignored: self.ignored_resources,
            ignored_groups: self.ignored_resource_groups,
            strategy,
            ranked,
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SpreadArguments {
    default_constraints: Vec<TopologySpreadConstraint>,
    defaulting_type: String,
}

impl SpreadArguments {
    fn plugin(self) -> Result<PodTopologySpread, String> {
        let defaults = match self.defaulting_type.as_str() {
            "" | "System" if self.default_constraints.is_empty() => Defaults::System,
            "List" => Defaults::List(self.default_constraints),
            "" | "System" => {
                return Err("defaultConstraints: only with defaultingType List".to_owned());
            }
            other => return Err(format!("defaultingType: {other} is not known")),
        };
        Ok(PodTopologySpread { defaults })
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InterPodArguments {
    hard_pod_affinity_weight: Option<i64>,
    ignore_preferred_terms_of_existing_pods: bool,
}

impl InterPodArguments {
    fn plugin(self) -> Result<InterPodAffinity, String> {
        let hard_weight = self.hard_pod_affinity_weight.unwrap_or(1);
        if !(0..=100).contains(&hard_weight) {
            return Err("hardPodAffinityWeight: not in valid range [0-100]".to_owned());
        }
        Ok(InterPodAffinity {
            hard_weight,
            ignores_preferences_of_others: self.ignore_preferred_terms_of_existing_pods,
        })
    }
}

//! What a pod's containers do, told by its annotations where a kubelet would find it out.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::{Container, Pod};
use objects::quantity::Quantity;

/// Seconds from the binding to the start of the containers.
const START_SECONDS: &str = "simulation.mainstay.dev/start-seconds";
/// Seconds from their start until they are ready; `never` for never.
const READY_SECONDS: &str = "simulation.mainstay.dev/ready-seconds";
/// Seconds that they run before they end by themselves.
const RUN_SECONDS: &str = "simulation.mainstay.dev/run-seconds";
/// What they end with then.
const EXIT_CODE: &str = "simulation.mainstay.dev/exit-code";
/// Seconds that they need to stop when the pod is deleted.
const STOP_SECONDS: &str = "simulation.mainstay.dev/stop-seconds";
/// CPU that each container uses, as a quantity.
const CPU_USAGE: &str = "simulation.mainstay.dev/cpu-usage";
/// Memory that each container uses, as a quantity.
const MEMORY_USAGE: &str = "simulation.mainstay.dev/memory-usage";
/// `true` on a node: it does nothing any more and is not heard of, as after a power cut.
pub(crate) const FAIL: &str = "simulation.mainstay.dev/fail";
/// On a node: which process takes care of it.
pub(crate) const BY: &str = "simulation.mainstay.dev/by";

/// How long containers run that are meant to end, if nothing else is said.
const RUN_DEFAULT: SignedDuration = SignedDuration::from_secs(1);
/// What a container uses if nothing else is said: a hundredth of a CPU, and 32 MiB.
const CPU_NANOS_DEFAULT: u64 = 10_000_000;
const MEMORY_BYTES_DEFAULT: u64 = 32 << 20;
const NANOS_PER_MILLI: u64 = 1_000_000;
/// Longest time that an annotation may ask for.
const SECONDS_MAX: i64 = 365 * 24 * 3600;
/// Hosts under this name exist nowhere (RFC 2606), and so cannot give images.
const NO_HOST: &str = ".invalid";

/// What a pod's containers do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Behaviour {
    pub(crate) start: SignedDuration,
    /// None for never.
    pub(crate) ready: Option<SignedDuration>,
    /// None for running until they are stopped.
    pub(crate) run: Option<SignedDuration>,
    pub(crate) exit_code: i32,
    pub(crate) stop: SignedDuration,
}

/// What a container uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) cpu_nanos: u64,
    pub(crate) memory_bytes: u64,
}

impl Behaviour {
    pub(crate) fn of(pod: &Pod) -> Behaviour {
        let annotations = pod.metadata.annotations.as_ref();
        let seconds = |name: &str| annotation(annotations, name).and_then(parse_seconds);
        let ends = restart_policy(pod) != "Always";
        let ready = match annotation(annotations, READY_SECONDS) {
            Some("never") => None,
            text => Some(
                text.and_then(parse_seconds)
                    .unwrap_or_else(|| probe_delay(pod)),
            ),
        };
        let exit_code = annotation(annotations, EXIT_CODE).and_then(|text| text.parse().ok());
        Behaviour {
            start: seconds(START_SECONDS).unwrap_or_default(),
            ready,
            run: seconds(RUN_SECONDS).or(ends.then_some(RUN_DEFAULT)),
            exit_code: exit_code.unwrap_or(0),
            stop: seconds(STOP_SECONDS).unwrap_or_default(),
        }
    }
}

impl Usage {
    pub(crate) fn of(pod: &Pod) -> Usage {
        let annotations = pod.metadata.annotations.as_ref();
        let milli = |name: &str| {
            let quantity = Quantity::parse(annotation(annotations, name)?).ok()?;
            u64::try_from(quantity.milli_value()).ok()
        };
        let cpu = milli(CPU_USAGE).map(|milli| milli.saturating_mul(NANOS_PER_MILLI));
        let memory = milli(MEMORY_USAGE).map(|milli| milli / 1000);
        Usage {
            cpu_nanos: cpu.unwrap_or(CPU_NANOS_DEFAULT),
            memory_bytes: memory.unwrap_or(MEMORY_BYTES_DEFAULT),
        }
    }
}

/// What a pod's restart policy is, which the apiserver fills in.
pub(crate) fn restart_policy(pod: &Pod) -> &str {
    let spec = pod.spec.as_ref();
    spec.and_then(|spec| spec.restart_policy.as_deref())
        .unwrap_or("Always")
}

/// Whether a container starts before the others and stays beside them.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

pub(crate) fn has_image(container: &Container) -> bool {
    can_be_had(container.image.as_deref().unwrap_or_default())
}

/// Whether an image could be had: not from a host that cannot exist.
pub(crate) fn can_be_had(image: &str) -> bool {
    let host = image.split_once('/').map_or("", |(host, _)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    !host.ends_with(NO_HOST)
}

/// A readiness probe waits at least so long.
fn probe_delay(pod: &Pod) -> SignedDuration {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let delays = containers.filter_map(|container| {
        let probe = container.readiness_probe.as_ref()?;
        probe.initial_delay_seconds
    });
    SignedDuration::from_secs(i64::from(delays.max().unwrap_or(0)))
}

fn annotation<'a>(
    annotations: Option<&'a BTreeMap<String, String>>,
    name: &str,
) -> Option<&'a str> {
    annotations?.get(name).map(String::as_str)
}

/// What is no number of seconds counts as if it were not there.
fn parse_seconds(text: &str) -> Option<SignedDuration> {
    let seconds = text.parse().ok()?;
    (0..=SECONDS_MAX)
        .contains(&seconds)
        .then(|| SignedDuration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(value: serde_json::Value) -> Pod {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn pods_run_until_they_are_stopped_unless_they_are_meant_to_end() {
        let policies = [("Always", None), ("Never", Some(1)), ("OnFailure", Some(1))];
        for (policy, seconds) in policies {
            let behaviour = Behaviour::of(&pod(json!({
                "spec": {"restartPolicy": policy, "containers": []},
            })));
            assert_eq!(
                behaviour.run,
                seconds.map(SignedDuration::from_secs),
                "{policy}"
            );
        }
    }

    #[test]
    fn annotations_say_what_happens_and_nonsense_says_nothing() {
        let annotated = |name: &str, value: &str| {
            Behaviour::of(&pod(json!({"metadata": {"annotations": {name: value}}})))
        };
        assert_eq!(annotated(START_SECONDS, "7").start.as_secs(), 7);
        assert_eq!(annotated(START_SECONDS, "soon").start.as_secs(), 0);
        assert_eq!(annotated(START_SECONDS, "-1").start.as_secs(), 0);
        assert_eq!(annotated(READY_SECONDS, "never").ready, None);
        assert_eq!(annotated(RUN_SECONDS, "3").run.unwrap().as_secs(), 3);
        assert_eq!(annotated(EXIT_CODE, "137").exit_code, 137);
    }

    #[test]
    fn a_readiness_probe_delays_readiness() {
        let probe = json!({"initialDelaySeconds": 4});
        let behaviour = Behaviour::of(&pod(json!({
            "spec": {"containers": [{"name": "c", "readinessProbe": probe}]},
        })));
        assert_eq!(behaviour.ready.unwrap().as_secs(), 4);
    }

    #[test]
    fn images_of_hosts_that_cannot_exist_cannot_be_had() {
        for (image, there) in [
            ("nginx", true),
            ("registry.example/nginx:1", true),
            ("registry.invalid/nginx", false),
            ("registry.invalid:5000/nginx", false),
            ("invalid", true),
        ] {
            let container = Container {
                image: Some(image.to_owned()),
                ..Container::default()
            };
            assert_eq!(has_image(&container), there, "{image}");
        }
    }

    #[test]
    fn usage_is_what_annotations_say() {
        let usage = Usage::of(&pod(json!({"metadata": {"annotations": {
            CPU_USAGE: "250m", MEMORY_USAGE: "1Gi",
        }}})));
        assert_eq!(
            (usage.cpu_nanos, usage.memory_bytes),
            (250_000_000, 1 << 30)
        );
        assert_eq!(Usage::of(&Pod::default()).cpu_nanos, CPU_NANOS_DEFAULT);
    }
}

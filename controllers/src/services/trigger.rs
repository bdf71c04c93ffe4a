//! When the change happened that endpoints are now written for, so that the delay can be measured.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Service};

/// The times that were seen at the last look at a service.
#[derive(Debug, Default, Clone)]
pub(crate) struct Trigger {
    service: Option<Timestamp>,
    pods: BTreeMap<String, Timestamp>,
    known: bool,
}

impl Trigger {
    /// The earliest change since the last look; at the first look it is the service's own creation.
    pub(crate) fn observe<'a>(
        &mut self,
        service: &Service,
        pods: impl IntoIterator<Item = &'a Pod>,
    ) -> Option<Timestamp> {
        let created = service
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        let mut earliest = created.filter(|created| Some(*created) > self.service);
        let mut seen = BTreeMap::new();
        for pod in pods {
            let Some(changed) = ready_since(pod) else {
                continue;
            };
            let name = pod.metadata.name.clone().unwrap_or_default();
            if self.pods.get(&name).is_none_or(|before| *before < changed) {
                earliest = Some(earliest.map_or(changed, |earliest| earliest.min(changed)));
            }
            seen.insert(name, changed);
        }
        let first = !std::mem::replace(&mut self.known, true);
        self.service = created;
        self.pods = seen;
        if first { created } else { earliest }
    }
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions
        .iter()
        .find(|condition| condition.type_ == "Ready")?;
    ready.last_transition_time.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, since: &str) -> Pod {
        let condition = json!({"type": "Ready", "status": "True", "lastTransitionTime": since});
        serde_json::from_value(
            json!({"metadata": {"name": name}, "status": {"conditions": [condition]}}),
        )
        .unwrap()
    }

    #[test]
    fn the_trigger_is_the_service_first_and_then_the_earliest_newer_change_of_a_pod() {
        let service: Service = serde_json::from_value(
            json!({"metadata": {"creationTimestamp": "2026-01-01T00:00:00Z"}}),
        )
        .unwrap();
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let mut trigger = Trigger::default();
        let a = pod("a", "2026-01-01T00:01:00Z");
        assert_eq!(trigger.observe(&service, [&a]), at("2026-01-01T00:00:00Z"));
        assert_eq!(trigger.observe(&service, [&a]), None);
        let later = [
            pod("a", "2026-01-01T00:03:00Z"),
            pod("b", "2026-01-01T00:02:00Z"),
        ];
        assert_eq!(
            trigger.observe(&service, &later),
            at("2026-01-01T00:02:00Z")
        );
    }
}

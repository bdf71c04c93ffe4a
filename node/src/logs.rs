//! What containers have written.

use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};

use crate::stages::text;

/// The log of a container, or of its run before this one; why there is none, in a kubelet's words.
pub(crate) fn read(pod: &Pod, container: &str, is_previous: bool) -> Result<String, String> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let of_pod = format!("container {container:?} in pod {name:?}");
    let Some(status) = find(pod, container) else {
        return Err(format!("{of_pod} is not available"));
    };
    let has_run_before = has_ended(status.last_state.as_ref());
    if is_previous && !has_run_before {
        return Err(format!("previous terminated {of_pod} not found"));
    }
    let state = status.state.as_ref();
    let runs = state.is_some_and(|state| state.running.is_some());
    if runs || has_ended(state) || has_run_before {
        return Ok(line(pod, container));
    }
    let reason = state
        .and_then(|state| state.waiting.as_ref())
        .and_then(|waiting| waiting.reason.as_deref());
    Err(match reason {
        Some("ErrImagePull") => format!("{of_pod} is waiting to start: image can't be pulled"),
        Some("ImagePullBackOff") => {
            format!("{of_pod} is waiting to start: trying and failing to pull image")
        }
        Some(reason) => format!("{of_pod} is waiting to start: {reason}"),
        None => format!("{of_pod} is waiting to start - no logs yet"),
    })
}

fn find<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStatus> {
    let status = pod.status.as_ref()?;
    let mut statuses = status
        .container_statuses
        .iter()
        .chain(&status.init_container_statuses)
        .chain(&status.ephemeral_container_statuses)
        .flatten();
    statuses.find(|status| status.name == container)
}

fn has_ended(state: Option<&ContainerState>) -> bool {
    state.is_some_and(|state| state.terminated.is_some())
}

/// What a container that does nothing has written.
fn line(pod: &Pod, container: &str) -> String {
    let started = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.as_ref());
    let since = started.map_or_else(String::new, |time| text(time.0));
    format!("{container} runs on a simulated node since {since}\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn log(state: Value, last_state: Value, is_previous: bool) -> Result<String, String> {
        let pod = json!({
            "metadata": {"name": "p"},
            "status": {
                "startTime": "2027-01-15T08:00:00Z",
                "containerStatuses": [{
                    "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": state, "lastState": last_state,
                }],
            },
        });
        read(&serde_json::from_value(pod).unwrap(), "c", is_previous)
    }

    #[test]
    fn only_what_has_run_has_written() {
        let written = Ok("c runs on a simulated node since 2027-01-15T08:00:00Z\n".to_owned());
        let waits = |reason: &str| json!({"waiting": {"reason": reason}});
        let ended = json!({"terminated": {"exitCode": 1}});
        assert_eq!(log(json!({"running": {}}), json!({}), false), written);
        assert_eq!(log(ended.clone(), json!({}), false), written);
        assert_eq!(
            log(waits("CrashLoopBackOff"), ended.clone(), false),
            written
        );
        assert_eq!(log(json!({"running": {}}), ended, true), written);
        for (state, why) in [
            (waits("ContainerCreating"), ": ContainerCreating"),
            (
                waits("ImagePullBackOff"),
                ": trying and failing to pull image",
            ),
            (waits("ErrImagePull"), ": image can't be pulled"),
            (json!({}), " - no logs yet"),
        ] {
            let told = format!("container \"c\" in pod \"p\" is waiting to start{why}");
            assert_eq!(log(state, json!({}), false), Err(told));
        }
    }

    #[test]
    fn what_never_ended_has_no_log_of_before() {
        let told = "previous terminated container \"c\" in pod \"p\" not found".to_owned();
        assert_eq!(log(json!({"running": {}}), json!({}), true), Err(told));
    }

    #[test]
    fn a_container_that_nothing_is_known_of_has_no_log() {
        let told = "container \"c\" in pod \"\" is not available".to_owned();
        assert_eq!(read(&Pod::default(), "c", false), Err(told));
    }
}

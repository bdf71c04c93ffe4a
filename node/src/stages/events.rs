//! What a kubelet tells of a pod and its containers.

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::behaviour::has_image;

/// What is told of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) is_warning: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
    /// The container that it is about; none for the pod as a whole.
    pub(crate) container: Option<String>,
}

fn about(
    container: &Container,
    is_warning: bool,
    reason: &'static str,
    message: impl Into<String>,
) -> Event {
    Event {
        is_warning,
        reason,
        message: message.into(),
        container: Some(container.name.clone()),
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod.spec.iter().flat_map(|spec| &spec.containers)
}

fn image(container: &Container) -> &str {
    container.image.as_deref().unwrap_or_default()
}

pub(super) fn started(pod: &Pod) -> Vec<Event> {
    let each = containers(pod).flat_map(|container| {
        let image = image(container);
        let pulled = format!(
            "Container image {image:?} already present on machine and can be accessed by the pod"
        );
        [
            about(container, false, "Pulled", pulled),
            about(container, false, "Created", "Container created"),
            about(container, false, "Started", "Container started"),
        ]
    });
    each.collect()
}

/// Containers that run another image than they should stop first.
pub(super) fn changed(pod: &Pod) -> Vec<Event> {
    let each = containers(pod).map(|container| {
        let name = &container.name;
        let message = format!("Container {name} definition changed, will be restarted");
        about(container, false, "Killing", message)
    });
    each.collect()
}

pub(super) fn stopped(pod: &Pod) -> Vec<Event> {
    let each = containers(pod).map(|container| {
        let message = format!("Stopping container {}", container.name);
        about(container, false, "Killing", message)
    });
    each.collect()
}

/// A pod as kubelets name it to people.
pub(super) fn full_name(pod: &Pod) -> String {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let metadata = &pod.metadata;
    format!(
        "{}_{}({})",
        text(&metadata.name),
        text(&metadata.namespace),
        text(&metadata.uid)
    )
}

pub(super) fn backed_off(pod: &Pod) -> Vec<Event> {
    let of_pod = full_name(pod);
    let each = containers(pod).map(|container| {
        let name = &container.name;
        let message = format!("Back-off restarting failed container {name} in pod {of_pod}");
        about(container, true, "BackOff", message)
    });
    each.collect()
}

/// Of the containers whose images cannot be had.
pub(super) fn not_pulled(pod: &Pod) -> Vec<Event> {
    let each = containers(pod).filter(|container| !has_image(container));
    let each = each.flat_map(|container| {
        let image = image(container);
        let failed = format!("Failed to pull image {image:?}: no such host");
        let backs_off = format!("Back-off pulling image {image:?}");
        [
            about(
                container,
                false,
                "Pulling",
                format!("Pulling image {image:?}"),
            ),
            about(container, true, "Failed", failed),
            about(container, true, "Failed", "Error: ErrImagePull"),
            about(container, false, "BackOff", backs_off),
            about(container, true, "Failed", "Error: ImagePullBackOff"),
        ]
    });
    each.collect()
}

pub(super) fn overdue() -> Event {
    Event {
        is_warning: false,
        reason: "DeadlineExceeded",
        message: "Pod was active on the node longer than the specified deadline".to_owned(),
        container: None,
    }
}

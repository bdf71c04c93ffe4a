//! The pod a Job makes from its template.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use super::policies::{self, Verdict};
use super::view::{INDEX, INDEX_FAILURES, INDEX_IGNORED_FAILURES, TRACKING, View, number};
use crate::{owners, pods};

const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";
/// A generated name is at most 63 characters long, and 5 of them are random.
const NAME_PREFIX_BYTES_MAX: usize = 58;

/// A pod for a Job whose completions have no index.
pub(super) fn plain(job: &Job, view: &View<'_>) -> Pod {
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let mut pod = pods::from_template(
        &view.spec.template,
        namespace,
        owners::reference::<Job>(&job.metadata),
    );
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == TRACKING) {
        finalizers.push(TRACKING.to_owned());
    }
    pod
}

/// The pod for one completion index.
pub(super) fn indexed(job: &Job, view: &View<'_>, index: u32) -> Pod {
    let mut pod = plain(job, view);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let meta = &mut pod.metadata;
    meta.generate_name = Some(name_prefix(name, index));
    meta.labels
        .get_or_insert_default()
        .insert(INDEX.into(), index.to_string());
    let annotations = meta.annotations.get_or_insert_default();
    annotations.insert(INDEX.into(), index.to_string());
    if view.spec.backoff_limit_per_index.is_some() {
        count_failures(view, index, annotations);
    }
    let spec = pod.spec.get_or_insert_default();
    spec.hostname = Some(format!("{name}-{index}"));
    for container in spec
        .init_containers
        .iter_mut()
        .flatten()
        .chain(&mut spec.containers)
    {
        tell_index(container);
    }
    pod
}

fn count_failures(view: &View<'_>, index: u32, annotations: &mut BTreeMap<String, String>) {
    let (mut counted, mut ignored) = (0, 0);
    if let Some(before) = view.replaceable.get(&index) {
        (counted, ignored) = (
            number(before, INDEX_FAILURES),
            number(before, INDEX_IGNORED_FAILURES),
        );
        match policies::judge(view.spec, before) {
            Verdict::Ignored => ignored += 1,
            _ => counted += 1,
        }
    }
    annotations.insert(INDEX_FAILURES.into(), counted.to_string());
    if ignored > 0 {
        annotations.insert(INDEX_IGNORED_FAILURES.into(), ignored.to_string());
    }
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables
        .iter()
        .any(|variable| variable.name == INDEX_VARIABLE)
    {
        return;
    }
    let field = ObjectFieldSelector {
        field_path: format!("metadata.labels['{INDEX}']"),
        ..Default::default()
    };
    variables.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value_from: Some(EnvVarSource {
            field_ref: Some(field),
            ..Default::default()
        }),
        ..Default::default()
    });
}

fn name_prefix(job: &str, index: u32) -> String {
    let end = format!("-{index}-");
    let kept = job
        .len()
        .min(NAME_PREFIX_BYTES_MAX.saturating_sub(end.len()));
    format!("{}{end}", job.get(..kept).unwrap_or(job))
}

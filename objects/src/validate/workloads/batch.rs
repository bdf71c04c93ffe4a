//! Jobs and what makes them on a schedule.

use super::{Owner, Spot, immutable, matching, names, pod, selectors, spec};
use crate::{
    Map, Value,
    invalid::{Faults, Invalid},
    meta,
    path::Path,
    validate::metadata,
};

mod policy;
mod schedule;

const PARALLELISM_INDEXED_MAX: i64 = 100_000;
const FAILED_INDEXES_MAX: i64 = 100_000;
/// Above so many completions, limits for each index are stricter.
const COMPLETIONS_SOFT_LIMIT: i64 = 100_000;
const HIGH_COMPLETIONS_LIMIT: i64 = 10_000;
const MANAGED_BY_LENGTH_MAX: usize = 63;
/// A job's name is that of its schedule with a time of 11 characters after it.
const CRON_JOB_NAME_LENGTH_MAX: usize = 52;

pub(super) fn job(object: &Value, faults: &mut Faults) {
    generated_selector(object, true, faults);
    whole_spec(&spec(object), faults);
    let spec = spec(object);
    let completions = spec.get("completions").number().unwrap_or(0);
    if spec.get("completionMode").text() == "Indexed" && completions > 0 {
        let name = meta::name(object);
        let longest = format!("{name}-{}", completions - 1);
        if !names::label(&longest).is_empty() {
            let words = format!("will not able to create pod with invalid DNS label: {longest}");
            let path = Path::new("metadata").child("name");
            faults.push(Invalid::value(&path, name, words));
        }
    }
}

/// The labels that the server writes into template and selector.
fn generated_selector(object: &Value, prefixed: bool, faults: &mut Faults) {
    let spec = spec(object);
    let selector = spec.get("selector");
    if spec.get("manualSelector").is_true() || !selector.is_present() {
        return;
    }
    let (name, uid) = (meta::name(object), meta::uid(object));
    if uid.is_empty() {
        faults.push(Invalid::required(&Path::new("metadata").child("uid"), ""));
    }
    let mut expected = Map::new();
    let labels = spec.get("template").get("metadata").get("labels");
    let all = [
        ("controller-uid", uid),
        ("job-name", name),
        ("batch.kubernetes.io/controller-uid", uid),
        ("batch.kubernetes.io/job-name", name),
    ];
    let count = if prefixed { all.len() } else { 2 };
    for (key, value) in &all[..count] {
        expected.insert((*key).to_owned(), Value::from(*value));
        let words = format!("must be '{value}'");
        let path = labels.path.key(key);
        match labels.value.get(*key) {
            None => faults.push(Invalid::required(&path, words)),
            Some(found) if found != value => {
                faults.push(Invalid::value(&path, labels.value.clone(), words));
            }
            Some(_) => {}
        }
    }
    if selectors::matches(selector.value, Some(&expected)) == Some(false) {
        selector.invalid(faults, "`selector` not auto-generated");
    }
}

/// The spec of a job that stands alone.
fn whole_spec(spec: &Spot<'_>, faults: &mut Faults) {
    job_spec(spec, faults);
    let selector = spec.get("selector");
    if selector.is_present() {
        selectors::check(&selector, faults);
    } else {
        selector.required(faults, "");
    }
    matching(spec, faults);
}

/// What holds for the spec of a job and of a template of jobs.
fn job_spec(spec: &Spot<'_>, faults: &mut Faults) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ] {
        spec.get(field).not_negative(faults);
    }
    let per_index = spec.get("backoffLimitPerIndex");
    let failed_max = spec.get("maxFailedIndexes");
    if failed_max.is_present() && !per_index.is_present() {
        per_index.required(faults, "when maxFailedIndexes is specified");
    }
    if let Some(manager) = spec.find("managedBy") {
        pod::checks::domain_path(&manager, faults);
        if manager.text().len() > MANAGED_BY_LENGTH_MAX {
            faults.push(Invalid::too_long(&manager.path, MANAGED_BY_LENGTH_MAX));
        }
    }
    completion_mode(spec, faults);
    policy::failure(spec, faults);
    policy::success(spec, faults);
    policy::replacement(spec, faults);
    let template = spec.get("template");
    pod::template(&template, &Owner::default(), faults);
    let restart = template.get("spec").get("restartPolicy");
    match restart.text() {
        "Always" | "" => restart.required(faults, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" if spec.find("podFailurePolicy").is_some() => {
            restart.invalid(
                faults,
                "only \"Never\" is supported when podFailurePolicy is specified",
            );
        }
        "OnFailure" | "Never" => {}
        _ => restart.not_supported(faults, &["OnFailure", "Never"]),
    }
}

fn completion_mode(spec: &Spot<'_>, faults: &mut Faults) {
    let mode = spec.get("completionMode");
    let per_index = spec.get("backoffLimitPerIndex");
    let failed_max = spec.get("maxFailedIndexes");
    match mode.text() {
        "Indexed" => indexed(spec, faults),
        "NonIndexed" | "" => {
            if mode.is_present() && mode.text().is_empty() {
                mode.not_supported(faults, &["NonIndexed", "Indexed"]);
            }
            for field in [per_index, failed_max] {
                if field.is_present() {
                    field.invalid(faults, "requires indexed completion mode");
                }
            }
        }
        _ => mode.not_supported(faults, &["NonIndexed", "Indexed"]),
    }
}

fn indexed(spec: &Spot<'_>, faults: &mut Faults) {
    let parallelism = spec.get("parallelism");
    let completions = spec.get("completions");
    let failed_max = spec.get("maxFailedIndexes");
    if !completions.is_present() {
        completions.required(faults, "when completion mode is Indexed");
    }
    let above = |spot: &Spot<'_>, limit: i64| spot.number().is_some_and(|number| number > limit);
    if above(&parallelism, PARALLELISM_INDEXED_MAX) {
        let words = format!(
            "must be less than or equal to {PARALLELISM_INDEXED_MAX} when completion mode is Indexed"
        );
        parallelism.invalid(faults, words);
    }
    if completions
        .number()
        .is_some_and(|completions| above(&failed_max, completions))
    {
        failed_max.invalid(faults, "must be less than or equal to completions");
    }
    if above(&failed_max, FAILED_INDEXES_MAX) {
        failed_max.invalid(
            faults,
            format!("must be less than or equal to {FAILED_INDEXES_MAX}"),
        );
    }
    if !above(&completions, COMPLETIONS_SOFT_LIMIT) || spec.find("backoffLimitPerIndex").is_none() {
        return;
    }
    if !failed_max.is_present() {
        let words = format!("must be specified when completions is above {COMPLETIONS_SOFT_LIMIT}");
        failed_max.required(faults, words);
    }
    for field in [parallelism, failed_max] {
        if above(&field, HIGH_COMPLETIONS_LIMIT) {
            let words = format!(
                "must be less than or equal to {HIGH_COMPLETIONS_LIMIT} when completions are above {COMPLETIONS_SOFT_LIMIT} and used with backoff limit per index"
            );
            field.invalid(faults, words);
        }
    }
}

pub(super) fn job_update(new: &Value, old: &Value, faults: &mut Faults) {
    // The order is upstream's: the object as a new one, its metadata, and the spec once more.
    let mut metadata_faults = Faults::new();
    metadata::update(new, old, &mut metadata_faults);
    faults.truncate(faults.len() - metadata_faults.len());
    metadata::create(new, true, names::subdomain, faults);
    let prefixed = [
        "batch.kubernetes.io/job-name",
        "batch.kubernetes.io/controller-uid",
    ];
    let labels = meta::map(old, &["spec", "template", "metadata", "labels"]);
    let has = |key: &&str| labels.is_some_and(|labels| labels.contains_key(*key));
    generated_selector(new, prefixed.iter().all(has), faults);
    let (after, before) = (spec(new), spec(old));
    whole_spec(&after, faults);
    faults.append(&mut metadata_faults);
    whole_spec(&after, faults);
    completions_update(&after, &before, faults);
    immutable(new, old, "selector", faults);
    template_update(new, old, faults);
    for field in [
        "completionMode",
        "podFailurePolicy",
        "backoffLimitPerIndex",
        "managedBy",
        "successPolicy",
    ] {
        immutable(new, old, field, faults);
    }
}

fn completions_update(new: &Spot<'_>, old: &Spot<'_>, faults: &mut Faults) {
    let (after, before) = (new.get("completions"), old.get("completions"));
    if after.value == before.value {
        return;
    }
    if new.get("completionMode").text() != "Indexed" {
        after.invalid(faults, "field is immutable");
    } else if after.is_present() && after.value != new.get("parallelism").value {
        after.invalid(
            faults,
            "can only be modified in tandem with spec.parallelism",
        );
    }
}

/// What a job that is suspended and has no pods may change in its template.
fn template_update(new: &Value, old: &Value, faults: &mut Faults) {
    let template = |object: &Value| {
        meta::at(object, &["spec", "template"])
            .cloned()
            .unwrap_or(Value::Null)
    };
    let (after, mut before) = (template(new), template(old));
    let status = spec(old);
    let suspended = status.get("suspend").is_true();
    let state = Spot::root(old).get("status");
    let idle = state.get("active").number().unwrap_or(0) == 0;
    let free = suspended
        && idle
        && (!state.get("startTime").is_present() || has_condition(&state, "Suspended"));
    if free {
        policy::scheduling(&mut before, &after);
        policy::resources(&mut before, &after);
    }
    if !metadata::same(Some(&after), Some(&before)) {
        let path = Path::new("spec").child("template");
        let (path, shown) = if free {
            (path.child("spec"), after["spec"].clone())
        } else {
            (path, after)
        };
        faults.push(Invalid::value(&path, shown, "field is immutable"));
    }
}

/// Whether a condition of a status is true.
pub(super) fn has_condition(status: &Spot<'_>, kind: &str) -> bool {
    status.get("conditions").each().any(|condition| {
        condition.get("type").text() == kind && condition.get("status").text() == "True"
    })
}

/// A fault of the conditions, which are not shown.
pub(super) fn conditions_fault(status: &Spot<'_>, faults: &mut Faults, words: impl Into<String>) {
    policy::hidden(&status.get("conditions"), faults, words);
}

/// What goes together in the status of a job that has ended.
pub(super) fn finished(status: &Spot<'_>, faults: &mut Faults) {
    let has = |kind: &str| has_condition(status, kind);
    let (complete, failed) = (has("Complete"), has("Failed"));
    let pairs = [
        (
            complete && failed,
            "cannot set Complete=True and Failed=true conditions",
        ),
        (
            complete && has("FailureTarget"),
            "cannot set Complete=True and FailureTarget=true conditions",
        ),
    ];
    for (wrong, words) in pairs {
        if wrong {
            conditions_fault(status, faults, words);
        }
    }
    let completion = status.get("completionTime");
    if completion.is_present() && !complete {
        completion.invalid(
            faults,
            "cannot set completionTime when there is no Complete=True condition",
        );
    }
    if !completion.is_present() && complete {
        completion.required(faults, "completionTime is required for Complete jobs");
    }
    if failed && !has("FailureTarget") {
        conditions_fault(
            status,
            faults,
            "cannot set Failed=True condition without the FailureTarget=true condition",
        );
    }
    if complete && !has("SuccessCriteriaMet") {
        conditions_fault(
            status,
            faults,
            "cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        );
    }
    let ended = complete || failed;
    let active = status.get("active");
    if ended && active.number().unwrap_or(0) > 0 {
        active.invalid(faults, "active>0 is invalid for finished job");
    }
    let start = status.get("startTime");
    if ended && !start.is_present() {
        start.required(faults, "startTime is required for finished job");
    }
    let ready = status.get("ready");
    if ready.number().unwrap_or(0) > active.number().unwrap_or(0) {
        ready.invalid(faults, "cannot set more ready pods than active");
    }
}

pub(super) fn cron_job(object: &Value, faults: &mut Faults) {
    cron_job_spec(&spec(object), None, faults);
    let name = meta::name(object);
    if name.len() > CRON_JOB_NAME_LENGTH_MAX {
        let words = format!("must be no more than {CRON_JOB_NAME_LENGTH_MAX} characters");
        faults.push(Invalid::value(
            &Path::new("metadata").child("name"),
            name,
            words,
        ));
    }
}

pub(super) fn cron_job_update(new: &Value, old: &Value, faults: &mut Faults) {
    cron_job_spec(&spec(new), Some(&spec(old)), faults);
}

fn cron_job_spec(spec: &Spot<'_>, old: Option<&Spot<'_>>, faults: &mut Faults) {
    schedule::check(spec, old, faults);
    spec.get("startingDeadlineSeconds").not_negative(faults);
    let zone = spec.get("timeZone");
    if old.is_none_or(|old| old.get("timeZone").value != zone.value) {
        schedule::time_zone(&zone, faults);
    }
    spec.get("concurrencyPolicy")
        .required_one_of(faults, &["Allow", "Forbid", "Replace"]);
    let template = spec.get("jobTemplate").get("spec");
    job_spec(&template, faults);
    if let Some(selector) = template.find("selector") {
        selector.invalid(faults, "`selector` will be auto-generated");
    }
    let manual = template.get("manualSelector");
    if manual.is_true() {
        manual.not_supported(faults, &["nil", "false"]);
    }
    spec.get("successfulJobsHistoryLimit").not_negative(faults);
    spec.get("failedJobsHistoryLimit").not_negative(faults);
}

pub(super) fn cron_job_warnings(new: &Value, old: Option<&Value>) -> Vec<String> {
    let mut all = Vec::new();
    if old.is_none() {
        all.extend(super::name_warning(
            meta::name(new),
            "Pod names and hostnames",
        ));
    }
    let path = Path::new("spec")
        .child("jobTemplate")
        .child("spec")
        .child("template");
    let at = |object| meta::at(object, &["spec", "jobTemplate", "spec", "template"]);
    if let Some(template) = at(new) {
        all.extend(pod::template_warnings(template, old.and_then(at), &path));
    }
    if old.is_some() && meta::text(new, &["spec", "schedule"]).contains("TZ") {
        all.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
    }
    all
}

//! How many pods would use as much as they should, by what they use.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;

use super::{Sample, Samples, State, requests};
use crate::conditions::FALSE;
use crate::pods;

/// How far usage may be from its target with nothing done, as parts of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tolerance {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Tolerance {
    fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// Which pods count, and how.
#[derive(Debug, Default)]
struct Groups {
    ready: i32,
    /// Pods that are not ready yet, or were not while they were measured.
    unready: BTreeSet<String>,
    /// Pods that were not measured.
    missing: BTreeSet<String>,
}

/// What is measured and looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) state: State<'a>,
    pub(super) resource: &'a str,
    pub(super) container: Option<&'a str>,
    pub(super) tolerance: Tolerance,
}

/// What was used, and how many pods that asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) replicas: i32,
    /// Thousandths that a pod uses on average.
    pub(super) average: i64,
    /// The percentage of what the pods ask for, if that is the target.
    pub(super) utilization: Option<i32>,
}

/// A number of pods or a percentage, rounded toward zero and kept in its bounds.
#[allow(
    clippy::cast_possible_truncation,
    reason = "what is beyond 32 bits is the largest"
)]
fn whole(number: f64) -> i32 {
    number as i32
}

#[allow(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
fn ratio(part: i64, of: i64) -> f64 {
    part as f64 / of as f64
}

/// By the percentage of what the pods ask for.
pub(super) fn by_utilization(
    question: Question<'_>,
    samples: &Samples,
    target: i32,
) -> Result<Answer, String> {
    let (groups, used) = counted(question, samples)?;
    let Question {
        state,
        resource,
        container,
        ..
    } = question;
    let requests = requests::of_pods(state.pods, resource, container)?;
    let utilization = |used: &BTreeMap<String, i64>| {
        let known = used
            .iter()
            .filter_map(|(name, used)| Some((*used, *requests.get(name)?)));
        let (mut sum, mut asked, mut count) = (0_i64, 0_i64, 0_i64);
        for (used, request) in known {
            sum = sum.saturating_add(used);
            asked = asked.saturating_add(request);
            count += 1;
        }
        if asked == 0 {
            return Err("no metrics returned matched known pods".to_owned());
        }
        let percent = sum.saturating_mul(100) / asked;
        let percent = i32::try_from(percent).unwrap_or(i32::MAX);
        Ok((percent, sum / count))
    };
    let (percent, average) = utilization(&used)?;
    let part = |percent: i32| f64::from(percent) / f64::from(target);
    // A pod that is not measured counts with all it asks for when the workload would shrink.
    let assumed = |name: &str| {
        let request = requests.get(name).copied().unwrap_or(0);
        request.saturating_mul(target.max(100).into()) / 100
    };
    let again = |used: &BTreeMap<String, i64>| Ok(part(utilization(used)?.0));
    let replicas = replicas(question, &groups, used, part(percent), (&assumed, &again))?;
    Ok(Answer {
        replicas,
        average,
        utilization: Some(percent),
    })
}

/// By the average of what the pods use, in thousandths.
pub(super) fn by_average(
    question: Question<'_>,
    samples: &Samples,
    target: i64,
) -> Result<Answer, String> {
    let (groups, used) = counted(question, samples)?;
    let average = |used: &BTreeMap<String, i64>| {
        let sum = used.values().copied().fold(0, i64::saturating_add);
        sum / i64::try_from(used.len().max(1)).unwrap_or(i64::MAX)
    };
    let now = average(&used);
    // A pod that is not measured counts with the target itself when the workload would shrink.
    let assumed = |_: &str| target;
    let again = |used: &BTreeMap<String, i64>| Ok(ratio(average(used), target));
    let part = ratio(now, target);
    let replicas = replicas(question, &groups, used, part, (&assumed, &again))?;
    Ok(Answer {
        replicas,
        average: now,
        utilization: None,
    })
}

/// By one value for all pods that are ready, in thousandths.
pub(super) fn by_total(question: Question<'_>, total: i64, target: i64) -> Result<i32, String> {
    let State { pods, scale, .. } = question.state;
    let part = ratio(total, target);
    if question.tolerance.covers(part) {
        return Ok(scale.replicas);
    }
    if pods.is_empty() {
        let why = "no pods returned by selector while calculating replica count";
        return Err(format!("unable to calculate ready pods: {why}"));
    }
    let is_ready = |pod: &&&Pod| pods::phase(pod) == "Running" && pods::is_ready(pod);
    let ready = pods.iter().filter(is_ready).count();
    let ready = i32::try_from(ready).unwrap_or(i32::MAX);
    Ok(whole((part * f64::from(ready)).ceil()))
}

/// By the share that each pod has of one value, in thousandths. What that is now is told too.
pub(super) fn by_share(question: Question<'_>, total: i64, target: i64) -> (i32, i64) {
    let current = question.state.scale.current;
    let part = ratio(total, target);
    let replicas = if question.tolerance.covers(part / f64::from(current)) {
        current
    } else {
        whole(part.ceil())
    };
    let pods = i64::from(current.max(1));
    let rest = i64::from(total % pods > 0);
    (replicas, (total / pods).saturating_add(rest))
}

/// The pods by groups, and what those used that count.
fn counted(
    question: Question<'_>,
    samples: &Samples,
) -> Result<(Groups, BTreeMap<String, i64>), String> {
    if question.state.pods.is_empty() {
        return Err("no pods returned by selector while calculating replica count".to_owned());
    }
    let mut used: BTreeMap<String, i64> = samples
        .iter()
        .map(|(name, sample)| (name.clone(), sample.value))
        .collect();
    let mut groups = Groups::default();
    for pod in question.state.pods {
        let name = pod.metadata.name.clone().unwrap_or_default();
        let sample = samples.get(&name);
        let is_gone = pod.metadata.deletion_timestamp.is_some() || pods::phase(pod) == "Failed";
        if is_gone {
            used.remove(&name);
        } else if pods::phase(pod) == "Pending" {
            used.remove(&name);
            groups.unready.insert(name);
        } else if let Some(sample) = sample {
            if question.resource == "cpu" && !is_settled(pod, *sample, question.state) {
                used.remove(&name);
                groups.unready.insert(name);
            } else {
                groups.ready = groups.ready.saturating_add(1);
            }
        } else {
            groups.missing.insert(name);
        }
    }
    if used.is_empty() {
        return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
    }
    Ok((groups, used))
}

/// Whether what the pod used tells what it will use: a pod that starts uses more.
fn is_settled(pod: &Pod, sample: Sample, state: State<'_>) -> bool {
    let started = pod
        .status
        .as_ref()
        .and_then(|status| status.start_time.as_ref());
    let (Some(ready), Some(started)) = (pods::condition(pod, "Ready"), started) else {
        return false;
    };
    let after = |at: Timestamp, wait: std::time::Duration| {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        at.checked_add(wait).unwrap_or(Timestamp::MAX)
    };
    let changed = ready.last_transition_time.as_ref();
    let changed = changed.map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let is_unready = ready.status == FALSE;
    if after(started.0, state.rules.cpu_initialization) > state.now {
        // One whole window must lie after the last change.
        !is_unready && sample.at >= after(changed, sample.window)
    } else {
        !(is_unready && after(started.0, state.rules.initial_readiness_delay) > changed)
    }
}

/// What a pod that was not measured is taken to use, and the ratio of what is used to what should be.
type Assumptions<'f> = (
    &'f dyn Fn(&str) -> i64,
    &'f dyn Fn(&BTreeMap<String, i64>) -> Result<f64, String>,
);

/// The size at which the usage would be as it should. Pods that are not ready or were not measured count against a change.
fn replicas(
    question: Question<'_>,
    groups: &Groups,
    mut used: BTreeMap<String, i64>,
    part: f64,
    (assumed, again): Assumptions<'_>,
) -> Result<i32, String> {
    let current = question.state.scale.replicas;
    let grows_with_unready = !groups.unready.is_empty() && part > 1.0;
    if !grows_with_unready && groups.missing.is_empty() {
        if question.tolerance.covers(part) {
            return Ok(current);
        }
        return Ok(whole((part * f64::from(groups.ready)).ceil()));
    }
    for name in &groups.missing {
        if part < 1.0 {
            used.insert(name.clone(), assumed(name));
        } else if part > 1.0 {
            used.insert(name.clone(), 0);
        }
    }
    if grows_with_unready {
        used.extend(groups.unready.iter().map(|name| (name.clone(), 0)));
    }
    let new_part = again(&used)?;
    let turns = (part < 1.0 && new_part > 1.0) || (part > 1.0 && new_part < 1.0);
    if turns || question.tolerance.covers(new_part) {
        return Ok(current);
    }
    let count = i32::try_from(used.len()).unwrap_or(i32::MAX);
    let new = whole((new_part * f64::from(count)).ceil());
    let is_contrary = (new_part < 1.0 && new > current) || (new_part > 1.0 && new < current);
    Ok(if is_contrary { current } else { new })
}

#[cfg(test)]
mod tests;

//! Asks those who measure: the apiserver about resources, and servers behind it about everything else.

use client::{Client, DynamicObject, Error, Key, Listed, Query, Question, Resource};
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, MetricIdentifier, MetricSpec,
};
use serde_json::Value;

use super::{Measured, measured};
use crate::scales::{Scale, Scales, group_of};
use crate::selectors;

const CUSTOM: (&str, &str) = ("custom.metrics.k8s.io", "v1beta2");
const EXTERNAL: (&str, &str) = ("external.metrics.k8s.io", "v1beta1");

/// Asks for the metrics of one autoscaler.
pub(super) struct Measuring<'a> {
    pub(super) client: &'a Client,
    pub(super) scales: &'a Scales,
    pub(super) hpa: &'a HorizontalPodAutoscaler,
    pub(super) scale: &'a Scale,
}

impl Measuring<'_> {
    /// What was measured, for each metric of the spec.
    pub(super) async fn all(&self) -> Vec<Result<Measured, String>> {
        let specs = self.hpa.spec.metrics.as_deref().unwrap_or_default();
        let is_used = specs.iter().any(|spec| measured::asked(spec).is_some());
        let used = if is_used {
            self.used().await
        } else {
            Err("it was not measured".to_owned())
        };
        let mut all = Vec::new();
        for spec in specs {
            let one = match measured::asked(spec) {
                Some(asked) => used.as_ref().map_err(Clone::clone).and_then(|list| {
                    if list.items.is_empty() {
                        return Err("no metrics returned from resource metrics API".to_owned());
                    }
                    let metrics = list.items.iter().map(DynamicObject::value);
                    let samples = measured::samples(metrics, asked.0, asked.1);
                    Ok(Measured::Pods(samples))
                }),
                None => self.foreign(spec).await,
            };
            all.push(one);
        }
        all
    }

    fn namespace(&self) -> &str {
        let namespace = self.hpa.metadata.namespace.as_deref();
        namespace.unwrap_or_default()
    }

    /// What the pods use of resources.
    async fn used(&self) -> Result<Listed<DynamicObject>, String> {
        let query = Query {
            labels: self.scale.selector.clone(),
            ..Query::namespace(self.namespace())
        };
        let pods = resource(("metrics.k8s.io", "v1beta1"), "pods");
        let list = self.client.dynamic(pods).list(&query).await;
        list.map_err(|error| format!("unable to fetch metrics from resource metrics API: {error}"))
    }

    async fn foreign(&self, spec: &MetricSpec) -> Result<Measured, String> {
        if let Some(source) = &spec.pods {
            return self.of_pods(&source.metric).await;
        }
        if let Some(source) = &spec.object {
            let (object, metric) = (&source.described_object, &source.metric);
            return self.of_object(object, metric).await;
        }
        match &spec.external {
            Some(source) => self.outside(&source.metric).await,
            None => Err("it was not measured".to_owned()),
        }
    }

    async fn of_pods(&self, metric: &MetricIdentifier) -> Result<Measured, String> {
        let question = Question {
            labels: self.scale.selector.clone(),
            ..about(metric)?
        };
        let at = Key::new(self.namespace(), "*");
        let list = self.custom("pods", (&at, &metric.name), &question).await?;
        let samples = measured::reported(&list);
        if samples.is_empty() {
            return Err("no metrics returned from custom metrics API".to_owned());
        }
        Ok(Measured::Pods(samples))
    }

    async fn of_object(
        &self,
        object: &CrossVersionObjectReference,
        metric: &MetricIdentifier,
    ) -> Result<Measured, String> {
        let group = group_of(object.api_version.as_deref().unwrap_or_default());
        let question = about(metric)?;
        let list = if group.is_empty() && object.kind == "Namespace" {
            // An autoscaler knows no other namespace than its own.
            let at = Key::new(self.namespace(), &*metric.name);
            self.custom("metrics", (&at, ""), &question).await?
        } else {
            let plural = self.scales.qualified(group, &object.kind).await;
            let plural = plural.map_err(|fault| {
                let kind = match group {
                    "" => object.kind.clone(),
                    group => format!("{}.{group}", object.kind),
                };
                let why = format!("unable to map kind {kind} to resource: {fault}");
                unfetched("custom", &why)
            })?;
            let at = Key::new(self.namespace(), &*object.name);
            self.custom(&plural, (&at, &metric.name), &question).await?
        };
        let values = measured::values(&list);
        let [_] = values[..] else {
            let fault = format!(
                "the custom metrics API server returned {} results when we asked for exactly one",
                values.len()
            );
            return Err(unfetched("custom", &fault));
        };
        Ok(Measured::Values(values))
    }

    async fn outside(&self, metric: &MetricIdentifier) -> Result<Measured, String> {
        let selector = selectors::read(metric.selector.as_ref())?;
        let question = Question {
            labels: selector.to_string(),
            ..Question::default()
        };
        let external = self.client.dynamic(resource(EXTERNAL, &metric.name));
        let read = external
            .read(&Key::new(self.namespace(), ""), &question)
            .await;
        let what = format!("{}.{}", metric.name, EXTERNAL.0);
        let list = read.map_err(|error| unfetched("external", &in_words(&error, &what)))?;
        let values = measured::values(&list);
        if values.is_empty() {
            return Err("no metrics returned from external metrics API".to_owned());
        }
        Ok(Measured::Values(values))
    }

    /// Asks for a metric of objects, which is a part of them there.
    async fn custom(
        &self,
        plural: &str,
        (key, metric): (&Key, &str),
        question: &Question,
    ) -> Result<Value, String> {
        let objects = self.client.dynamic(resource(CUSTOM, plural));
        let read = objects.subresource(metric).read(key, question).await;
        read.map_err(|error| {
            let words = if error.is_not_found() && error.to_string() == NOBODY {
                format!("no custom metrics API ({}) registered", CUSTOM.0)
            } else {
                in_words(&error, &format!("{plural}.{} {}", CUSTOM.0, key.name))
            };
            unfetched("custom", &words)
        })
    }
}

/// What an API is answered with that nobody serves.
const NOBODY: &str = "the server could not find the requested resource";

/// An error in the words of Kubernetes' own client, where the other server gave none.
fn in_words(error: &Error, what: &str) -> String {
    let text = error.to_string();
    let code = error.failure().map(|failure| failure.code);
    match code {
        Some(404) if text == NOBODY => format!("{text} (get {what})"),
        Some(502 | 503) => {
            format!("the server is currently unable to handle the request (get {what})")
        }
        _ => text,
    }
}

fn unfetched(api: &str, fault: &impl std::fmt::Display) -> String {
    format!("unable to fetch metrics from {api} metrics API: {fault}")
}

/// A question about those values of a metric that its selector means.
fn about(metric: &MetricIdentifier) -> Result<Question, String> {
    let selector = selectors::read(metric.selector.as_ref())?;
    Ok(Question {
        labels: String::new(),
        parameters: vec![("metricLabelSelector", selector.to_string())],
    })
}

fn resource((group, version): (&str, &str), plural: &str) -> Resource {
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        namespaced: true,
    }
}

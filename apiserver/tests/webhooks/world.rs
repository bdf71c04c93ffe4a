//! A server, somebody who asks it, and a server of webhooks, for one test.

use prost::Message;
use proto::api::objects_client::ObjectsClient;
use proto::api::{
    CreateRequest, DeleteRequest, Failure, ListRequest, Target, WriteOptions, WriteResponse,
};
use serde_json::{Value, json};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::hook::Hook;
use crate::cluster::{Cluster, Token};

const GROUP: &str = "admissionregistration.k8s.io";

/// A server, somebody who asks it, and webhooks.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    pub(crate) client: ObjectsClient<InterceptedService<Channel, Token>>,
    pub(crate) hook: Hook,
}

impl World {
    pub(crate) async fn start() -> World {
        let cluster = Cluster::start().await;
        let client = cluster.client("admin-token").await;
        let hook = Hook::start().await;
        World {
            cluster,
            client,
            hook,
        }
    }

    pub(crate) async fn create(&mut self, target: Target, object: Value, dry_run: bool) -> Outcome {
        let request = CreateRequest {
            target: Some(target),
            object: object.to_string().into(),
            options: Some(WriteOptions {
                dry_run,
                ..WriteOptions::default()
            }),
        };
        outcome(self.client.create(request).await)
    }

    /// Makes a ConfigMap; what it is called does not matter.
    pub(crate) async fn config_map(&mut self) -> Outcome {
        let object = json!({"metadata": {"generateName": "c-"}});
        self.create(config_maps(""), object, false).await
    }

    /// Puts webhooks in the place of those that were there, and waits until the server asks them.
    pub(crate) async fn configure(&mut self, kind: &str, hooks: Vec<Value>) {
        for resource in [
            "validatingwebhookconfigurations",
            "mutatingwebhookconfigurations",
        ] {
            let delete = DeleteRequest {
                target: Some(configurations(resource, "test")),
                options: None,
            };
            let _ = self.client.delete(delete).await;
        }
        let resource = format!("{}s", kind.to_lowercase());
        let object = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": "test"}, "webhooks": hooks,
        });
        let target = configurations(&resource, "");
        let made = self.create(target.clone(), object, false).await.unwrap();
        assert_eq!(made.warnings, Vec::<String>::new());
        self.see(target).await;
    }

    /// A list is as fresh as what was acknowledged before, and so is what is in memory behind it.
    pub(crate) async fn see(&mut self, target: Target) {
        let list = ListRequest {
            target: Some(target),
            ..ListRequest::default()
        };
        let mut list = self.client.list(list).await.unwrap().into_inner();
        while list.message().await.unwrap().is_some() {}
    }

    pub(crate) async fn validate(&mut self, hooks: Vec<Value>) {
        self.configure("ValidatingWebhookConfiguration", hooks)
            .await;
    }

    pub(crate) async fn mutate(&mut self, hooks: Vec<Value>) {
        self.configure("MutatingWebhookConfiguration", hooks).await;
    }

    /// A webhook that is asked about ConfigMaps.
    pub(crate) fn hook(&self, name: &str, script: &str, more: Value) -> Value {
        let mut hook = json!({
            "name": format!("{name}.wh.test"), "clientConfig": self.hook.config(script), "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}],
        });
        for (field, value) in more.as_object().unwrap() {
            hook[field] = value.clone();
        }
        hook
    }

    pub(crate) fn scripts(&self) -> Vec<String> {
        self.hook
            .asked()
            .into_iter()
            .map(|(script, _)| script)
            .collect()
    }
}

/// What came of a write; of one that failed, its status.
pub(crate) type Outcome = Result<WriteResponse, Value>;

pub(crate) fn outcome(result: Result<tonic::Response<WriteResponse>, tonic::Status>) -> Outcome {
    result.map(tonic::Response::into_inner).map_err(|status| {
        let value = status.metadata().get_bin("mainstay-failure-bin").unwrap();
        let failure = Failure::decode(value.to_bytes().unwrap()).unwrap();
        serde_json::from_slice(&failure.status).unwrap()
    })
}

pub(crate) fn config_maps(name: &str) -> Target {
    Target {
        version: "v1".to_owned(),
        resource: "configmaps".to_owned(),
        namespace: "default".to_owned(),
        name: name.to_owned(),
        ..Target::default()
    }
}

pub(crate) fn configurations(resource: &str, name: &str) -> Target {
    Target {
        group: GROUP.to_owned(),
        version: "v1".to_owned(),
        resource: resource.to_owned(),
        name: name.to_owned(),
        ..Target::default()
    }
}

pub(crate) fn tree(made: &WriteResponse) -> Value {
    serde_json::from_slice(&made.object).unwrap()
}

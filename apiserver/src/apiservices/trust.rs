//! Tells the servers of other APIs, in a config map, whose certificates this server believes.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use objects::status::{Reason, Status};
use objects::{Value, meta};
use serde_json::{Map, json};

use crate::config::Config;
use crate::flag_files::read_text;
use crate::registry::{Registry, WriteOptions};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "extension-apiserver-authentication";
/// Pause between looks at whether it is there as it should be.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// Pause before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What the config map holds.
///
/// # Errors
///
/// If a file cannot be read.
pub(crate) fn data(config: &Config) -> Result<Map<String, Value>> {
    let mut data = Map::new();
    if let Some(file) = &config.client_ca_file {
        data.insert("client-ca-file".to_owned(), read_text(file)?.into());
    }
    let Some(file) = &config.requestheader_client_ca_file else {
        return Ok(data);
    };
    data.insert(
        "requestheader-client-ca-file".to_owned(),
        read_text(file)?.into(),
    );
    let mut add = |name: &str, words: &[String]| {
        data.insert(name.to_owned(), json!(words).to_string().into());
    };
    add(
        "requestheader-username-headers",
        &config.requestheader_username_headers,
    );
    if !config.requestheader_uid_headers.is_empty() {
        add(
            "requestheader-uid-headers",
            &config.requestheader_uid_headers,
        );
    }
    add(
        "requestheader-group-headers",
        &config.requestheader_group_headers,
    );
    add(
        "requestheader-extra-headers-prefix",
        &config.requestheader_extra_headers_prefix,
    );
    add(
        "requestheader-allowed-names",
        &config.requestheader_allowed_names,
    );
    Ok(data)
}

/// Keeps the config map as it should be, until it is dropped.
pub(crate) async fn run(registry: Arc<Registry>, data: Map<String, Value>) {
    if data.is_empty() {
        return std::future::pending().await;
    }
    loop {
        let pause = match round(&registry, &data).await {
            Ok(()) => CHECK_INTERVAL,
            Err(status) => {
                tracing::debug!(error = %status, "cannot say whose certificates are believed; trying again");
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn round(registry: &Registry, data: &Map<String, Value>) -> Result<(), Status> {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": NAMESPACE, "name": NAME}, "data": data,
    });
    let request = registry.own_request(("", "configmaps"), &object)?;
    let options = WriteOptions::default();
    let live = match registry.get(&request, "").await {
        Err(status) if status.reason == Reason::NotFound => {
            return registry.create(&request, object, &options).await.map(drop);
        }
        live => live?,
    };
    if meta::map(&live, &["data"]) == Some(data) {
        return Ok(());
    }
    let change = |live: &Value| {
        let mut live = live.clone();
        live["data"] = data.clone().into();
        Ok(live)
    };
    registry.patch(&request, &change, &options).await.map(drop)
}

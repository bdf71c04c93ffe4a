//! Every namespace has a service account `default`.

use anyhow::Result;
use client::{Change, Client, Key, Next, Store};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::context::Context;

const NAME: &str = "default";
const WORKERS: usize = 1;

pub(crate) fn start(context: &Context) {
    let namespaces = context.informers.of::<Namespace>();
    let accounts = context.informers.of::<ServiceAccount>();
    let queue = context.queue("serviceaccount");
    let added = queue.clone();
    namespaces.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            added.add(Key::of(&**change.object()).name);
        }
    });
    let added = queue.clone();
    accounts.on_change(move |change| {
        if let Change::Deleted(account) = change {
            added.add(Key::of(&**account).namespace);
        }
    });
    let stores = (namespaces.store(), accounts.store());
    let client = context.client.clone();
    context.work(
        ("serviceaccount", WORKERS),
        queue,
        context.synced(),
        move |namespace: String| {
            let wanted = is_missing(&stores, &namespace);
            let client = client.clone();
            async move {
                if wanted {
                    create(&client, &namespace).await?;
                }
                anyhow::Ok(Next::Done)
            }
        },
    );
}

fn is_missing(
    (namespaces, accounts): &(Store<Namespace>, Store<ServiceAccount>),
    namespace: &str,
) -> bool {
    let found = namespaces.get(&Key::new("", namespace));
    found.is_some_and(|namespace| is_active(&namespace))
        && accounts.get(&Key::new(namespace, NAME)).is_none()
}

/// Whether objects may be made in a namespace.
pub(crate) fn is_active(namespace: &Namespace) -> bool {
    let status = namespace.status.as_ref();
    status.is_some_and(|status| status.phase.as_deref() == Some("Active"))
}

async fn create(client: &Client, namespace: &str) -> Result<()> {
    let account = ServiceAccount {
        metadata: ObjectMeta {
            namespace: Some(namespace.to_owned()),
            name: Some(NAME.to_owned()),
            ..ObjectMeta::default()
        },
        ..ServiceAccount::default()
    };
    match client.create(&account).await {
        Err(error) if !error.is_already_exists() && !error.is_namespace_terminating() => {
            Err(error.into())
        }
        _ => Ok(()),
    }
}

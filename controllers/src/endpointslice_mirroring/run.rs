//! Carries out what is decided on the mirrors of Endpoints.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use client::{Client, Key, Next, Store};
use k8s_openapi::api::core::v1::{Endpoints, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;

use super::MANAGER;
use crate::context::Context;
use crate::endpointslice::Plan;
use crate::endpointslice::run::{carry_out, follow, managed};
use crate::services::awaited::Awaited;
use crate::telling::Teller;

/// How long a store is waited for that lacks what was written.
const CATCH_UP: Duration = Duration::from_millis(50);

struct Controller {
    client: Client,
    services: Store<Service>,
    endpoints: Store<Endpoints>,
    slices: Store<EndpointSlice>,
    awaited: Arc<Awaited>,
    teller: Teller,
}

pub(crate) fn start(context: &Context) {
    let queue = context.queue("endpoint_slice_mirroring");
    let awaited = Arc::new(Awaited::default());
    let (services, endpoints) = (
        context.informers.of::<Service>(),
        context.informers.of::<Endpoints>(),
    );
    let slices = context.informers.of::<EndpointSlice>();
    follow(&slices, &queue, &awaited, MANAGER);
    let added = Arc::clone(&queue);
    services.on_change(move |change| added.add(Key::of(&**change.object())));
    let added = Arc::clone(&queue);
    endpoints.on_change(move |change| added.add(Key::of(&**change.object())));
    let controller = Arc::new(Controller {
        client: context.client.clone(),
        services: services.store(),
        endpoints: endpoints.store(),
        slices: slices.store(),
        awaited,
        teller: Teller::new(context, "endpoint-slice-mirroring-controller"),
    });
    let workers = context
        .options
        .workers
        .mirroring_concurrent_service_endpoint_syncs;
    context.work(
        ("endpointslice mirroring", workers),
        queue,
        context.synced(),
        move |key: Key| {
            let controller = Arc::clone(&controller);
            async move { controller.sync(&key).await }
        },
    );
}

impl Controller {
    async fn sync(&self, key: &Key) -> Result<Next> {
        let slices = managed(&self.slices, key, MANAGER);
        if self
            .awaited
            .is_missing(key, slices.iter().map(|slice| &slice.metadata))
        {
            return Ok(Next::After(CATCH_UP));
        }
        let service = self.services.get(key);
        let endpoints = self.endpoints.get(key);
        let mirrored =
            endpoints.filter(|endpoints| super::is_mirrored(endpoints, service.as_deref()));
        let plan = match mirrored {
            None => Plan {
                delete: slices,
                ..Plan::default()
            },
            Some(endpoints) => {
                let mirrored = super::decide(&endpoints, &slices);
                mirrored
                    .events
                    .iter()
                    .for_each(|event| self.teller.tell(&*endpoints, event));
                mirrored.plan
            }
        };
        match carry_out(&self.client, &self.awaited, key, plan).await {
            Err(error) if !error.is_namespace_terminating() => Err(error.into()),
            _ => Ok(Next::Done),
        }
    }
}

//! Objects made in batches over our gRPC, and deleted one by one.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Result, ensure};
use bytes::Bytes;
use proto::api::{self, Target};
use serde_json::Value;

use crate::apiserver::client::{Answer, Call, Client};
use crate::apiserver::grpc::ask;

/// Objects in one request.
const BATCH: usize = 64;

/// Connections to all apiservers, which are used in turn.
pub struct Api {
    clients: Vec<Client>,
    next: Cell<usize>,
}

impl Api {
    pub async fn connect(addresses: &[SocketAddr]) -> Result<Api> {
        let mut clients = Vec::new();
        for address in addresses {
            clients.push(Client::connect(*address).await?);
        }
        Ok(Api {
            clients,
            next: Cell::new(0),
        })
    }

    pub fn client(&self) -> &Client {
        let next = self.next.get();
        self.next.set(next + 1);
        &self.clients[next % self.clients.len()]
    }

    /// Makes one object.
    pub async fn create(&self, target: Target, object: &Value) -> Result<()> {
        let message = api::CreateRequest {
            target: Some(target),
            object: bytes(object),
            options: None,
        };
        ask::<api::WriteResponse>(self.client(), "Create", &message).await?;
        Ok(())
    }

    /// Makes one object that is in no namespace, or in the one that it names.
    pub async fn create_core(&self, plural: &str, object: &Value) -> Result<()> {
        let namespace = object["metadata"]["namespace"].as_str();
        self.create(core(plural, namespace.unwrap_or(""), ""), object)
            .await
    }

    /// Makes so many objects of one collection, four requests at a time. When the request with each was sent, by number.
    pub async fn create_many(
        &self,
        target: &Target,
        count: usize,
        object: impl Fn(usize) -> Bytes,
    ) -> Result<Vec<Instant>> {
        let (next, sent) = (Cell::new(0), RefCell::new(vec![Instant::now(); count]));
        let worker = async || {
            while next.get() < count {
                let from = next.get();
                let to = count.min(from + BATCH);
                next.set(to);
                let writes = (from..to).map(|number| create(target, object(number)));
                let message = api::BatchRequest {
                    writes: writes.collect(),
                    return_objects: false,
                };
                sent.borrow_mut()[from..to].fill(Instant::now());
                let answer: api::BatchResponse = ask(self.client(), "Batch", &message).await?;
                made(&answer, to - from)?;
            }
            anyhow::Ok(())
        };
        tokio::try_join!(worker(), worker(), worker(), worker())?;
        Ok(sent.into_inner())
    }

    /// Deletes an object at once.
    pub async fn delete(&self, target: Target) -> Result<()> {
        let message = api::DeleteRequest {
            target: Some(target),
            options: Some(api::DeleteOptions {
                grace_period_seconds: Some(0),
                ..Default::default()
            }),
        };
        ask::<api::DeleteResponse>(self.client(), "Delete", &message).await?;
        Ok(())
    }

    /// What REST answers to a GET.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.client().ask(Call::get(path)).await
    }
}

/// An object of the core group, or a collection without a name.
pub fn core(plural: &str, namespace: &str, name: &str) -> Target {
    Target {
        version: "v1".to_owned(),
        resource: plural.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    }
}

pub fn bytes(value: &Value) -> Bytes {
    Bytes::from(serde_json::to_vec(value).expect("values are JSON"))
}

fn create(target: &Target, object: Bytes) -> api::Write {
    let create = api::CreateRequest {
        target: Some(target.clone()),
        object,
        options: None,
    };
    api::Write {
        write: Some(api::write::Write::Create(create)),
    }
}

fn made(answer: &api::BatchResponse, count: usize) -> Result<()> {
    ensure!(
        answer.outcomes.len() == count,
        "{} outcomes of {count} writes",
        answer.outcomes.len()
    );
    for outcome in &answer.outcomes {
        if let Some(api::outcome::Outcome::Failure(failure)) = &outcome.outcome {
            anyhow::bail!("an object was refused: {}", failure.message);
        }
    }
    Ok(())
}

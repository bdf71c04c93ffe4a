//! What a controller is written with: calls, informers, work queues, elections and events, over the apiserver's gRPC.
//!
//! - [`Client`]: calls about objects whose kinds are types ([`Kind`]) or names ([`Client::dynamic`]), several writes at once
//!   ([`Client::batch`], [`Client::bind`]), failover between servers. [`Error::outcome_unknown`] says whether a write may have been done.
//! - [`Informers`]: copies of objects that follow their changes, with handlers and indices.
//! - [`WorkQueue`] and [`work`]: keys of what is to be looked at, by a bounded number of workers.
//! - [`Election`]: one leader, and a client for its [`Term`] that does not write after it.
//! - [`Recorder`]: events for people.
//!
//! ```no_run
//! use client::{Client, Config, Error, Query};
//! use k8s_openapi::api::core::v1::Pod;
//!
//! # async fn count() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::new(Config::from_kubeconfig("kubeconfig")?)?;
//! let pods = client.list::<Pod>(&Query::namespace("default")).await?;
//! println!("{} pods at {}", pods.items.len(), pods.resource_version);
//! # Ok(())
//! # }
//! ```
//!
//! `docs/writing-a-controller.md` shows a whole controller.

mod batch;
mod client;
mod config;
mod connection;
mod discovery;
mod dynamic;
mod election;
mod error;
mod events;
mod fence;
mod informer;
mod informers;
mod kind;
mod link;
mod object;
mod pause;
mod queue;
mod request;
mod watches;

pub use batch::{Binding, ITEMS_MAX, Write, Written};
pub use client::Client;
pub use config::{CALL_TIMEOUT, Config, ConfigError, Credentials, SERVERS_MAX, Trust};
pub use discovery::{Discovered, ServedResource};
pub use dynamic::Dynamic;
pub use election::{Election, ElectionConfig, Term, TermLost};
pub use error::{Error, Failure};
pub use events::{EventType, Recorder, reference};
pub use informer::{Change, Informer, Store};
pub use informers::Informers;
pub use kind::{Key, Kind, Resource};
pub use object::{DynamicObject, Object};
pub use queue::{Held, Item, Next, QueueFigures, WorkQueue, work};
pub use request::{DeleteOptions, Listed, Patch, Propagation, Query, Question};

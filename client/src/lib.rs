//! What a controller is written with: calls, informers, work queues, elections and events, over the apiserver's gRPC.

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
pub use queue::{Held, Item, Next, WorkQueue, work};
pub use request::{DeleteOptions, Listed, Patch, Propagation, Query};

//! Kubernetes' REST API: who asks for what is found out, judged and answered.

mod answer;
mod body;
mod connect;
mod front;
mod media;
mod objects_api;
mod openapi;
mod pages;
mod path;
mod reviews;
mod stream;
mod verbs;
mod writes;

pub use self::answer::{Answer, Body};
pub use self::front::{Front, Peer};
pub use self::pages::{Pages, VERSION};

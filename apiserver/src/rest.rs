//! Kubernetes' REST API: who asks for what is found out, judged and answered.

mod answer;
mod body;
mod front;
mod media;
mod objects_api;
mod pages;
mod path;
mod stream;
mod verbs;
mod writes;

pub use self::answer::{Answer, Body};
pub use self::front::{Front, Peer};
pub use self::pages::{Pages, VERSION};

//! Kubernetes' REST API: who asks for what is found out, judged and answered.

mod aggregated;
mod answer;
mod audited;
mod body;
mod connect;
mod front;
mod list_body;
mod load;
mod measured;
mod media;
mod objects_api;
mod openapi;
mod pages;
mod path;
pub(crate) mod reviews;
mod stream;
mod verbs;
mod writes;

pub use self::answer::{Answer, Body, Failure};
pub(crate) use self::body::{BODY_BYTES_MAX, decode_applied, decode_json, decode_patched};
pub(crate) use self::connect::Outward;
pub(crate) use self::front::timed_out;
pub use self::front::{Front, Peer};
pub use self::load::Load;
pub(crate) use self::objects_api::{check_served, not_served};
pub use self::pages::{Pages, VERSION};
pub(crate) use self::path::{decoded, encoded, names};
pub(crate) use self::writes::{note_object, wanted};

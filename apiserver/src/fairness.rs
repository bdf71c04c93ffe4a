//! Fair sharing: every request has a place among those that run, and waits for one in the queue of its flow. Levels of priority
//! divide the server between them; flow schemas say which level a request is of.

mod bootstrap;
mod configuration;
mod deal;
mod demand;
mod fair;
mod gate;
mod held;
mod histogram;
mod level;
mod limits;
mod matching;
mod metrics;
mod pushback;
mod queues;
mod shares;
mod upkeep;
mod width;

pub use self::gate::Gate;
pub(crate) use self::gate::{Place, Refused};
pub(crate) use self::held::{Begun, hold};
pub(crate) use self::upkeep::run;
pub(crate) use self::width::{Asked, seats};

//! Single keys: put, read, delete, and reads from one member's own state on the side.

use check::history::{DeleteRange, Put, Range, Request};

use super::{Kind, get, key};
use crate::actor::Actor;

const KEYS: u64 = 10;

pub(super) async fn step(actor: &mut Actor) {
    let key = key(actor, Kind::Registers, KEYS);
    let request = match actor.random.below(100) {
        0..45 => Request::Put(Put {
            key,
            value: actor.value(),
            prev_kv: actor.random.percent(30),
            ..Put::default()
        }),
        45..85 => get(key),
        85..93 => Request::Range(Range {
            key,
            serializable: true,
            ..Range::default()
        }),
        _ => Request::DeleteRange(DeleteRange {
            key,
            prev_kv: actor.random.percent(50),
            ..DeleteRange::default()
        }),
    };
    actor.ask(request).await;
}

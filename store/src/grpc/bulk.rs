//! The lane of large ranges: few run at a time, and what answers take of memory has a bound. Nothing else waits behind them.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use state_machine::{KeyRange, StateMachine, Weight};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::held::{Charge, Sending};
use super::status;
use crate::config::RangeBounds;
use crate::metrics::Metrics;

/// A range that looks at more keys or answers with more bytes is large. Smaller ones are read on the runtime's own
/// threads, which can spare the time that takes.
pub(super) const SMALL: Weight = Weight {
    keys: 4096,
    bytes: 1 << 20,
};
/// Large ranges that may wait; one more is refused.
const WAITING_MAX: usize = 256;
/// Longest wait for a place, and again for memory: as long as a request waits for raft.
const WAIT_MAX: Duration = Duration::from_secs(7);
/// Smaller answers are not counted: a connection's buffers take as much.
const UNCOUNTED_BYTES: usize = 64 << 10;
/// Memory is counted in units of so many bytes.
const UNIT_BYTES: u64 = 1 << 10;
/// How often answers are looked at that nobody takes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// One range of a request: what is looked at, and how much of it is answered.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) keys: KeyRange,
    /// Keys that are answered at most.
    pub(super) answered_max: usize,
    pub(super) has_values: bool,
    /// Bytes that are answered at most, as far as can be known before the read; whatever the keys weigh, when the answer
    /// is chosen from them by a sort or a filter.
    pub(super) bytes_max: Option<u64>,
}

/// The lane and its memory.
#[derive(Debug)]
pub(super) struct Bulk {
    running: Arc<Semaphore>,
    waiting: Semaphore,
    memory: Arc<Semaphore>,
    /// Of answers of ranges that are not large. They have as much, and do not wait for it.
    small_memory: Arc<Semaphore>,
    answers_bytes_max: u64,
    sending: Mutex<Vec<std::sync::Weak<Mutex<Sending>>>>,
    metrics: Arc<Metrics>,
}

/// A range's leave to run. A small one needs none.
#[derive(Debug, Default)]
pub(super) struct Place {
    running: Option<OwnedSemaphorePermit>,
    memory: Option<OwnedSemaphorePermit>,
    open: Option<crate::metrics::Open>,
}

impl Place {
    pub(super) fn is_bulk(&self) -> bool {
        self.running.is_some()
    }
}

/// Whether reads of all these together are large.
pub(super) fn is_large<'a>(
    machine: &StateMachine,
    looks: impl IntoIterator<Item = &'a Look>,
) -> bool {
    let mut left = SMALL;
    looks.into_iter().any(|look| {
        let weight = weigh(machine, look, left);
        let over = weight.keys > left.keys || weight.bytes > left.bytes;
        left.keys = left.keys.saturating_sub(weight.keys);
        left.bytes = left.bytes.saturating_sub(weight.bytes);
        over
    })
}

fn weigh(machine: &StateMachine, look: &Look, most: Weight) -> Weight {
    if look.keys.end.is_empty() {
        // One key's value was small enough for a request.
        return Weight { keys: 1, bytes: 0 };
    }
    machine.weigh(&look.keys, (look.answered_max, look.has_values), most)
}

impl Bulk {
    pub(super) fn new(bounds: RangeBounds, metrics: Arc<Metrics>) -> Bulk {
        let units = |bytes: u64| {
            let units = usize::try_from(bytes / UNIT_BYTES).unwrap_or(usize::MAX);
            Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)))
        };
        Bulk {
            running: Arc::new(Semaphore::new(bounds.running_max)),
            waiting: Semaphore::new(WAITING_MAX),
            memory: units(bounds.answers_bytes_max),
            small_memory: units(bounds.answers_bytes_max),
            answers_bytes_max: bounds.answers_bytes_max,
            sending: Mutex::default(),
            metrics,
        }
    }

    /// Waits for a place in the lane, if these reads are large, and with `is_answered_whole` for the memory of the answer.
    pub(super) async fn enter(
        &self,
        machine: &Arc<StateMachine>,
        looks: &[Look],
        is_answered_whole: bool,
    ) -> Result<Place, Status> {
        if !is_large(machine, looks) {
            return Ok(Place::default());
        }
        let Ok(_waiting) = self.waiting.try_acquire() else {
            return Err(self.refuse());
        };
        let waits = self.metrics.bulk_waiting();
        let mut place = self.place().await?;
        if is_answered_whole {
            let bytes = self.answer_bytes(machine, looks.to_vec()).await?;
            place = self.with_memory(place, bytes).await?;
        }
        drop(waits);
        place.open = Some(self.metrics.bulk_running());
        Ok(place)
    }

    /// Bytes that the answer takes, as far as the newest values tell; refused if no memory is large enough.
    async fn answer_bytes(
        &self,
        machine: &Arc<StateMachine>,
        looks: Vec<Look>,
    ) -> Result<u64, Status> {
        let (machine, most) = (Arc::clone(machine), self.answers_bytes_max);
        let weighing = tokio::task::spawn_blocking(move || {
            let most = Weight {
                keys: usize::MAX,
                bytes: most,
            };
            let weights = looks.iter().map(|look| {
                let bytes = weigh(&machine, look, most).bytes;
                look.bytes_max.map_or(bytes, |max| bytes.min(max))
            });
            let is_known = looks.iter().all(|look| look.bytes_max.is_none());
            let bytes = weights.fold(0, u64::saturating_add);
            if is_known {
                bytes
            } else {
                bytes.min(most.bytes)
            }
        });
        let bytes = weighing
            .await
            .map_err(|error| status::internal(&error.to_string()))?;
        if bytes > self.answers_bytes_max {
            return Err(self.too_large());
        }
        Ok(bytes)
    }

    /// A place with memory. Whoever waits for memory gives its place to others for that time.
    async fn with_memory(&self, place: Place, bytes: u64) -> Result<Place, Status> {
        let units = units(bytes);
        let memory = Arc::clone(&self.memory);
        if let Ok(memory) = Arc::clone(&memory).try_acquire_many_owned(units) {
            return Ok(Place {
                memory: Some(memory),
                ..place
            });
        }
        drop(place);
        let memory = self.wait(memory.acquire_many_owned(units)).await?;
        let place = self.place().await?;
        Ok(Place {
            memory: Some(memory),
            ..place
        })
    }

    async fn place(&self) -> Result<Place, Status> {
        let running = self.wait(Arc::clone(&self.running).acquire_owned()).await?;
        Ok(Place {
            running: Some(running),
            ..Place::default()
        })
    }

    async fn wait(
        &self,
        permit: impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>>,
    ) -> Result<OwnedSemaphorePermit, Status> {
        match tokio::time::timeout(WAIT_MAX, permit).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.refuse()),
        }
    }

    /// Counts an answer of so many bytes until it is sent, and gives the place to the next one. Refused when there is
    /// no memory for it: it was larger than it looked.
    pub(super) fn charge(&self, place: Place, bytes: usize) -> Result<Option<Charge>, Status> {
        let is_bulk = place.is_bulk();
        drop((place.running, place.open));
        if bytes <= UNCOUNTED_BYTES {
            return Ok(None);
        }
        let is_large = is_bulk || bytes as u64 > SMALL.bytes;
        let source = if is_large {
            &self.memory
        } else {
            &self.small_memory
        };
        if bytes as u64 > self.answers_bytes_max {
            return Err(self.too_large());
        }
        let wanted = units(bytes as u64) as usize;
        let permit = match place.memory {
            Some(mut held) => {
                let held_units = held.num_permits();
                if held_units > wanted {
                    drop(held.split(held_units - wanted));
                } else if held_units < wanted {
                    held.merge(self.at_once(source, wanted - held_units)?);
                }
                held
            }
            None => self.at_once(source, wanted)?,
        };
        Ok(Some(Charge::new(permit, self.metrics.answer_held(bytes))))
    }

    fn at_once(
        &self,
        source: &Arc<Semaphore>,
        units: usize,
    ) -> Result<OwnedSemaphorePermit, Status> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let permit = Arc::clone(source).try_acquire_many_owned(units);
        permit.map_err(|_full| self.refuse())
    }

    fn refuse(&self) -> Status {
        self.metrics.bulk_refused.add(1);
        status::too_many_requests()
    }

    fn too_large(&self) -> Status {
        self.metrics.bulk_refused.add(1);
        Status::resource_exhausted(format!(
            "etcdserver: the answer is larger than --range-answers-bytes-max ({} bytes): ask with a limit, or use RangeStream",
            self.answers_bytes_max
        ))
    }

    /// Has an answer looked at until it is sent.
    pub(super) fn watch(&self, sending: &Arc<Mutex<Sending>>) {
        self.sending.lock().push(Arc::downgrade(sending));
    }

    /// Gives back the memory of answers that nobody takes.
    pub(super) async fn end_stalled(&self) {
        let mut tick = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tick.tick().await;
            self.sending.lock().retain(|sending| {
                let Some(sending) = sending.upgrade() else {
                    return false;
                };
                !sending.lock().end_if_stalled()
            });
        }
    }
}

fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(running_max: usize, answers_bytes_max: u64) -> Bulk {
        let bounds = RangeBounds {
            running_max,
            answers_bytes_max,
        };
        Bulk::new(bounds, Arc::default())
    }

    #[tokio::test]
    async fn memory_is_held_until_the_answer_is_gone() {
        let bulk = bulk(1, 1 << 20);
        let place = bulk.place().await.unwrap();
        let place = bulk.with_memory(place, 1 << 20).await.unwrap();
        // It was smaller than it looked, and the rest is free for others at once.
        let charge = bulk.charge(place, 512 << 10).unwrap();
        assert_eq!(bulk.memory.available_permits(), 512);
        assert_eq!(bulk.running.available_permits(), 1);
        drop(charge);
        assert_eq!(bulk.memory.available_permits(), 1024);
    }

    #[test]
    fn small_answers_have_memory_of_their_own_and_tiny_ones_need_none() {
        let bulk = bulk(1, 1 << 20);
        let small = bulk.charge(Place::default(), 950 << 10).unwrap();
        assert!(small.is_some());
        assert_eq!(bulk.memory.available_permits(), 1024);
        let refused = bulk.charge(Place::default(), 100 << 10).unwrap_err();
        assert_eq!(refused.message(), "etcdserver: too many requests");
        assert!(
            bulk.charge(Place::default(), UNCOUNTED_BYTES)
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn an_answer_beyond_all_memory_says_what_to_do() {
        let refused = bulk(1, 1 << 20).charge(Place::default(), 2 << 20);
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(refused.message().contains("RangeStream"));
    }
}

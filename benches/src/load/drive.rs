//! The loop of a run: hands out requests in closed or open loop, judges the answers, measures a window of time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hdrhistogram::Histogram;

use crate::load::connection::Arrival;
use crate::load::engine::Engine;
use crate::load::processes::{self, Usage};
use crate::load::report;
use crate::load::watch::FIRST_TAG;
use crate::load::workload::{Style, Workload};

/// After so long without any answer a run fails.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long late answers and events are waited for when the measured time is over.
const SETTLE_MAX: Duration = Duration::from_secs(20);
const TURN_MAX: Duration = Duration::from_millis(10);
/// The tag of the call made in the middle of a run.
const SIDE_TAG: u64 = 1 << 41;

/// When a run is over.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    Seconds { warmup: f64, measured: f64 },
    Total(u64),
}

/// One call made besides the load, to see what it does to it.
#[derive(Clone, Debug)]
pub struct SideCall {
    /// Counted from the beginning of the measured time.
    pub after: Duration,
    pub connection: usize,
    pub path: &'static str,
    pub message: Vec<u8>,
}

/// How a workload is driven.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The connection of each slot.
    pub slots: Vec<usize>,
    pub until: Until,
    /// Requests a second in open loop; closed loop when `None`.
    pub rate: Option<f64>,
    pub side_call: Option<SideCall>,
    pub server_pids: Vec<u32>,
    /// A folder on the device whose writes are counted.
    pub data_folder: Option<PathBuf>,
}

/// What was measured.
pub struct Measured {
    pub operations: u64,
    pub elapsed: Duration,
    pub latency: Histogram<u64>,
    pub errors: BTreeMap<String, u64>,
    pub own_cpu: Duration,
    /// Use within the measured time, and memory at its end.
    pub servers: Vec<(u32, Usage)>,
    /// Bytes that reached the device of the data folder.
    pub device_written: Option<u64>,
    pub side_call: Option<Duration>,
}

#[derive(Clone, Copy)]
struct Slot {
    connection: usize,
    stream: u32,
    due: Instant,
    answered: bool,
}

/// What an answer may change; apart from the engine, which hands the answers out.
struct State<'a> {
    workload: &'a mut dyn Workload,
    style: Style,
    slots: Vec<Slot>,
    free: Vec<usize>,
    /// Only requests that were due in here count in open loop, only answers that came in here in closed loop.
    window: (Option<Instant>, Option<Instant>),
    open_loop: bool,
    done: u64,
    counted: u64,
    latency: Histogram<u64>,
    errors: BTreeMap<String, u64>,
    last_arrival: Instant,
    side_sent: Option<Instant>,
    side_took: Option<Duration>,
    broken: Option<String>,
}

impl State<'_> {
    fn arrived(&mut self, arrival: Arrival<'_>) {
        match arrival {
            Arrival::Message { tag, body } if tag >= FIRST_TAG && tag != SIDE_TAG => {
                if let Err(reason) = self.workload.streamed(tag, body) {
                    self.fail(reason);
                }
            }
            Arrival::Message { tag, .. } if tag == SIDE_TAG => {
                self.side_took = self.side_sent.map(|sent| sent.elapsed());
            }
            Arrival::Message { tag, body } => {
                let slot = tag as usize;
                self.slots[slot].answered = true;
                if let Err(reason) = self.workload.answer(slot, body) {
                    self.fail(reason);
                }
                if self.style == Style::Streaming {
                    self.complete(slot);
                }
            }
            Arrival::Closed { tag, code, reason } if tag >= FIRST_TAG => {
                if code != 0 || tag != SIDE_TAG {
                    self.broken = Some(format!("a stream ended: status {code} {reason:?}"));
                }
            }
            Arrival::Closed { tag, code, reason } => {
                let slot = tag as usize;
                if self.style == Style::Streaming {
                    self.broken = Some(format!("a stream ended: status {code} {reason:?}"));
                    return;
                }
                if code != 0 {
                    self.fail(format!("status {code}: {}", reason.unwrap_or_default()));
                } else if !self.slots[slot].answered {
                    self.fail("an answer without message".to_owned());
                }
                self.complete(slot);
            }
        }
    }

    fn fail(&mut self, reason: String) {
        *self.errors.entry(reason).or_default() += 1;
    }

    fn complete(&mut self, slot: usize) {
        let now = Instant::now();
        let due = self.slots[slot].due;
        let judged = if self.open_loop { due } else { now };
        let begun = self.window.0.is_some_and(|begin| judged >= begin);
        if begun && self.window.1.is_none_or(|end| judged < end) {
            self.counted += 1;
            let nanoseconds = now.duration_since(due).as_nanos() as u64;
            self.latency.saturating_record(nanoseconds.max(1));
        }
        self.done += 1;
        self.last_arrival = now;
        self.free.push(slot);
    }
}

/// The whole run: the state, the engine and how far things are.
struct Run<'a> {
    engine: &'a mut Engine,
    plan: &'a Plan,
    state: State<'a>,
    start: Instant,
    issued: u64,
    own_cpu: Duration,
    servers: Vec<(u32, Usage)>,
    device_written: Option<u64>,
    message: Vec<u8>,
}

/// Runs a workload to its end.
pub fn drive(engine: &mut Engine, workload: &mut dyn Workload, plan: &Plan) -> Result<Measured> {
    let start = Instant::now();
    let style = workload.style();
    let mut slots = Vec::with_capacity(plan.slots.len());
    for (slot, &connection) in plan.slots.iter().enumerate() {
        let stream = match style {
            Style::Unary => 0,
            Style::Streaming => engine
                .connection(connection)
                .open_stream(workload.path(), slot as u64),
        };
        slots.push(Slot {
            connection,
            stream,
            due: start,
            answered: false,
        });
    }
    let state = State {
        style,
        free: (0..slots.len()).rev().collect(),
        slots,
        workload,
        window: (None, None),
        open_loop: plan.rate.is_some(),
        done: 0,
        counted: 0,
        latency: report::histogram(),
        errors: BTreeMap::new(),
        last_arrival: start,
        side_sent: None,
        side_took: None,
        broken: None,
    };
    let (own_cpu, servers, message) = (Duration::ZERO, Vec::new(), Vec::new());
    let (issued, device_written) = (0, None);
    let run = Run {
        engine,
        plan,
        state,
        start,
        issued,
        own_cpu,
        servers,
        device_written,
        message,
    };
    run.finish()
}

impl Run<'_> {
    fn finish(mut self) -> Result<Measured> {
        loop {
            let now = Instant::now();
            self.move_window(now)?;
            if self.state.window.1.is_none() {
                self.issue(now)?;
                self.side_call(now);
            } else if self.is_settled(now) {
                break;
            }
            self.engine.flush()?;
            self.engine
                .turn(TURN_MAX, &mut |arrival| self.state.arrived(arrival))?;
            if let Some(reason) = self.state.broken.take() {
                bail!(reason);
            }
            if self.in_flight() > 0 && self.state.last_arrival.elapsed() > SILENCE_MAX {
                bail!(
                    "no answer for {SILENCE_MAX:?}, {} requests in flight",
                    self.in_flight()
                );
            }
        }
        let state = self.state;
        let (Some(begin), Some(end)) = state.window else {
            bail!("nothing was measured")
        };
        Ok(Measured {
            operations: state.counted,
            elapsed: end.duration_since(begin),
            latency: state.latency,
            errors: state.errors,
            own_cpu: self.own_cpu,
            servers: self.servers,
            device_written: self.device_written,
            side_call: state.side_took,
        })
    }

    fn in_flight(&self) -> u64 {
        self.issued - self.state.done
    }

    fn is_settled(&self, now: Instant) -> bool {
        let late = self
            .state
            .window
            .1
            .is_some_and(|end| now > end + SETTLE_MAX);
        let side_done = self.state.side_sent.is_none() || self.state.side_took.is_some();
        late || (self.in_flight() == 0 && side_done && self.state.workload.settled())
    }

    /// Opens and closes the measured time.
    fn move_window(&mut self, now: Instant) -> Result<()> {
        let (begin, end) = match self.plan.until {
            Until::Total(total) => (self.start, (self.state.done >= total).then_some(now)),
            Until::Seconds { warmup, measured } => {
                let begin = self.start + Duration::from_secs_f64(warmup);
                let end = begin + Duration::from_secs_f64(measured);
                (begin, (now >= end).then_some(end))
            }
        };
        if self.state.window.0.is_none() && now >= begin {
            self.state.window.0 = Some(begin);
            self.state.workload.measuring(true);
            self.own_cpu = processes::own_cpu();
            self.device_written = self.device_count()?;
            for &pid in &self.plan.server_pids {
                self.servers.push((pid, processes::usage(pid)?));
            }
        }
        if self.state.window.1.is_none() && end.is_some() {
            self.state.window.1 = end;
            self.state.workload.measuring(false);
            self.own_cpu = processes::own_cpu() - self.own_cpu;
            let after = self.device_count()?;
            let written = self.device_written.zip(after);
            self.device_written = written.map(|(before, after)| after.saturating_sub(before));
            for (pid, before) in &mut self.servers {
                let after = processes::usage(*pid)?;
                before.cpu = after.cpu.saturating_sub(before.cpu);
                before.written_bytes = after.written_bytes.saturating_sub(before.written_bytes);
                before.resident_bytes = after.resident_bytes;
            }
            self.note_unsent(now);
        }
        Ok(())
    }

    fn device_count(&self) -> Result<Option<u64>> {
        self.plan
            .data_folder
            .as_deref()
            .map(processes::device_written_bytes)
            .transpose()
    }

    /// Requests that were due and found no free slot are failures: else a server too slow for the rate would look good.
    fn note_unsent(&mut self, now: Instant) {
        if let Some(rate) = self.plan.rate {
            let unsent =
                due_count(now.duration_since(self.start), rate).saturating_sub(self.issued);
            // A few are always due in the very moment the time is over.
            if unsent > self.state.slots.len() as u64 {
                self.state
                    .errors
                    .insert("due and never sent".to_owned(), unsent);
            }
        }
    }

    fn issue(&mut self, now: Instant) -> Result<()> {
        let Some(rate) = self.plan.rate else {
            let left = match self.plan.until {
                Until::Total(total) => total - self.issued,
                Until::Seconds { .. } => u64::MAX,
            };
            let count = (self.state.free.len() as u64).min(left) as usize;
            for _ in 0..count {
                self.request(now);
            }
            return Ok(());
        };
        let due = due_count(now.duration_since(self.start), rate);
        while self.issued < due && !self.state.free.is_empty() {
            let at = self.start + Duration::from_secs_f64(self.issued as f64 / rate);
            self.request(at);
        }
        if self.state.free.is_empty() {
            return self.engine.wake_after(None);
        }
        let next = self.start + Duration::from_secs_f64(self.issued as f64 / rate);
        self.engine
            .wake_after(Some(next.saturating_duration_since(Instant::now())))
    }

    fn request(&mut self, due: Instant) {
        let Some(slot) = self.state.free.pop() else {
            return;
        };
        if self.issued == self.state.done {
            self.state.last_arrival = Instant::now();
        }
        self.issued += 1;
        self.message.clear();
        self.state.workload.build(slot, due, &mut self.message);
        let path = self.state.workload.path();
        let place = &mut self.state.slots[slot];
        place.due = due;
        place.answered = false;
        let connection = self.engine.connection(place.connection);
        match self.state.style {
            Style::Unary => connection.call(path, slot as u64, &self.message),
            Style::Streaming => connection.send(place.stream, &self.message, false),
        }
    }

    fn side_call(&mut self, now: Instant) {
        let (Some(call), Some(begin)) = (&self.plan.side_call, self.state.window.0) else {
            return;
        };
        if self.state.side_sent.is_none() && now >= begin + call.after {
            self.state.side_sent = Some(now);
            self.engine
                .connection(call.connection)
                .call(call.path, SIDE_TAG, &call.message);
        }
    }
}

/// Requests that are due after `elapsed`; the first is due at once.
fn due_count(elapsed: Duration, rate: f64) -> u64 {
    (elapsed.as_secs_f64() * rate) as u64 + 1
}

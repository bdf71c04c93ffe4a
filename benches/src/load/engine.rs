//! The event loop under all workloads: epoll over the connections, a timer for constant rates, one write per connection and turn.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::event::{Timespec, epoll};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags};

use crate::load::connection::{Arrival, Connection};

/// Bytes one read takes at most; far above the largest frame.
const SCRATCH_BYTES: usize = 512 * 1024;
const EVENTS_PER_TURN: usize = 256;
const TIMER_TOKEN: u64 = u64::MAX;
const ANSWER_DEADLINE: Duration = Duration::from_secs(30);
/// The tag of calls made by `ask`.
const ASK_TAG: u64 = u64::MAX;

/// Connections and what it takes to wait on them.
pub struct Engine {
    epoll: OwnedFd,
    timer: Option<OwnedFd>,
    connections: Vec<Connection>,
    /// Connections with something to flush.
    dirty: Vec<usize>,
    /// For each connection: is epoll asked to say when it is writable?
    awaits_room: Vec<bool>,
    scratch: Vec<u8>,
    ready: Vec<epoll::Event>,
}

impl Engine {
    pub fn new() -> Result<Engine> {
        Ok(Engine {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll")?,
            timer: None,
            connections: Vec::new(),
            dirty: Vec::new(),
            awaits_room: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            ready: Vec::with_capacity(EVENTS_PER_TURN),
        })
    }

    /// Opens one more connection; returns its number.
    pub fn connect(&mut self, address: &str) -> Result<usize> {
        let connection = Connection::open(address)?;
        let number = self.connections.len();
        let data = epoll::EventData::new_u64(number as u64);
        epoll::add(
            &self.epoll,
            connection.socket(),
            data,
            epoll::EventFlags::IN,
        )?;
        self.connections.push(connection);
        self.awaits_room.push(false);
        self.dirty.push(number);
        Ok(number)
    }

    /// The connection with this number, to queue calls on; it is flushed at the next `flush`.
    pub fn connection(&mut self, number: usize) -> &mut Connection {
        if !self.connections[number].has_output() {
            self.dirty.push(number);
        }
        &mut self.connections[number]
    }

    /// Makes the next `turn` return after this time at the latest, more exactly than its own limit does; `None` takes that back.
    pub fn wake_after(&mut self, wait: Option<Duration>) -> Result<()> {
        if self.timer.is_none() {
            let timer =
                rustix::time::timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK)?;
            let data = epoll::EventData::new_u64(TIMER_TOKEN);
            epoll::add(&self.epoll, &timer, data, epoll::EventFlags::IN)?;
            self.timer = Some(timer);
        }
        // Zero would disarm the timer; setting it also takes back that it went off.
        let at = match wait {
            Some(wait) => timespec(wait.max(Duration::from_nanos(1)))?,
            None => timespec(Duration::ZERO)?,
        };
        let setting = Itimerspec {
            it_interval: timespec(Duration::ZERO)?,
            it_value: at,
        };
        if let Some(timer) = &self.timer {
            rustix::time::timerfd_settime(timer, TimerfdTimerFlags::empty(), &setting)?;
        }
        Ok(())
    }

    /// Writes all that is queued.
    pub fn flush(&mut self) -> Result<()> {
        while let Some(number) = self.dirty.pop() {
            self.flush_one(number)?;
        }
        Ok(())
    }

    fn flush_one(&mut self, number: usize) -> Result<()> {
        let connection = &mut self.connections[number];
        connection.flush()?;
        let blocked = connection.has_output();
        if blocked != self.awaits_room[number] {
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, blocked);
            let data = epoll::EventData::new_u64(number as u64);
            epoll::modify(&self.epoll, connection.socket(), data, flags)?;
            self.awaits_room[number] = blocked;
        }
        Ok(())
    }

    /// Waits up to `wait` for anything to happen and hands out what arrived.
    pub fn turn(&mut self, wait: Duration, sink: &mut dyn FnMut(Arrival<'_>)) -> Result<()> {
        let wait = timespec(wait)?;
        let mut ready = std::mem::take(&mut self.ready);
        ready.clear();
        let space = rustix::buffer::spare_capacity(&mut ready);
        match epoll::wait(&self.epoll, space, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).context("cannot wait for the servers"),
        }
        for event in &ready {
            let token = event.data.u64();
            if token == TIMER_TOKEN {
                continue;
            }
            let number = token as usize;
            // An error or hang-up shows as a failing read.
            let flags = event.flags;
            if flags != epoll::EventFlags::OUT {
                self.connections[number].receive(&mut self.scratch, sink)?;
            }
            if self.connections[number].has_output() {
                self.dirty.push(number);
            }
        }
        self.ready = ready;
        Ok(())
    }

    /// One call and its last message, while nothing else is going on.
    pub fn ask(&mut self, number: usize, path: &'static str, message: &[u8]) -> Result<Vec<u8>> {
        let mut answer = None;
        self.call_to_end(number, path, message, &mut |body| {
            answer = Some(body.to_vec())
        })?;
        answer.with_context(|| format!("{path} answered nothing"))
    }

    /// One call without arguments that answers with many messages; returns their bytes.
    pub fn download(&mut self, number: usize, path: &'static str) -> Result<u64> {
        let mut bytes = 0;
        self.call_to_end(number, path, &[], &mut |body| bytes += body.len() as u64)?;
        Ok(bytes)
    }

    fn call_to_end(
        &mut self,
        number: usize,
        path: &'static str,
        message: &[u8],
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<()> {
        self.connection(number).call(path, ASK_TAG, message);
        let mut last = Instant::now();
        let mut end = None;
        while end.is_none() {
            self.flush()?;
            if last.elapsed() > ANSWER_DEADLINE {
                bail!("no answer to {path} within {ANSWER_DEADLINE:?}");
            }
            self.turn(Duration::from_millis(100), &mut |arrival| match arrival {
                Arrival::Message { tag: ASK_TAG, body } => {
                    last = Instant::now();
                    take(body);
                }
                Arrival::Closed {
                    tag: ASK_TAG,
                    code,
                    reason,
                } => end = Some((code, reason)),
                _ => {}
            })?;
        }
        match end {
            Some((0, _)) => Ok(()),
            other => bail!("{path} failed: {other:?}"),
        }
    }
}

fn timespec(duration: Duration) -> Result<Timespec> {
    Ok(Timespec {
        tv_sec: i64::try_from(duration.as_secs()).context("the wait is too long")?,
        tv_nsec: i64::from(duration.subsec_nanos()),
    })
}

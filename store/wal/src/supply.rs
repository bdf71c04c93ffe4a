//! The thread that keeps the next segment ready and puts purged ones back to use.
//!
//! The next segment always lies on disk, filled and under its final name, before the log needs it. So a
//! roll costs no more than a write, and a full disk is noticed a whole segment ahead.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::disk::{Disk, DiskFile, Names};
use crate::error::Failure;
use crate::segment;

/// Orders that may wait; there is one for each roll or purge of a segment, so they are rare.
const ORDERS_MAX: usize = 16;
/// A failed preparation is tried again this often.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

enum Order {
    Prepare(u64),
    Retire(Vec<u64>),
}

enum Next {
    Preparing,
    Ready { sequence: u64, file: DiskFile },
    Failed(Failure),
}

/// Whether the next segment is there; shared with the handle.
pub(crate) struct Shelf {
    next: Mutex<Next>,
    changed: Condvar,
}

impl Default for Shelf {
    fn default() -> Shelf {
        Shelf {
            next: Mutex::new(Next::Preparing),
            changed: Condvar::new(),
        }
    }
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Next> {
        self.next.lock().expect("no code under this lock panics")
    }

    fn set(&self, next: Next) {
        *self.lock() = next;
        self.changed.notify_all();
    }

    /// Why the next segment could not be made, if so.
    pub(crate) fn failure(&self) -> Option<io::Error> {
        match &*self.lock() {
            Next::Failed(failure) => Some(failure.error()),
            Next::Preparing | Next::Ready { .. } => None,
        }
    }

    /// Waits until the segment is there or could not be made.
    pub(crate) fn wait_ready(&self) -> io::Result<()> {
        let mut next = self.lock();
        while matches!(*next, Next::Preparing) {
            next = self
                .changed
                .wait(next)
                .expect("no code under this lock panics");
        }
        match &*next {
            Next::Failed(failure) => Err(failure.error()),
            Next::Preparing | Next::Ready { .. } => Ok(()),
        }
    }

    fn take(&self, wanted: u64) -> io::Result<DiskFile> {
        let mut next = self.lock();
        loop {
            match std::mem::replace(&mut *next, Next::Preparing) {
                Next::Ready { sequence, file } if sequence == wanted => return Ok(file),
                Next::Failed(failure) => {
                    let error = failure.error();
                    *next = Next::Failed(failure);
                    return Err(error);
                }
                Next::Preparing | Next::Ready { .. } => {
                    next = self
                        .changed
                        .wait(next)
                        .expect("no code under this lock panics");
                }
            }
        }
    }
}

/// The writer's end of the thread; dropping it ends the thread.
pub(crate) struct Supply {
    shelf: Arc<Shelf>,
    hands: Hands,
}

/// Who carries orders out.
enum Hands {
    Thread {
        orders: Option<SyncSender<Order>>,
        thread: Option<JoinHandle<()>>,
    },
    /// Whoever gives them, at once.
    #[cfg(feature = "simulation")]
    Inline(Box<Worker>),
}

/// What the thread starts with.
pub(crate) struct Stock {
    pub(crate) disk: Disk,
    pub(crate) names: Names,
    pub(crate) segment_bytes: u64,
    pub(crate) spares: BTreeMap<u64, PathBuf>,
    pub(crate) spares_max: usize,
}

impl Supply {
    pub(crate) fn start(stock: Stock) -> io::Result<Supply> {
        let (orders, inbox) = sync_channel(ORDERS_MAX);
        let shelf = Arc::<Shelf>::default();
        let thread = std::thread::Builder::new()
            .name("wal-supply".to_owned())
            .spawn({
                let shelf = Arc::clone(&shelf);
                move || Worker::new(stock, shelf).run(&inbox)
            })?;
        Ok(Supply {
            shelf,
            hands: Hands::Thread {
                orders: Some(orders),
                thread: Some(thread),
            },
        })
    }

    /// Without a thread.
    #[cfg(feature = "simulation")]
    pub(crate) fn inline(stock: Stock) -> Supply {
        let shelf = Arc::<Shelf>::default();
        let worker = Worker::new(stock, Arc::clone(&shelf));
        Supply {
            shelf,
            hands: Hands::Inline(Box::new(worker)),
        }
    }

    /// What the thread does by itself from time to time: tries a failed preparation again.
    #[cfg(feature = "simulation")]
    pub(crate) fn tend(&mut self) {
        if let Hands::Inline(worker) = &mut self.hands {
            worker.retry();
        }
    }

    pub(crate) fn shelf(&self) -> Arc<Shelf> {
        Arc::clone(&self.shelf)
    }

    /// Starts preparing a segment. There is at most one that was not taken.
    pub(crate) fn prepare(&mut self, sequence: u64) -> io::Result<()> {
        {
            let mut next = self.shelf.lock();
            // A retry of the thread's own may just have succeeded.
            if matches!(*next, Next::Ready { sequence: ready, .. } if ready == sequence) {
                return Ok(());
            }
            *next = Next::Preparing;
        }
        self.send(Order::Prepare(sequence))
    }

    /// The prepared segment; waits for it, and tries once more when preparing it failed before.
    pub(crate) fn take(&mut self, sequence: u64) -> io::Result<DiskFile> {
        if self.shelf.failure().is_some() {
            self.prepare(sequence)?;
        }
        self.shelf.take(sequence)
    }

    /// Gives back segments that hold nothing the log needs, oldest first.
    pub(crate) fn retire(&mut self, sequences: Vec<u64>) -> io::Result<()> {
        self.send(Order::Retire(sequences))
    }

    fn send(&mut self, order: Order) -> io::Result<()> {
        match &mut self.hands {
            Hands::Thread { orders, .. } => {
                let orders = orders.as_ref().expect("only drop takes the sender");
                orders
                    .send(order)
                    .map_err(|error| io::Error::other(error.to_string()))
            }
            #[cfg(feature = "simulation")]
            Hands::Inline(worker) => {
                worker.carry_out(order);
                Ok(())
            }
        }
    }
}

impl Drop for Supply {
    fn drop(&mut self) {
        #[cfg_attr(
            not(feature = "simulation"),
            expect(
                irrefutable_let_patterns,
                reason = "there is one kind without simulation"
            )
        )]
        let Hands::Thread { orders, thread } = &mut self.hands else {
            return;
        };
        drop(orders.take());
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that prepares raft log segments panicked");
        }
    }
}

struct Worker {
    stock: Stock,
    shelf: Arc<Shelf>,
    /// A segment whose preparation failed and is tried again.
    wanted: Option<u64>,
    /// The last segment made. Sequences only grow, so an order for it that waited behind a retry is done.
    made: u64,
}

impl Worker {
    fn new(stock: Stock, shelf: Arc<Shelf>) -> Worker {
        Worker {
            stock,
            shelf,
            wanted: None,
            made: 0,
        }
    }

    fn run(mut self, inbox: &Receiver<Order>) {
        loop {
            let order = if self.wanted.is_some() {
                inbox.recv_timeout(RETRY_INTERVAL)
            } else {
                inbox
                    .recv()
                    .map_err(|_closed| RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(order) => self.carry_out(order),
                Err(RecvTimeoutError::Timeout) => self.retry(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn carry_out(&mut self, order: Order) {
        match order {
            Order::Prepare(sequence) => self.prepare(sequence),
            Order::Retire(sequences) => {
                self.retire(&sequences);
                self.retry();
            }
        }
    }

    fn retry(&mut self) {
        if let Some(sequence) = self.wanted {
            self.prepare(sequence);
        }
    }

    fn prepare(&mut self, sequence: u64) {
        if sequence <= self.made {
            return;
        }
        match self.make(sequence) {
            Ok(file) => {
                self.wanted = None;
                self.made = sequence;
                self.shelf.set(Next::Ready { sequence, file });
            }
            Err(error) => {
                if self.wanted.is_none() {
                    tracing::error!(sequence, %error, "the next raft log segment cannot be made");
                }
                self.wanted = Some(sequence);
                self.shelf.set(Next::Failed(Failure::new(&error)));
            }
        }
    }

    /// A file of the right size under the segment's name: one left from an earlier run, a spare, or a new one.
    fn make(&mut self, sequence: u64) -> io::Result<DiskFile> {
        let Stock {
            disk,
            names,
            segment_bytes,
            spares,
            ..
        } = &mut self.stock;
        let path = names.segment(sequence);
        if disk.exists(&path) {
            let file = disk.open(&path)?;
            if file.len()? == *segment_bytes {
                disk.sync_directory(names.directory())?;
                return Ok(file);
            }
            disk.remove(&path)?;
        }
        while let Some((spare, spare_path)) = spares.pop_first() {
            let file = disk.open(&spare_path)?;
            if file.len()? != *segment_bytes {
                disk.remove(&spare_path)?;
                continue;
            }
            tracing::debug!(spare, sequence, "recycling a raft log segment");
            disk.rename(&spare_path, &path)?;
            disk.sync_directory(names.directory())?;
            return Ok(file);
        }
        segment::create(disk, names, sequence, *segment_bytes)
    }

    fn retire(&mut self, sequences: &[u64]) {
        for &sequence in sequences {
            // Keeping a purged segment is harmless: the next open retires it again.
            if let Err(error) = self.retire_one(sequence) {
                tracing::warn!(sequence, %error, "a purged raft log segment cannot be put aside");
                return;
            }
        }
    }

    fn retire_one(&mut self, sequence: u64) -> io::Result<()> {
        let Stock {
            disk,
            names,
            spares,
            spares_max,
            ..
        } = &mut self.stock;
        let path = names.segment(sequence);
        if spares.len() >= *spares_max {
            return disk.remove(&path);
        }
        let spare = names.spare(sequence);
        disk.rename(&path, &spare)?;
        spares.insert(sequence, spare);
        Ok(())
    }
}

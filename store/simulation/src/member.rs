//! One member of the simulated cluster: its disk, its folder, and the process that comes and goes.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use store::Config;
use store::config::Parsed;
use store::simulation::{Durable, Node, Surroundings, start_node};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use wal::simulation::{SimulatedDisk, Stepper};

use crate::clients;
use crate::history::History;
use crate::network::{MEMBERS, Network, PORT, name};
use crate::random::Random;
use crate::trace::Trace;

/// Log entries between two flushes of the state, and kept behind one: few, so that snapshots are sent.
const SNAPSHOT_COUNT: &str = "300";
const CATCHUP_ENTRIES: &str = "100";
/// A log without work is looked after this often.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// What all members share.
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) trace: Trace,
    pub(crate) network: Network,
    pub(crate) history: History,
    pub(crate) ending: AtomicBool,
}

impl World {
    /// Whether faults are over and every member is asked for one more write.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Relaxed)
    }
}

/// A member, whether its process runs or not.
pub(crate) struct Member {
    pub(crate) index: usize,
    pub(crate) disk: SimulatedDisk,
    root: PathBuf,
    state: Mutex<State>,
}

struct State {
    random: Random,
    generation: u32,
    starts: u64,
    /// Whether it starts without data into a cluster that has some.
    rejoins: bool,
    full: bool,
    slow: bool,
    finished: bool,
    node: Option<Arc<Node>>,
    durable: Option<Durable>,
    /// Why the process ended by itself.
    ended: Option<String>,
}

impl Member {
    pub(crate) fn new(index: usize, root: PathBuf, seed: u64) -> Self {
        let state = State {
            random: Random::new(seed, 1000 + index as u64),
            generation: 0,
            starts: 0,
            rejoins: false,
            full: false,
            slow: false,
            finished: false,
            node: None,
            durable: None,
            ended: None,
        };
        Member {
            index,
            disk: SimulatedDisk::default(),
            root,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code under this lock panics")
    }

    pub(crate) fn wal_dir(&self) -> PathBuf {
        self.root.join("log")
    }

    fn data_dir(&self, generation: u32) -> PathBuf {
        self.root.join(format!("data{generation}"))
    }

    pub(crate) fn node(&self) -> Option<Arc<Node>> {
        self.state().node.clone()
    }

    pub(crate) fn starts(&self) -> u64 {
        self.state().starts
    }

    pub(crate) fn ended(&self) -> Option<String> {
        self.state().ended.clone()
    }

    pub(crate) fn is_full(&self) -> bool {
        self.state().full
    }

    pub(crate) fn set_full(&self, full: bool) {
        self.state().full = full;
        self.disk.set_full(full);
    }

    pub(crate) fn set_slow(&self, slow: bool) {
        self.state().slow = slow;
    }

    pub(crate) fn set_finished(&self) {
        self.state().finished = true;
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.state().finished
    }

    /// Keeps of the state what a crash at this moment would; the next start finds that. Called before the process is
    /// ended, since RocksDB writes out everything when it is closed.
    pub(crate) fn keep_durable(&self) -> anyhow::Result<()> {
        let mut state = self.state();
        state.node = None;
        state.ended = None;
        if let Some(durable) = state.durable.take() {
            state.generation += 1;
            durable.copy(&self.data_dir(state.generation))?;
        }
        Ok(())
    }

    /// Removes the folder of the process that was ended.
    pub(crate) fn remove_old(&self) {
        let before = self.state().generation.checked_sub(1);
        if let Some(before) = before {
            // It may never have been made; the folder of the run goes in the end.
            _ = std::fs::remove_dir_all(self.data_dir(before));
        }
    }

    /// Takes everything from a member that may not use what it has; it has to join again.
    pub(crate) fn wipe(&self) {
        self.disk.wipe();
        let mut state = self.state();
        _ = std::fs::remove_dir_all(self.data_dir(state.generation));
        state.generation += 1;
        state.rejoins = true;
    }

    fn config(&self, generation: u32, rejoins: bool) -> anyhow::Result<Config> {
        let own = name(self.index);
        let cluster: Vec<String> = (0..MEMBERS)
            .map(|member| format!("{0}=http://{0}:{PORT}", name(member)))
            .collect();
        let flags = [
            ("name", own.clone()),
            ("data-dir", self.data_dir(generation).display().to_string()),
            ("wal-dir", self.wal_dir().display().to_string()),
            ("initial-cluster", cluster.join(",")),
            (
                "initial-advertise-peer-urls",
                format!("http://{own}:{PORT}"),
            ),
            (
                "initial-cluster-state",
                if rejoins { "existing" } else { "new" }.to_owned(),
            ),
            ("snapshot-count", SNAPSHOT_COUNT.to_owned()),
            ("snapshot-catchup-entries", CATCHUP_ENTRIES.to_owned()),
            // How full the machine's own disk is has no place in a simulation.
            ("disk-reserve-bytes", "-1".to_owned()),
            // The clients' own alarms are theirs, also after a restart.
            ("alarm-self-clearing", "false".to_owned()),
        ];
        let line = flags.map(|(flag, value)| format!("--{flag}={value}"));
        match Config::parse(line, [])? {
            Parsed::Run(config) => Ok(*config),
            Parsed::Print(_) => anyhow::bail!("the flags ask for a text"),
        }
    }
}

/// The process of a member. It goes on to the end of its runtime, as somebody has to see why it ended by itself.
pub(crate) async fn process(member: Arc<Member>, world: Arc<World>) {
    let reason = match live(&member, &world).await {
        Ok(reason) => reason,
        Err(error) => format!("{error:#}"),
    };
    world
        .trace
        .note(format_args!("m{} ended by itself", member.index));
    {
        let mut state = member.state();
        state.node = None;
        state.ended = Some(reason);
    }
    std::future::pending().await
}

async fn live(member: &Arc<Member>, world: &Arc<World>) -> anyhow::Result<String> {
    let config = {
        let mut state = member.state();
        state.starts += 1;
        state.ended = None;
        member.config(state.generation, state.rejoins)?
    };
    let incoming = world.network.listen(member.index).await?;
    let work = Arc::new(Notify::new());
    let writer = Arc::<Mutex<Option<Stepper>>>::default();
    let surroundings = Surroundings {
        dial: world.network.dial(member.index),
        disk: member.disk.clone(),
        on_log_work: {
            let work = Arc::clone(&work);
            Box::new(move || work.notify_one())
        },
        on_log_opened: {
            let (writer, work) = (Arc::clone(&writer), Arc::clone(&work));
            Box::new(move |stepper| {
                *writer.lock().expect("no code under this lock panics") = Some(stepper);
                work.notify_one();
            })
        },
        on_state_opened: {
            let member = Arc::clone(member);
            Box::new(move |durable| member.state().durable = Some(durable))
        },
    };
    let serve = async {
        let node = Arc::new(start_node(config, surroundings, incoming).await?);
        member.state().node = Some(Arc::clone(&node));
        let clients = clients::run(Arc::clone(&node), Arc::clone(member), Arc::clone(world));
        let publish = async {
            match node.ready().await {
                Ok(()) => std::future::pending().await,
                Err(error) => error.to_string(),
            }
        };
        tokio::select! {
            biased;
            reason = node.ended() => Ok(reason),
            reason = publish => Ok(reason),
            () = clients => Ok("its clients ended".to_owned()),
        }
    };
    tokio::select! {
        biased;
        () = drive_log(member, world, &writer, &work) => Ok("its log ended".to_owned()),
        reason = serve => reason,
    }
}

/// The log's writer: a sync takes a while, and a crash meanwhile finds what is not synced.
async fn drive_log(member: &Member, world: &World, writer: &Mutex<Option<Stepper>>, work: &Notify) {
    let mut stepper = loop {
        let opened = writer
            .lock()
            .expect("no code under this lock panics")
            .take();
        match opened {
            Some(stepper) => break stepper,
            None => work.notified().await,
        }
    };
    loop {
        if !stepper.begin() {
            if timeout(TEND_INTERVAL, work.notified()).await.is_err() {
                stepper.tend();
            }
            continue;
        }
        let took = {
            let mut state = member.state();
            let (least, most) = if state.slow { (30, 600) } else { (0, 5) };
            state.random.milliseconds(least, most)
        };
        sleep(took).await;
        world.trace.note(format_args!("m{} syncs", member.index));
        stepper.finish();
    }
}

//! Servers under test: started, paused, killed, restarted, and all ended when the test is over.

mod member;
mod ports;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

pub use member::Member;
pub use ports::free_port;

use crate::client::Client;
use crate::target::Target;

/// Time a cluster gets to become ready, or to elect another leader.
pub const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Pause between two looks at a condition.
pub const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Time that a write has while there is a leader.
const ANSWER_SOON: Duration = Duration::from_secs(2);

/// Keeps a leader through a pause of a few seconds, as a busy machine makes them. The shortest lease is then eight seconds:
/// one and a half election timeouts, by etcd's rule.
pub const STEADY: &str = "--election-timeout=5000";

/// How to start a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    pub members: usize,
    /// Flags after the ones every member gets.
    pub flags: Vec<String>,
    /// Keep the data in memory: for tests where the disk plays no part.
    pub in_memory: bool,
}

impl Options {
    /// Three members and nothing else.
    pub fn three() -> Options {
        Options {
            members: 3,
            ..Options::default()
        }
    }

    /// Three members that keep their leader, for tests that take none away.
    pub fn steady_three() -> Options {
        Options {
            flags: vec![STEADY.to_owned()],
            ..Options::three()
        }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            members: 1,
            flags: Vec::new(),
            in_memory: false,
        }
    }
}

/// A static cluster on loopback. Every process ends when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    pub target: Target,
    pub members: Vec<Member>,
    dir: Option<TempDir>,
}

impl Cluster {
    /// Starts the members and waits until each answers a linearizable read.
    pub async fn start(target: &Target, options: &Options) -> Result<Cluster> {
        let mut cluster = Cluster::prepare(target, options)?;
        for member in &mut cluster.members {
            member.start()?;
        }
        cluster.wait_ready().await?;
        Ok(cluster)
    }

    /// Chooses ports and folders, and starts nothing.
    pub fn prepare(target: &Target, options: &Options) -> Result<Cluster> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(target.name);
        let dir = if options.in_memory && Path::new("/dev/shm").is_dir() {
            builder.tempdir_in("/dev/shm")?
        } else {
            builder.tempdir()?
        };
        let mut places = Vec::new();
        for number in 1..=options.members {
            places.push(member::Place {
                name: format!("member-{number}"),
                client_port: free_port()?,
                peer_port: free_port()?,
            });
        }
        let members = places
            .iter()
            .map(|place| Member::new(target, place, &places, dir.path(), &options.flags))
            .collect();
        Ok(Cluster {
            target: target.clone(),
            members,
            dir: Some(dir),
        })
    }

    /// A further member with the flags of one that joins those that are there. It is neither started nor known to them.
    pub fn prepare_joining(&mut self, name: &str) -> Result<usize> {
        let place = |member: &Member| member::Place {
            name: member.name.clone(),
            client_port: member.client_port,
            peer_port: member.peer_port,
        };
        let mut places: Vec<member::Place> = self.members.iter().map(place).collect();
        let own = member::Place {
            name: name.to_owned(),
            client_port: free_port()?,
            peer_port: free_port()?,
        };
        places.push(own.clone());
        let mut member = Member::new(&self.target, &own, &places, self.dir(), &[]);
        member.joins_existing();
        self.members.push(member);
        Ok(self.members.len() - 1)
    }

    /// The folder that holds data and logs.
    pub fn dir(&self) -> &Path {
        self.dir
            .as_ref()
            .expect("the folder lives as long as the cluster")
            .path()
    }

    /// Waits until every running member answers a linearizable read.
    pub async fn wait_ready(&mut self) -> Result<()> {
        for member in &mut self.members {
            if member.is_running() {
                member.wait_ready().await?;
            }
        }
        Ok(())
    }

    /// Index of the leader, once a majority of the running members agrees on it.
    pub async fn wait_leader(&mut self) -> Result<usize> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(index) = self.leader().await {
                return Ok(index);
            }
            sleep(POLL_INTERVAL).await;
        }
        bail!(
            "no leader within {READY_TIMEOUT:?}; logs in {}",
            self.dir().display()
        )
    }

    async fn leader(&mut self) -> Option<usize> {
        let mut agreed = std::collections::BTreeMap::<u64, usize>::new();
        let mut ids = Vec::new();
        for (index, member) in self.members.iter_mut().enumerate() {
            if !member.is_running() {
                continue;
            }
            let asked = async {
                let mut client = Client::connect(&member.client_url()).await.ok()?;
                client.member_and_leader().await.ok()
            };
            let answer = timeout(Duration::from_secs(1), asked).await;
            if let Ok(Some((id, leader))) = answer {
                ids.push((id, index));
                *agreed.entry(leader).or_default() += 1;
            }
        }
        let majority = self.members.len() / 2 + 1;
        let leader = *agreed
            .iter()
            .find(|(id, votes)| **id != 0 && **votes >= majority)?
            .0;
        ids.iter()
            .find(|(id, _)| *id == leader)
            .map(|(_, index)| *index)
    }

    /// Client addresses of all members.
    pub fn client_urls(&self) -> Vec<String> {
        self.members.iter().map(Member::client_url).collect()
    }

    /// A client of one member.
    pub async fn client(&self, index: usize) -> Result<Client> {
        Client::connect(&self.members[index].client_url()).await
    }

    /// Puts a key through one member after another one has ended, which may have led. A write that was on its way there is
    /// not waited for but sent again, so the value has to be the only one that the key gets meanwhile.
    pub async fn put_after_loss(&self, index: usize, key: &str, value: &str) -> Result<()> {
        let mut client = self.client(index).await?;
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let last = match timeout(ANSWER_SOON, client.put(key, value)).await {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(status)) => status.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            ensure!(Instant::now() < deadline, "nobody takes a write: {last}");
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Kills every member without warning.
    pub fn kill_all(&mut self) -> Result<()> {
        // Every signal first, so that no member outlives another by much.
        for member in &self.members {
            member.signal(rustix::process::Signal::KILL).ok();
        }
        self.members.iter_mut().try_for_each(Member::kill)
    }

    /// Starts every member that does not run, and waits until all are ready.
    pub async fn start_all(&mut self) -> Result<()> {
        for member in &mut self.members {
            if !member.is_running() {
                member.start()?;
            }
        }
        self.wait_ready().await.context("after a restart")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for member in &mut self.members {
            member.kill().ok();
        }
        if std::thread::panicking()
            && let Some(dir) = self.dir.take()
        {
            println!(
                "logs and data of {} are kept in {}",
                self.target.name,
                dir.keep().display()
            );
        }
    }
}

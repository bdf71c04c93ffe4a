//! What of `mainstay ctl` goes on for long: at another member when its own is gone, and never longer than its lease.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::target::Target;
use tokio::time::{Instant, sleep};

/// Of the locks, in seconds.
const TTL_SECONDS: u64 = 6;

/// A `mainstay ctl` that knows these endpoints, in this order. It ends with the test.
struct Ctl(Child);

impl Ctl {
    fn start(endpoints: &[String], words: &[&str]) -> Result<Ctl> {
        let mut command = Command::new(Target::mainstay()?.command().get_program());
        command
            .arg("ctl")
            .args(words)
            .env("ETCDCTL_ENDPOINTS", endpoints.join(","))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(Ctl(command.spawn()?))
    }

    fn run(endpoints: &[String], words: &[&str]) -> Result<Output> {
        let mut ctl = Ctl::start(endpoints, words)?;
        let code = ctl.0.wait()?;
        ctl.output(code)
    }

    fn lines(&mut self) -> Result<impl Iterator<Item = std::io::Result<String>> + use<>> {
        let output = self.0.stdout.take().context("a piped output")?;
        Ok(BufReader::new(output).lines())
    }

    fn is_running(&mut self) -> Result<bool> {
        Ok(self.0.try_wait()?.is_none())
    }

    fn interrupt(&self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.0);
        Ok(rustix::process::kill_process(
            pid,
            rustix::process::Signal::INT,
        )?)
    }

    /// Waits until it has ended by itself.
    async fn ended(&mut self) -> Result<Output> {
        let deadline = Instant::now() + READY_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = self.0.try_wait()? {
                return self.output(status);
            }
            sleep(POLL_INTERVAL).await;
        }
        anyhow::bail!("it runs still")
    }

    fn output(&mut self, status: std::process::ExitStatus) -> Result<Output> {
        let mut output = Output {
            status,
            stdout: Vec::new(),
            stderr: Vec::new(),
        };
        if let Some(mut pipe) = self.0.stdout.take() {
            std::io::Read::read_to_end(&mut pipe, &mut output.stdout)?;
        }
        if let Some(mut pipe) = self.0.stderr.take() {
            std::io::Read::read_to_end(&mut pipe, &mut output.stderr)?;
        }
        Ok(output)
    }
}

impl Drop for Ctl {
    fn drop(&mut self) {
        // One that has ended cannot be killed, which is all the same here.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A cluster, and its endpoints from one of a member that does not lead, if there is one.
async fn cluster(members: usize) -> Result<(Cluster, usize, Vec<String>)> {
    let options = Options {
        members,
        in_memory: true,
        ..Options::default()
    };
    let mut cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let first = (cluster.wait_leader().await? + 1) % members;
    let mut endpoints = cluster.client_urls();
    endpoints.rotate_left(first);
    Ok((cluster, first, endpoints))
}

/// A lock whose command runs for as long as a file is there, held already.
async fn held(endpoints: &[String], asked: &[String], file: &str) -> Result<Ctl> {
    let ttl = format!("--ttl={TTL_SECONDS}");
    let command = format!("while [ -e {file} ]; do sleep 0.1; done");
    let words = ["lock", &ttl, "door", "--", "sh", "-c", &command];
    let lock = Ctl::start(endpoints, &words)?;
    let deadline = Instant::now() + READY_TIMEOUT;
    while Instant::now() < deadline {
        let seen = Ctl::run(asked, &["get", "door", "--prefix", "--keys-only"])?;
        if !seen.stdout.is_empty() {
            return Ok(lock);
        }
        sleep(POLL_INTERVAL).await;
    }
    anyhow::bail!("nobody holds the lock")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_is_held_on_when_the_member_that_gave_it_is_gone() -> Result<()> {
    let (mut cluster, gone, all) = cluster(3).await?;
    let file = cluster.dir().join("held");
    std::fs::write(&file, "")?;
    let path = file.to_str().context("a plain path")?;
    let mut first = held(&all, &all[1..], path).await?;
    cluster.members[gone].kill()?;
    let ttl = format!("--ttl={TTL_SECONDS}");
    let words = ["lock", &ttl, "door", "echo", "got"];
    let mut second = Ctl::start(&all[1..], &words)?;
    // Without renewals at another member the lease would run out twice in this.
    let until = Instant::now() + Duration::from_secs(2 * TTL_SECONDS);
    while Instant::now() < until {
        ensure!(first.is_running()?, "the first has lost its lock");
        ensure!(second.is_running()?, "two hold the lock");
        sleep(POLL_INTERVAL).await;
    }
    std::fs::remove_file(&file)?;
    let output = first.ended().await?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{complaint}");
    let output = second.ended().await?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "got\n");
    let leases = Ctl::run(&all[1..], &["lease", "list"])?;
    let leases = String::from_utf8_lossy(&leases.stdout).into_owned();
    assert_eq!(leases, "found 0 leases\n");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_whose_lease_cannot_be_renewed_is_lost_before_another_can_have_it() -> Result<()> {
    let (cluster, only, all) = cluster(1).await?;
    let file = cluster.dir().join("held");
    std::fs::write(&file, "")?;
    let path = file.to_str().context("a plain path")?;
    let mut lock = held(&all, &all, path).await?;
    cluster.members[only].pause()?;
    let paused = Instant::now();
    let output = lock.ended().await?;
    let took = paused.elapsed();
    cluster.members[only].resume()?;
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "Error: session expired\n"
    );
    // The lease was renewed before the pause. What comes on top is the process' end.
    let longest = Duration::from_secs(TTL_SECONDS + 5);
    ensure!(took < longest, "it took {took:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_observers_and_renewals_go_on_at_another_member() -> Result<()> {
    let (mut cluster, gone, all) = cluster(3).await?;
    let others = &all[1..];
    let granted = Ctl::run(others, &["lease", "grant", "6"])?;
    let granted = String::from_utf8_lossy(&granted.stdout).into_owned();
    let lease = granted.split(' ').nth(1).context("a lease")?.to_owned();
    let mut candidate = Ctl::start(others, &["elect", "chair", "me"])?;
    let mut leads = candidate.lines()?;
    leads.nth(1).context("its leadership")??;

    let mut watch = Ctl::start(&all, &["watch", "seen", "--rev=1"])?;
    let mut observer = Ctl::start(&all, &["elect", "chair", "--listen"])?;
    let mut renewals = Ctl::start(&all, &["lease", "keep-alive", &lease])?;
    let mut watched = watch.lines()?;
    let mut observed = observer.lines()?;
    let mut renewed = renewals.lines()?;
    Ctl::run(others, &["put", "seen", "one"])?;
    let mut next =
        || -> Result<Vec<String>> { Ok(watched.by_ref().take(3).collect::<Result<_, _>>()?) };
    assert_eq!(next()?, ["PUT", "seen", "one"]);
    let leader = observed.next().context("the leader's key")??;
    assert!(leader.starts_with("chair/"), "{leader}");
    assert_eq!(observed.next().context("what it makes known")??, "me");
    renewed.next().context("a renewal")??;

    cluster.members[gone].kill()?;
    Ctl::run(others, &["put", "seen", "two"])?;
    assert_eq!(next()?, ["PUT", "seen", "two"]);
    for _ in 0..3 {
        let line = renewed.next().context("a renewal")??;
        assert_eq!(line, format!("lease {lease} keepalived with TTL(6)"));
    }
    // The leader that was told already is not told again: the next lines are those of the next one.
    candidate.interrupt()?;
    candidate.ended().await?;
    let _next = Ctl::start(others, &["elect", "chair", "you"])?;
    let leader = observed.next().context("the next leader's key")??;
    assert!(leader.starts_with("chair/"), "{leader}");
    assert_eq!(observed.next().context("what it makes known")??, "you");
    Ok(())
}

//! `mainstay up`: a control plane on this machine, as processes of three of everything that are watched and restarted, or of one of
//! everything inside this process.

mod apiservers;
mod door;
mod introduction;
mod parts;
mod pki;
mod plan;
mod program;
mod replica;
mod screen;
mod starter;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use daemon::{Format, OnFailure, Output, Signals, Tasks, Telemetry};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use self::apiservers::Apiservers;
use self::door::Door;
use self::introduction::{introduce, introduce_apiservers};
use self::plan::Plan;
pub(crate) use self::program::END_WITH_PARENT;
use self::screen::Screen;
use self::starter::{Running, Starter};
use self::watch::Watcher;

/// How often members are asked how they are, and before they serve.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
const FIRST_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// A process gets `replica::STOP_GRACE`; this is a little more, for the waiting itself.
const STOP_GRACE: Duration = Duration::from_secs(25);
/// Inside one process each waits for the ones that were started after it.
const STOP_GRACE_INSIDE: Duration = Duration::from_secs(45);
/// News of replicas not yet printed.
const NEWS_MAX: usize = 64;

/// A Kubernetes control plane on this machine: stores, apiservers, controllers, schedulers and simulated nodes, processes of three of each
#[derive(Debug, Parser)]
#[command(name = "mainstay up")]
struct Options {
    /// Folder for data, logs and the ports in use
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Stop after this many seconds; an error when the cluster never served
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// One of everything in place of three, and all of it inside this one process
    #[arg(long)]
    one_process: bool,
    /// Simulated nodes
    #[arg(long, default_value_t = 6, value_name = "COUNT")]
    nodes: usize,
    /// Run this etcd-compatible server in place of our own
    #[arg(long, value_name = "PROGRAM", conflicts_with = "one_process")]
    store_program: Option<PathBuf>,
    /// Start the stores alone
    #[arg(long)]
    store_only: bool,
    /// Start stores and apiservers, and nothing that would act on objects
    #[arg(long, conflicts_with = "store_only")]
    apiserver_only: bool,
    /// More flags for every replica
    #[arg(last = true)]
    flags: Vec<String>,
}

pub(crate) fn run(words: Vec<String>) -> ExitCode {
    let line = std::iter::once("mainstay up".to_owned()).chain(words);
    let options = match Options::try_parse_from(line) {
        Ok(options) => options,
        Err(error) => {
            // Printing fails only when nobody reads any more.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    save_memory();
    daemon::raise_open_files();
    let mut builder = if options.one_process {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        // One thread: processes end with the thread that started them.
        tokio::runtime::Builder::new_current_thread()
    };
    let result = match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(up(&options)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mainstay up: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Many small heaps, or one of many small parts: a page of 2 MB for each piece in use would double what they hold. Processes that are
/// started from here are told the same.
fn save_memory() {
    // A system that cannot is one that has no such pages.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

async fn up(options: &Options) -> Result<()> {
    let mut signals = Signals::install().context("cannot handle signals")?;
    let replicas = if options.one_process {
        plan::ONE
    } else {
        plan::THREE
    };
    let plan = Plan::make(&options.data_dir, replicas)?;
    let screen = Screen::new();
    for note in &plan.notes {
        screen.say(note);
    }
    if options.one_process {
        log_to(plan.shared_log())?;
    }
    let tasks = Tasks::new();
    let (news_sender, mut news) = mpsc::channel(NEWS_MAX);
    let starter = Starter {
        tasks: &tasks,
        news: news_sender,
        inside: options.one_process,
    };
    let cluster = start(options, &plan, &starter).await?;
    let deadline = options
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let served = show(Show {
        signals: &mut signals,
        tasks: &tasks,
        news: &mut news,
        screen: &screen,
        plan: &plan,
        cluster: &cluster,
        deadline,
    })
    .await;

    screen.say("stopping");
    let report = tasks
        .stop(if options.one_process {
            STOP_GRACE_INSIDE
        } else {
            STOP_GRACE
        })
        .await;
    while let Ok(line) = news.try_recv() {
        screen.say(&line);
    }
    if let Some(failure) = report.failure {
        bail!("{failure}");
    }
    if !report.overdue.is_empty() {
        bail!("still running: {}", report.overdue.join(", "));
    }
    if options.seconds.is_some() && !served {
        bail!("the cluster did not serve in time");
    }
    screen.say(&format!(
        "stopped; the data is in {}",
        plan.data_dir.display()
    ));
    Ok(())
}

/// Everything of one process logs to one file, in lines that name where they come from.
fn log_to(file: PathBuf) -> Result<()> {
    let telemetry = Telemetry {
        format: Format::Json,
        outputs: vec![Output::File(file)],
        ..Telemetry::of_verbosity(0)
    };
    Ok(telemetry.install()?)
}

/// What was started.
struct Cluster {
    /// By place in the plan.
    stores: Vec<Running>,
    apiservers: Option<Apiservers>,
    /// Whether there is what acts on objects.
    acts: bool,
}

/// Starts everything that is wanted; what is needed first starts first.
async fn start(options: &Options, plan: &Plan, starter: &Starter<'_>) -> Result<Cluster> {
    let mut stores = Vec::new();
    for member in &plan.members {
        let program = plan.program(member, &options.flags);
        stores.push(starter.start(program, options.store_program.as_deref())?);
    }
    let apiservers = if options.store_only {
        None
    } else {
        Some(start_apiservers(plan, starter).await?)
    };
    let acts = !options.apiserver_only;
    if let Some(apiservers) = apiservers.as_ref().filter(|_| acts) {
        start_parts(plan, apiservers, options.nodes, starter)?;
    }
    Ok(Cluster {
        stores,
        apiservers,
        acts,
    })
}

/// Starts the apiservers, and the door in front of them when there are several.
async fn start_apiservers(plan: &Plan, starter: &Starter<'_>) -> Result<Apiservers> {
    let apiservers = Apiservers::make(plan)?;
    for member in &apiservers.members {
        starter.start(apiservers.program(member, plan), None)?;
    }
    if apiservers.members.len() > 1 {
        let port = apiservers.door_port;
        let door = Door::listen(port, apiservers.members.iter().map(|member| member.port)).await;
        let door = door.with_context(|| format!("cannot listen on port {port}"))?;
        starter
            .tasks
            .spawn_until_stopped("door", OnFailure::Stop, door.run());
    }
    Ok(apiservers)
}

/// Starts what acts on objects.
fn start_parts(
    plan: &Plan,
    apiservers: &Apiservers,
    nodes: usize,
    starter: &Starter<'_>,
) -> Result<()> {
    for program in parts::make(plan, apiservers, nodes)? {
        starter.start(program, None)?;
    }
    let kubeconfig = apiservers.kubeconfig.clone();
    starter
        .tasks
        .spawn("storage class", OnFailure::Log, |stop| async move {
            let made = stop.run_until_cancelled(parts::make_storage_class(kubeconfig));
            made.await.unwrap_or(Ok(()))
        });
    Ok(())
}

/// What the showing needs of the rest.
struct Show<'a> {
    signals: &'a mut Signals,
    tasks: &'a Tasks,
    news: &'a mut mpsc::Receiver<String>,
    screen: &'a Screen,
    plan: &'a Plan,
    cluster: &'a Cluster,
    deadline: Option<Instant>,
}

/// Prints until somebody wants an end. Tells whether the cluster ever served.
async fn show(show: Show<'_>) -> bool {
    let Show {
        signals,
        tasks,
        news,
        screen,
        plan,
        cluster,
        deadline,
    } = show;
    let mut watcher = Watcher::new(&plan.members);
    let mut ticks = every(FIRST_POLL_INTERVAL);
    let mut served = false;
    screen.say(match plan.members.len() {
        plan::ONE => "starting one of everything in this process",
        _ => "starting three replicas",
    });
    loop {
        tokio::select! {
            signal = signals.next() => {
                screen.say(&format!("{} received", signal.name()));
                return served;
            }
            () = tasks.stop_asked() => return served,
            Some(line) = news.recv() => screen.say(&line),
            () = until(deadline) => return served,
            _ = ticks.tick() => {
                let state = watcher.poll().await;
                if state.serves() && !served {
                    served = true;
                    ticks = every(POLL_INTERVAL);
                    introduce(screen, plan, &cluster.stores, &state);
                    if let Some(apiservers) = &cluster.apiservers {
                        introduce_apiservers(screen, apiservers, cluster.acts);
                    }
                    screen.say("");
                    screen.say("Ctrl-C stops everything.");
                }
                screen.status(&state.line(&plan.members));
            }
        }
    }
}

fn every(interval: Duration) -> Interval {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

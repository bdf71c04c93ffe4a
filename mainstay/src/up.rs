//! `mainstay up`: a control plane of three of everything, each a process of its own on this machine, watched, restarted and stopped together.

mod apiservers;
mod door;
mod parts;
mod pki;
mod plan;
mod replica;
mod screen;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use daemon::{OnFailure, Signals, Tasks};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior};

use self::apiservers::Apiservers;
use self::door::Door;
pub(crate) use self::plan::END_WITH_PARENT;
use self::plan::Plan;
use self::replica::Replica;
use self::screen::Screen;
use self::watch::{ClusterState, Watcher};

/// How often members are asked how they are.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// A replica gets `replica::STOP_GRACE`; this is a little more, for the waiting itself.
const STOP_GRACE: Duration = Duration::from_secs(15);
/// News of replicas not yet printed.
const NEWS_MAX: usize = 64;

/// A Kubernetes control plane on this machine: stores, apiservers, controllers, schedulers and simulated nodes, three of each
#[derive(Debug, Parser)]
#[command(name = "mainstay up")]
struct Options {
    /// Folder for data, logs and the ports in use
    #[arg(long, default_value = "data")]
    data_dir: PathBuf,
    /// Stop after this many seconds; an error when the cluster never served
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// Run this etcd-compatible server in place of our own
    #[arg(long, value_name = "PROGRAM")]
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
    // One thread: replicas end with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
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

async fn up(options: &Options) -> Result<()> {
    let mut signals = Signals::install().context("cannot handle signals")?;
    let plan = Plan::make(&options.data_dir)?;
    let screen = Screen::new();
    for note in &plan.notes {
        screen.say(note);
    }
    let tasks = Tasks::new();
    let (news_sender, mut news) = mpsc::channel(NEWS_MAX);
    let mut replicas = Vec::new();
    for member in &plan.members {
        let command = plan.command(member, options.store_program.as_deref(), &options.flags)?;
        let replica = Arc::new(Replica::new(member.clone(), command, news_sender.clone()));
        replicas.push(replica.clone());
        let all_stop = tasks.stop_token();
        tasks.spawn(member.name.clone(), OnFailure::Stop, |_| {
            replica.supervise(all_stop)
        });
    }
    let apiservers = if options.store_only {
        None
    } else {
        Some(start_apiservers(&plan, &tasks, &news_sender).await?)
    };
    let acts = !options.apiserver_only;
    if let Some(apiservers) = apiservers.as_ref().filter(|_| acts) {
        start_parts(&plan, apiservers, &tasks, &news_sender)?;
    }
    let deadline = options
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let served = show(Show {
        signals: &mut signals,
        tasks: &tasks,
        news: &mut news,
        screen: &screen,
        plan: &plan,
        replicas: &replicas,
        apiservers: apiservers.as_ref(),
        acts,
        deadline,
    })
    .await;

    screen.say("stopping");
    let report = tasks.stop(STOP_GRACE).await;
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

/// What the showing needs of the rest.
struct Show<'a> {
    signals: &'a mut Signals,
    tasks: &'a Tasks,
    news: &'a mut mpsc::Receiver<String>,
    screen: &'a Screen,
    plan: &'a Plan,
    replicas: &'a [Arc<Replica>],
    apiservers: Option<&'a Apiservers>,
    /// Whether there are controllers, schedulers and nodes.
    acts: bool,
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
        replicas,
        apiservers,
        acts,
        deadline,
    } = show;
    let mut watcher = Watcher::new(&plan.members);
    let mut ticks = tokio::time::interval(POLL_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut served = false;
    screen.say("starting three replicas");
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
                    introduce(screen, plan, replicas, &state);
                    if let Some(apiservers) = apiservers {
                        introduce_apiservers(screen, apiservers, acts);
                    }
                    screen.say("");
                    screen.say("Ctrl-C stops everything.");
                }
                screen.status(&state.line(&plan.members));
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Where the cluster is and what to do with it.
fn introduce(screen: &Screen, plan: &Plan, replicas: &[Arc<Replica>], state: &ClusterState) {
    screen.say("");
    screen.say("The cluster serves clients of etcd's v3 API:");
    for (member, replica) in plan.members.iter().zip(replicas) {
        let process = replica
            .process()
            .map_or("-".to_owned(), |id| id.to_string());
        screen.say(&format!(
            "  {:10} {}   process {process}, log {}",
            member.name,
            member.client_url(),
            member.log.display()
        ));
    }
    let endpoints: Vec<String> = plan
        .members
        .iter()
        .map(|member| format!("127.0.0.1:{}", member.client_port))
        .collect();
    let program =
        std::env::current_exe().map_or("mainstay".to_owned(), |path| path.display().to_string());
    let leader = state.leader.and_then(|index| replicas[index].process());
    screen.say("");
    screen.say("Three things to try in another terminal:");
    screen.say(&format!(
        "  export ETCDCTL_API=3 ETCDCTL_ENDPOINTS={}",
        endpoints.join(",")
    ));
    screen.say(&format!(
        "  1. {program} ctl put greeting hello    (or etcdctl put greeting hello)"
    ));
    screen.say(&format!("  2. {program} ctl watch greeting --rev 1"));
    screen.say(&match leader {
        Some(id) => format!(
            "  3. kill -9 {id}    ends the leader: another one leads, and this one comes back"
        ),
        None => "  3. kill -9 one of the processes: it comes back".to_owned(),
    });
}

/// Starts the apiservers and the door in front of them.
async fn start_apiservers(
    plan: &Plan,
    tasks: &Tasks,
    news: &mpsc::Sender<String>,
) -> Result<Apiservers> {
    let apiservers = Apiservers::make(plan)?;
    for member in &apiservers.members {
        let command = apiservers.command(member, plan)?;
        let process = Arc::new(Replica::new(member.clone(), command, news.clone()));
        let all_stop = tasks.stop_token();
        tasks.spawn(member.name.clone(), OnFailure::Stop, |_| {
            process.supervise(all_stop)
        });
    }
    let port = apiservers.door_port;
    let door = Door::listen(port, apiservers.members.iter().map(|member| member.port)).await;
    let door = door.with_context(|| format!("cannot listen on port {port}"))?;
    tasks.spawn_until_stopped("door", OnFailure::Stop, door.run());
    Ok(apiservers)
}

/// Starts what acts on objects.
fn start_parts(
    plan: &Plan,
    apiservers: &Apiservers,
    tasks: &Tasks,
    news: &mpsc::Sender<String>,
) -> Result<()> {
    for part in parts::make(plan, apiservers)? {
        let name = part.name.clone();
        let process = Arc::new(Replica::new(part.clone(), part.command()?, news.clone()));
        let all_stop = tasks.stop_token();
        tasks.spawn(name, OnFailure::Stop, |_| process.supervise(all_stop));
    }
    let kubeconfig = apiservers.kubeconfig.clone();
    tasks.spawn("storage class", OnFailure::Log, |stop| async move {
        let made = stop.run_until_cancelled(parts::make_storage_class(kubeconfig));
        made.await.unwrap_or(Ok(()))
    });
    Ok(())
}

/// What to do with the control plane.
fn introduce_apiservers(screen: &Screen, apiservers: &Apiservers, acts: bool) {
    screen.say("");
    screen.say(&format!(
        "Kubernetes' API is at https://127.0.0.1:{}, with three apiservers behind it:",
        apiservers.door_port
    ));
    for member in &apiservers.members {
        screen.say(&format!(
            "  {:10} https://127.0.0.1:{}   log {}",
            member.name,
            member.port,
            member.log.display()
        ));
    }
    screen.say("");
    screen.say("Three things to try with kubectl:");
    screen.say(&format!(
        "  export KUBECONFIG={}",
        apiservers.kubeconfig.display()
    ));
    screen.say("  1. kubectl create deployment web --image=nginx --replicas=6");
    screen.say(if acts {
        "  2. kubectl get pods -o wide --watch    (nodes are simulated: pods run in name only)"
    } else {
        "  2. kubectl get deployments,namespaces --all-namespaces"
    });
    screen.say("  3. kubectl explain deployment.spec.strategy");
    if !is_on_path("kubectl") {
        screen.say("  There is no kubectl on this machine: https://kubernetes.io/docs/tasks/tools tells how to get it.");
    }
}

/// Whether a program is found by its name.
fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

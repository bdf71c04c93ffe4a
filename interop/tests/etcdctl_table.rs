//! Every command of etcdctl against etcd and ours, and the table of what came of it in docs/etcdctl.md.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::etcdctl::{SCRIPT, Session};
use interop::target::{Target, etcdctl, workspace_dir};
use tokio::time::{Instant, sleep};

/// Set to have the table written instead of compared.
const WRITE: &str = "MAINSTAY_WRITE_DOCS";

/// Commands about the cluster and its users. `FOLDER` is a folder of the server's own, `FOLLOWER` a member that does not lead.
const CLUSTER_SCRIPT: &str = r#"
version
put k v
defrag
snapshot save FOLDER/saved
snapshot status FOLDER/saved
snapshot restore FOLDER/saved --data-dir=FOLDER/restored
member add extra --learner --peer-urls=http://127.0.0.1:1
member update MEMBER --peer-urls=http://127.0.0.1:2
member update 1234 --peer-urls=http://127.0.0.1:3
member promote MEMBER
member remove MEMBER
member remove MEMBER
member add extra --peer-urls=nothing
move-leader 1234
move-leader FOLLOWER
lock name echo held
auth enable
role add reader
role add reader
role grant-permission reader read dir/ dir0
role grant-permission reader --prefix readwrite own/
role get reader
role get none
role list
role revoke-permission reader own/ own0
role revoke-permission reader own/ own0
user add ann:secret
user add ann:secret
user add root:top
user grant-role ann reader
user grant-role ann none
user grant-role root root
user get ann
user get ann --detail
user list
user passwd ann --interactive=false < new\n
auth enable
get k
put k v --user=ann:new
put k v --user=ann:wrong
get dir/x --user=ann:new
get k --user=root:top
user list --user=ann:new
user revoke-role ann reader --user=root:top
user revoke-role ann reader --user=root:top
get dir/x --user=ann:new
role delete reader --user=root:top
user delete ann --user=root:top
auth disable --user=root:top
auth disable
user list
"#;

/// Commands that are not compared here.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "check datascale",
        "fills the store for minutes and prints its memory",
    ),
    (
        "check perf",
        "loads the store for a minute and prints its times",
    ),
    ("completion bash", "asks no server"),
    ("completion fish", "asks no server"),
    ("completion powershell", "asks no server"),
    ("completion zsh", "asks no server"),
    ("help", "asks no server"),
    ("make-mirror", "copies until it is stopped"),
    ("migrate", "reads files of etcd 2"),
];

/// Commands that print as long as they run, and the lines that are read of each. `REVISION` is that of a put to `seen`.
const RUNNING: &[(&str, usize)] = &[("watch seen --rev=REVISION", 3), ("elect seen value", 2)];

/// What came of one command.
#[derive(Default)]
struct Row {
    lines: usize,
    differences: Vec<String>,
}

/// The words of a line that name the command.
fn command_of(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().take(2).collect();
    let groups = [
        "alarm", "auth", "check", "endpoint", "lease", "member", "role", "snapshot", "user",
    ];
    match words[..] {
        [group, command] if groups.contains(&group) => format!("{group} {command}"),
        [command, ..] => command.to_owned(),
        [] => String::new(),
    }
}

/// Runs a line; etcd adds nobody before its members have been connected for five seconds.
async fn run(session: &mut Session, line: &str) -> Result<String> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let printed = session.run(line)?;
        if !printed.contains("unhealthy cluster") || Instant::now() >= deadline {
            return Ok(printed);
        }
        sleep(POLL_INTERVAL).await;
    }
}

struct Side {
    cluster: Cluster,
    session: Session,
    folder: String,
    follower: String,
}

/// Where the leader is asked, which alone hands over, and the id of a member that follows it.
async fn leader_and_follower(cluster: &mut Cluster) -> Result<(String, String)> {
    let leader = cluster.wait_leader().await?;
    let mut other = cluster.client((leader + 1) % 3).await?;
    let (follower, _) = other.member_and_leader().await?;
    Ok((
        cluster.members[leader].client_url(),
        format!("{follower:x}"),
    ))
}

impl Side {
    async fn start(target: Target) -> Result<Side> {
        let mut cluster = Cluster::start(&target, &Options::steady_three()).await?;
        let (url, follower) = leader_and_follower(&mut cluster).await?;
        Ok(Side {
            session: Session::new(url),
            folder: cluster.dir().display().to_string(),
            follower,
            cluster,
        })
    }

    async fn run(&mut self, line: &str) -> Result<String> {
        if line.starts_with("move-leader") {
            // Another member may lead by now than when the script began.
            (self.session.url, self.follower) = leader_and_follower(&mut self.cluster).await?;
        }
        let own = line
            .replace("FOLDER", &self.folder)
            .replace("FOLLOWER", &self.follower);
        let printed = run(&mut self.session, &own).await?;
        Ok(printed.replace(&self.folder, "FOLDER"))
    }

    /// The first lines of a command that goes on.
    fn read(&mut self, line: &str, lines: usize) -> Result<Vec<String>> {
        let put = self.session.run("put seen 1 -w json")?;
        let (_, revision) = put.split_once("\"revision\":").context("a revision")?;
        let digits = revision.find(|letter: char| !letter.is_ascii_digit());
        let revision = &revision[..digits.context("an end")?];
        let printed = self
            .session
            .watch(&line.replace("REVISION", revision), lines, &[])?;
        // The key of an election has its lease in it.
        let bare = |line: String| line.split('/').next().unwrap_or_default().to_owned();
        Ok(printed.into_iter().map(bare).collect())
    }
}

async fn compare() -> Result<BTreeMap<String, Row>> {
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut etcd = Side::start(Target::etcd()?).await?;
    let mut ours = Side::start(Target::mainstay()?).await?;
    for line in SCRIPT.lines().chain(CLUSTER_SCRIPT.lines()) {
        if line.is_empty() {
            continue;
        }
        let row = rows.entry(command_of(line)).or_default();
        row.lines += 1;
        let (wanted, found) = (etcd.run(line).await?, ours.run(line).await?);
        if wanted != found {
            row.differences
                .push(format!("{line}\n-- etcd:\n{wanted}\n-- ours:\n{found}"));
        }
    }
    for (line, lines) in RUNNING {
        let row = rows.entry(command_of(line)).or_default();
        row.lines += 1;
        let (wanted, found) = (etcd.read(line, *lines)?, ours.read(line, *lines)?);
        if wanted != found {
            row.differences.push(format!("{wanted:?} and {found:?}"));
        }
    }
    drop((etcd.cluster, ours.cluster));
    Ok(rows)
}

/// The commands that etcdctl says it has.
fn all_commands() -> Result<Vec<String>> {
    let mut etcdctl = Command::new(etcdctl()?);
    let output = etcdctl.env("ETCDCTL_API", "3").arg("help").output()?;
    let text = String::from_utf8(output.stdout)?;
    let (_, list) = text.split_once("COMMANDS:").context("a list of commands")?;
    let (list, _) = list.split_once("OPTIONS:").unwrap_or((list, ""));
    let rows = list.lines().filter_map(|line| line.split_once('\t'));
    Ok(rows
        .filter(|(_, words)| !words.trim().is_empty())
        .map(|(_, words)| {
            words
                .split('\t')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect())
}

fn table(rows: &BTreeMap<String, Row>) -> String {
    let mut text = String::from(
        "# etcdctl\n\nEvery command of Debian's etcdctl 3.4.23 against three members of etcd and of Mainstay: exit codes, output and errors \
         compared,\nids, times and sizes left out. This page is written by `interop/tests/etcdctl_table.rs`, which fails when it is no longer \
         true:\n\n    MAINSTAY_WRITE_DOCS=1 cargo xtask interop etcdctl_table\n\n| command | lines compared | |\n|---|---|---|\n",
    );
    for (command, row) in rows {
        let what = if row.differences.is_empty() {
            "the same"
        } else {
            "differs"
        };
        text.push_str(&format!("| `{command}` | {} | {what} |\n", row.lines));
    }
    for (command, why) in ELSEWHERE {
        text.push_str(&format!("| `{command}` | – | not compared: {why} |\n"));
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_is_in_the_table_and_the_table_is_true() -> Result<()> {
    let rows = compare().await?;
    for (command, row) in &rows {
        for difference in &row.differences {
            println!("{command}: {difference}\n");
        }
    }
    let is_tried = |command: &String| {
        let is_left = ELSEWHERE.iter().any(|(left, _)| left == command);
        is_left || rows.contains_key(command)
    };
    let commands = all_commands()?;
    ensure!(commands.len() > 40, "{commands:?}");
    let missing: Vec<&String> = commands
        .iter()
        .filter(|command| !is_tried(command))
        .collect();
    ensure!(missing.is_empty(), "not tried: {missing:?}");
    let text = table(&rows);
    let page = workspace_dir().join("docs/etcdctl.md");
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&page, &text)?;
    }
    check_page(&page, &text)
}

fn check_page(page: &Path, text: &str) -> Result<()> {
    let stands = std::fs::read_to_string(page).unwrap_or_default();
    ensure!(
        stands == text,
        "{} says something else; it should be:\n{text}",
        page.display()
    );
    Ok(())
}

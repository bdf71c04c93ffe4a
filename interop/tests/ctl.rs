//! `mainstay ctl` prints what etcdctl prints, and ends with its exit codes: on etcd and on ours.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use interop::cluster::{Cluster, Options};
use interop::target::{Target, etcdctl};
use serde_json::Value;

/// Commands, one a line, and `<` before what goes to the standard input. `LEASE` is the lease that was granted last,
/// `MEMBER` the member. Behind `?` stands a command of which the exit code alone is compared: its words are those of
/// another parser.
const SCRIPT: &str = r#"
put k one
put k two --prev-kv -w fields
put k three --prev-kv -w json
put k four -w protobuf
put k five -w table
? put < value
get k
get k -w json
get k -w fields
get k -w protobuf
get k -w table
get k --hex
get none -w json
get k z --keys-only
get "" --prefix --limit=1 -w json
get k --from-key --prefix
get k z --prefix
get k --rev=1000
? get
? put
? del
? get --nope
? nope
? lease revoke zz
? member remove
? member remove zz
put bytes \x00\x7f"é
get bytes -w fields
put empty < from the input
get empty
del k --prev-kv -w json
del k -w fields
del k -w protobuf
txn < mod("a") = "0"\n\nput a 1\nget a\n\ndel a\n\n
txn -w json < value("a") = "1"\n\nget a\n\n\n
txn -w fields < value("a") = "1"\n\nget a\n\n\n
txn -w protobuf < value("a") = "2"\n\n\nput a 3\n\n
txn -w table < value("a") = "2"\n\n\nput a 3\n\n
compaction 3
compaction 3
lease grant 600
lease timetolive LEASE -w table
lease revoke LEASE -w fields
lease grant 600 -w table
lease grant 600
put leased v --lease=LEASE
lease keep-alive LEASE --once
lease list -w table
lease revoke LEASE -w json
lock door echo held
lock door false
mem list --debug=false --keepalive-time=3s --keepalive-timeout=9s
alarm list
alarm list -w json
alarm list -w table
alarm disarm -w json
member list -w fields
member list -w json
member list -w table
? endpoint health
endpoint status -w protobuf
endpoint health -w protobuf
endpoint hashkv -w protobuf
defrag
move-leader MEMBER
move-leader 1
user add ann:secret
user add ann:secret
user add bob --interactive=false < secret
user add cas:secret -w json
user add dan:secret -w fields
user add eve:secret -w protobuf
user add flo:secret -w table
user add :secret
user get ann
user get ann -w json
user get ann -w fields
user get nobody
user list
user list -w json
user list -w fields
user list -w table
role add reader
role add reader
role add writer -w json
role grant-permission reader read a
role grant-permission reader readwrite b c
role grant-permission reader write d --prefix
role grant-permission reader read e --from-key
role grant-permission reader read f g -w json
role grant-permission reader fly a
role grant-permission nobody read a
role get reader
role get reader -w json
role get reader -w fields
role get reader -w table
role get nobody
role list
role list -w json
role list -w fields
user grant-role ann reader
user grant-role ann nobody
user grant-role bob reader -w json
user get ann
user get ann --detail
user get ann -w json
role revoke-permission reader a
role revoke-permission reader b c
role revoke-permission reader d --prefix
role revoke-permission reader e --from-key
role revoke-permission reader z
user revoke-role bob reader
user revoke-role bob reader
user passwd ann --interactive=false < other
user delete bob
user delete bob
role delete writer
auth enable
user add root:root
auth enable
get a
--user=root:root get a
--user=root:wrong get a
--user=root --password=root get a
--user=ann:other get f
--user=ann:other get a
--user=ann:other put f 1
--user=root:root role list
--user=root:root auth disable
get a
member update MEMBER --peer-urls=http://127.0.0.1:PEER
member remove 1
member promote MEMBER
member add new --peer-urls=http://127.0.0.1:1
"#;

/// A client, and the server it asks.
struct Side {
    program: PathBuf,
    subcommand: Option<&'static str>,
    cluster: Cluster,
    lease: String,
    member: String,
}

/// How a command ended: exit code, output, complaint.
type Ended = (Option<i32>, String, String);

impl Side {
    async fn start(
        target: &Target,
        program: PathBuf,
        subcommand: Option<&'static str>,
    ) -> Result<Side> {
        let options = Options {
            in_memory: true,
            ..Options::default()
        };
        let cluster = Cluster::start(target, &options).await?;
        let (member, _) = cluster.client(0).await?.member_and_leader().await?;
        Ok(Side {
            program,
            subcommand,
            cluster,
            lease: String::new(),
            member: format!("{member:x}"),
        })
    }

    fn start_command(&self, words: &str) -> Result<Child> {
        let member = &self.cluster.members[0];
        let words = words
            .replace("LEASE", &self.lease)
            .replace("MEMBER", &self.member)
            .replace("PEER", &member.peer_port.to_string());
        let words = words.split_whitespace();
        let words = words.map(|word| word.trim_matches('"').replace("\\t", " "));
        let mut command = Command::new(&self.program);
        command
            .args(self.subcommand)
            .args(words)
            .env("ETCDCTL_API", "3")
            .env("ETCDCTL_ENDPOINTS", member.client_url())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Ok(command.spawn()?)
    }

    fn run(&mut self, line: &str) -> Result<Ended> {
        let (words, input) = line.split_once(" < ").unwrap_or((line, ""));
        let mut child = self.start_command(words)?;
        let mut stdin = child.stdin.take().context("a piped input")?;
        // Whoever wants no input may be gone before it is written.
        let written = std::io::Write::write_all(&mut stdin, input.replace("\\n", "\n").as_bytes());
        drop((stdin, written));
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if let Some(lease) = printed.strip_prefix("lease ")
            && printed.contains("granted")
        {
            self.lease = lease.split(' ').next().context("a lease id")?.to_owned();
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        // etcdctl logs before it complains.
        let complaint = complaint.lines().filter(|line| !line.starts_with('{'));
        // etcd's client puts the code before words that it does not know.
        let complaint = complaint.map(|line| match line.split_once(" desc = ") {
            Some((before, text)) if before.starts_with("Error: rpc error: ") => {
                format!("Error: {text}")
            }
            _ => line.to_owned(),
        });
        let complaint = self.normal(&complaint.collect::<Vec<_>>().join("\n"));
        let printed = if line.contains("-w protobuf") {
            // Ids and terms stand in the bytes: what is compared is that something came, and how it ended.
            format!("{} bytes", if printed.is_empty() { "no" } else { "some" })
        } else {
            self.normal(&printed)
        };
        Ok((output.status.code(), printed, complaint))
    }

    fn normal(&self, text: &str) -> String {
        let member = &self.cluster.members[0];
        let text = text
            // As newer etcdctl names them.
            .replace("ResponsePut", "response_put")
            .replace("ResponseRange", "response_range")
            .replace("ResponseDeleteRange", "response_delete_range")
            // With the colon, since an id may hold the same digits.
            .replace(&format!(":{}", member.client_port), ":CLIENT")
            .replace(&format!(":{}", member.peer_port), ":PEER");
        let lines = text
            .lines()
            .map(|line| match serde_json::from_str::<Value>(line) {
                Ok(mut value) => {
                    without_own(&mut value);
                    value.to_string()
                }
                Err(_) => normal_line(line),
            });
        let lines: Vec<String> = lines.filter(|line| !line.is_empty()).collect();
        lines.join("\n").trim_end().to_owned()
    }
}

/// Ids, terms and times out.
fn normal_line(line: &str) -> String {
    for own in [
        "\"ClusterID\"",
        "\"MemberID\"",
        "\"RaftTerm\"",
        "\"ID\"",
        "Password",
    ] {
        if line.starts_with(own) {
            return format!("{own} OWN");
        }
    }
    // In the order of the members' ids.
    if let Some(members) = line.strip_prefix("ETCD_INITIAL_CLUSTER=") {
        let mut members: Vec<&str> = members.trim_matches('"').split(',').collect();
        members.sort_unstable();
        return format!("ETCD_INITIAL_CLUSTER {members:?}");
    }
    // What etcdctl 3.4 lacks, and what it has that newer ones have no more.
    let line = line.split(". took ").next().unwrap_or(line);
    if line == "\"Revision\" : 0" {
        return String::new();
    }
    let line = line.split(" took = ").next().unwrap_or(line);
    let is_id = |word: &str| word.len() >= 11 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = line.split([' ', ',']).map(|word| {
        if is_id(word) {
            "ID"
        } else if word.chars().all(|letter| letter == '-' || letter == '+') && word.len() > 1 {
            "RULE"
        } else {
            word
        }
    });
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn without_own(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                if ["cluster_id", "member_id", "raft_term", "ID", "memberID"]
                    .contains(&name.as_str())
                {
                    *field = Value::from("OWN");
                }
                without_own(field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_own),
        _ => {}
    }
}

/// As newer etcdctl has it: what the command under the lock ends with is what this ends with.
#[tokio::test(flavor = "multi_thread")]
async fn commands_run_under_a_lock_and_for_events_and_elections_are_seen() -> Result<()> {
    let mainstay = Target::mainstay()?;
    let program = PathBuf::from(mainstay.command().get_program());
    let mut ours = Side::start(&mainstay, program, Some("ctl")).await?;
    let (code, _, complaint) = ours.run("lock door sh -c exit\\t7")?;
    assert_eq!(
        (code, complaint.as_str()),
        (Some(7), "Error: exit status 7")
    );
    let (code, held, _) = ours.run("lock door -- sh -c echo\\t$ETCD_LOCK_KEY\\t$ETCD_LOCK_REV")?;
    assert_eq!(code, Some(0));
    assert!(held.starts_with("door/"), "{held}");
    let (code, _, complaint) = ours.run("lock door nothing-of-this-name")?;
    assert_eq!(code, Some(1), "{complaint}");
    // Each has given its lock and its lease back.
    assert_eq!(ours.run("get door --prefix")?.1, "");
    assert_eq!(ours.run("lease list")?.1, "found 0 leases");

    let mut candidate = ours.start_command("elect chair me")?;
    let mut observer = ours.start_command("elect chair --listen")?;
    for child in [&mut candidate, &mut observer] {
        let mut lines = BufReader::new(child.stdout.take().context("a piped output")?).lines();
        let key = lines.next().context("the leader's key")??;
        assert!(key.starts_with("chair/"), "{key}");
        assert_eq!(lines.next().context("what it makes known")??, "me");
    }
    ours.run("put seen one")?;
    let watch = "watch seen --rev=1 -- sh -c echo\\t$ETCD_WATCH_EVENT_TYPE\\t$ETCD_WATCH_VALUE";
    let mut watch = ours.start_command(watch)?;
    let lines = BufReader::new(watch.stdout.take().context("a piped output")?).lines();
    let lines: Vec<String> = lines.take(4).collect::<Result<_, _>>()?;
    assert_eq!(lines, ["PUT", "seen", "one", "\"PUT\" \"one\""]);
    watch.kill()?;
    watch.wait()?;
    for mut child in [candidate, observer] {
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT)?;
        assert!(child.wait()?.success());
    }
    assert_eq!(ours.run("get chair --prefix")?.1, "");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_clients_print_the_same() -> Result<()> {
    print_the_same(&etcdctl()?).await
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs an etcdctl of 3.6, named by NEWER_ETCDCTL_BIN"]
async fn a_newer_etcdctl_prints_the_same() -> Result<()> {
    let program = std::env::var_os("NEWER_ETCDCTL_BIN").context("NEWER_ETCDCTL_BIN")?;
    print_the_same(Path::new(&program)).await
}

async fn print_the_same(theirs: &Path) -> Result<()> {
    let mainstay = Target::mainstay()?;
    let program = PathBuf::from(mainstay.command().get_program());
    for target in [Target::etcd()?, mainstay] {
        let mut theirs = Side::start(&target, theirs.to_owned(), None).await?;
        let mut ours = Side::start(&target, program.clone(), Some("ctl")).await?;
        let mut differences = Vec::new();
        for line in SCRIPT.lines().filter(|line| !line.is_empty()) {
            let (line, code_alone) = match line.strip_prefix("? ") {
                Some(line) => (line, true),
                None => (line, false),
            };
            let (wanted, found) = (theirs.run(line)?, ours.run(line)?);
            let same = if code_alone {
                wanted.0 == found.0
            } else {
                wanted == found
            };
            if !same {
                differences.push(format!(
                    "{line}\n-- etcdctl: {wanted:?}\n-- ctl:     {found:?}"
                ));
            }
        }
        ensure!(
            differences.is_empty(),
            "on {} {} differ:\n{}",
            target.name,
            differences.len(),
            differences.join("\n\n")
        );
    }
    Ok(())
}

//! etcdctl as a judge: the same lines to two servers, and what has to differ taken out of what it prints.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::target::etcdctl;

/// Time a watch gets to print the lines that are due.
const WATCH_TIMEOUT: Duration = Duration::from_secs(20);

/// Seconds of a lease that may pass before it is asked what is left of it.
const LEASE_SECONDS_SPENT_MAX: i64 = 60;

/// Commands about keys, one a line, and `<` before what goes to the standard input. `LEASE` is the lease that was granted
/// last, `MEMBER` the member that was added last.
pub const SCRIPT: &str = r#"
put k one
put k two --prev-kv
put k three --prev-kv -w json
put dir/a 1
put dir/b 2
put dir/c 3
put dir/b 22
put nowhere x --ignore-value
put k --ignore-value
put k x --lease=123abc
get k
get k -w json
get k -w fields
get k --hex
get k --print-value-only
get k --rev=2
get k --rev=100000
get none
get dir/ --prefix
get dir/ --prefix --keys-only
get dir/ --prefix --limit=2
get dir/ --prefix --limit=2 -w json
get dir/ --prefix --sort-by=VALUE --order=DESCEND
get dir/ --prefix --sort-by=MODIFY --order=ASCEND
get dir/ --prefix --sort-by=VERSION --order=DESCEND --limit=1
get dir/b --from-key
get dir/a dir/c
get --prefix --consistency=s dir/
get "" --prefix --count-only -w fields
del dir/a
del none
del dir/b --prev-kv
txn < mod("k") > "0"\n\nput k four\nget k\n\ndel k\n\n
txn < value("k") = "wrong"\n\nput k five\n\nget k\nput other x\n\n
txn -w json < create("k") = "0"\n\nput k five\n\nget k\n\n
lease grant 600
put leased v --lease=LEASE
get leased
put leased2 v --lease=LEASE
put leased2 w --ignore-lease
lease timetolive LEASE --keys
lease keep-alive LEASE --once
lease list
lease revoke LEASE
lease revoke LEASE
lease timetolive LEASE
get leased
endpoint health
member list
member list -w fields
alarm list
alarm disarm
compaction 3
compaction 3
compaction 100000
get k --rev=2
endpoint hashkv
endpoint status
del k --from-key
"#;

/// One etcdctl against one member.
#[derive(Debug, Clone)]
pub struct Session {
    pub url: String,
    lease: String,
    /// Id of the member that was added last.
    member: String,
}

impl Session {
    pub fn new(url: String) -> Session {
        Session {
            url,
            lease: String::new(),
            member: String::new(),
        }
    }

    fn command(&self, arguments: &[String]) -> Result<Command> {
        let mut command = Command::new(etcdctl()?);
        command
            .env("ETCDCTL_API", "3")
            .args(["--endpoints", &self.url])
            .args(arguments);
        Ok(command)
    }

    /// Runs one line of a script; exit code and normalised output.
    pub fn run(&mut self, line: &str) -> Result<String> {
        let (arguments, input) = line.split_once(" < ").unwrap_or((line, ""));
        let arguments: Vec<String> = arguments
            .replace("LEASE", &self.lease)
            .replace("MEMBER", &self.member)
            .split_whitespace()
            .map(|word| {
                if word == "\"\"" {
                    String::new()
                } else {
                    word.to_owned()
                }
            })
            .collect();
        let mut child = self
            .command(&arguments)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("a piped input")?;
        stdin.write_all(input.replace("\\n", "\n").as_bytes())?;
        drop(stdin);
        let output = child.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        if let Some(rest) = printed.strip_prefix("lease ")
            && rest.contains("granted")
        {
            self.lease = rest.split(' ').next().context("a lease id")?.to_owned();
        }
        if let Some((_, rest)) = printed.split_once("Member ")
            && let Some((id, _)) = rest.split_once(" added to cluster")
        {
            id.clone_into(&mut self.member);
        }
        let text = format!("{printed}{complaints}");
        let normal = match arguments.iter().any(|word| word == "json") {
            true => normal_json(&text),
            false => self.normal_text(&arguments, &text),
        };
        Ok(format!("{}\n{normal}", output.status))
    }

    fn normal_text(&self, arguments: &[String], text: &str) -> String {
        let mut text = text.replace(&self.url, "URL");
        if !self.lease.is_empty() {
            let decimal = i64::from_str_radix(&self.lease, 16)
                .unwrap_or_default()
                .to_string();
            text = text
                .replace(&self.lease, "LEASE")
                .replace(&decimal, "LEASE");
        }
        let counted = arguments.first().is_some_and(|word| word == "endpoint")
            || arguments.starts_with(&["snapshot".to_owned(), "status".to_owned()]);
        // What etcdctl tells of its own steps.
        let told = |line: &&str| !line.starts_with("{\"level\":\"info\"");
        let lines = text.lines().filter(told).map(|line| match counted {
            // Hashes follow the history before; sizes, terms and versions are each server's own.
            true => fields_of(line),
            false => normal_words(line),
        });
        let mut lines: Vec<String> = lines.collect();
        if arguments.first().is_some_and(|word| word == "member") {
            // Listed by id, and ids are each cluster's own.
            lines.sort();
        }
        lines.join("\n")
    }

    /// Starts a watch, lets `write` happen, and reads until `lines` lines are printed.
    pub fn watch(&self, arguments: &str, lines: usize, write: &[&str]) -> Result<Vec<String>> {
        let words: Vec<String> = arguments.split(' ').map(str::to_owned).collect();
        let mut child = self
            .command(&words)?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().context("a piped output")?;
        let (sender, receiver) = mpsc::sync_channel(lines);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stdout)
                .lines()
                .map_while(Result::ok)
                .take(lines)
            {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        for line in write {
            Session::new(self.url.clone()).run(line)?;
        }
        let mut printed = Vec::new();
        while printed.len() < lines {
            match receiver.recv_timeout(WATCH_TIMEOUT) {
                Ok(line) => printed.push(line),
                Err(error) => {
                    child.kill()?;
                    child.wait()?;
                    bail!("watch {arguments}: {error} after {printed:?}");
                }
            }
        }
        child.kill()?;
        child.wait()?;
        reader.join().ok().context("the reader ends")?;
        Ok(printed)
    }
}

/// Ids and times out, everything else stays.
fn normal_words(line: &str) -> String {
    // Printed without zeros in front; shorter ones do not happen.
    let is_id = |word: &str| word.len() >= 11 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let normal = |word: &str| {
        let bare = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
        if is_id(bare) {
            return word.replace(bare, "ID");
        }
        match bare.strip_prefix("http://127.0.0.1:") {
            Some(_) => word.replace(bare, "URL"),
            None => word.to_owned(),
        }
    };
    if let Some(cluster) = line.strip_prefix("ETCD_INITIAL_CLUSTER=") {
        // In the order of the ids.
        let mut names: Vec<&str> = cluster
            .trim_matches('"')
            .split(',')
            .map(|member| member.split('=').next().unwrap_or_default())
            .collect();
        names.sort_unstable();
        return format!("ETCD_INITIAL_CLUSTER={names:?}");
    }
    let line: Vec<String> = line.split(' ').map(normal).collect();
    // Short ids are printed with spaces in front, one for each digit that they lack.
    let mut line = line.join(" ");
    while line.contains("  ID") {
        line = line.replace("  ID", " ID");
    }
    let own = ["\"RaftTerm\"", "\"ClusterID\"", "\"MemberID\"", "\"ID\""];
    let line = without_spent(line);
    if let Some((before, keys)) = line.split_once("attached keys([") {
        // etcd keeps a lease's keys in a hash map.
        let mut keys: Vec<&str> = keys.trim_end_matches("])").split(' ').collect();
        keys.sort_unstable();
        return format!("{before}attached keys {keys:?}");
    }
    match own.iter().find(|field| line.starts_with(*field)) {
        Some(field) => format!("{field} : OWN"),
        // "successfully committed proposal: took = 1.2ms", and etcd's log lines carry a time.
        None => match line.split_once("took = ") {
            Some((before, _)) => before.to_owned(),
            None => without_log_time(&line),
        },
    }
}

/// A lease of which little is spent has all of its time left, for the seconds in between are not the same on every server.
fn without_spent(line: String) -> String {
    let between = |before: &str, after: &str| -> Option<i64> {
        let (_, rest) = line.split_once(before)?;
        rest.split_once(after)?.0.parse().ok()
    };
    let times = between(" TTL(", "s)").zip(between(" remaining(", "s)"));
    match times {
        Some((granted, left)) if (0..LEASE_SECONDS_SPENT_MAX).contains(&(granted - left)) => {
            line.replace(&format!("remaining({left}s)"), "remaining(all)")
        }
        _ => line,
    }
}

/// etcdctl logs failures with a time and its own addresses before the message.
fn without_log_time(line: &str) -> String {
    match line.find("\"error\":") {
        Some(at) if line.starts_with('{') => line[at..].to_owned(),
        _ => line.to_owned(),
    }
}

/// How many fields a line of a list has.
fn fields_of(line: &str) -> String {
    if line.contains("is healthy") {
        return "healthy".to_owned();
    }
    format!("{} fields", line.split(", ").count())
}

fn normal_json(text: &str) -> String {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if ["cluster_id", "member_id", "raft_term"].contains(&name.as_str()) {
                        *field = Value::from("OWN");
                    }
                    walk(field);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    // The answer is the last line; before it stand words of etcdctl's own.
    let parsed = text
        .lines()
        .map(|line| match serde_json::from_str::<Value>(line) {
            Ok(mut value) => {
                walk(&mut value);
                value.to_string()
            }
            Err(_) => line.to_owned(),
        });
    parsed.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_lease_is_the_same_after_a_second_and_not_after_minutes() {
        let line = |left| format!("lease LEASE granted with TTL(600s), remaining({left}s)");
        assert_eq!(normal_words(&line(598)), normal_words(&line(600)));
        assert_ne!(normal_words(&line(601)), normal_words(&line(600)));
        assert_ne!(normal_words(&line(500)), normal_words(&line(600)));
        assert_ne!(normal_words(&line(0)), normal_words(&line(600)));
    }
}

//! A process killed at any moment: what it was told is on disk is there when the log is opened again.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bytes::Bytes;
use wal::{Entry, Options, Wal};

const DIRECTORY: &str = "WAL_KILL_TEST_DIRECTORY";
const ROUNDS: u64 = 12;

fn options() -> Options {
    Options {
        segment_bytes: 64 << 10,
        window_bytes_max: 8 << 10,
        // A few segments at a time, so that something is acknowledged soon on a slow disk too.
        queue_bytes_max: 256 << 10,
        ..Options::default()
    }
}

fn entry(index: u64) -> Entry {
    let filler = (index % 251) as u8;
    Entry {
        index,
        term: index / 100,
        payload: Bytes::from(vec![filler; index as usize % 900]),
    }
}

/// Child process: appends, votes and purges until it is killed, and prints what was acknowledged.
fn write_until_killed(directory: &Path) {
    let (wal, _recovered) = Wal::open(directory, options()).expect("the log opens");
    let mut index = wal.last_index().map_or(0, |last| last + 1);
    loop {
        let count = 1 + index % 7;
        let entries = (index..index + count).map(entry).collect();
        index += count;
        let last = index - 1;
        wal.append(entries, move |result| {
            print(&format!("appended {last}"), result)
        });
        if index % 5 == 0 {
            let vote = Bytes::from(format!("{index}"));
            wal.save_vote(vote, move |result| print(&format!("voted {index}"), result));
        }
        if index % 11 == 0 && index > 300 {
            let upto = index - 300;
            let mark = Bytes::from(format!("{upto}"));
            wal.purge(upto, mark, move |result| {
                print(&format!("purged {upto}"), result)
            });
        }
        wal.note_committed(Bytes::from(format!("{index}")));
    }
}

/// One write of a whole line, so that a kill leaves no half of it.
fn print(line: &str, result: std::io::Result<()>) {
    result.expect("the log works");
    std::io::stdout()
        .write_all(format!("\nacknowledged {line}\n").as_bytes())
        .expect("the parent reads");
}

fn start(directory: &Path) -> Child {
    Command::new(std::env::current_exe().expect("a test is a program"))
        .args([
            "--exact",
            "acknowledged_operations_survive_a_kill",
            "--nocapture",
        ])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the child starts")
}

#[derive(Debug, Default)]
struct Acknowledged {
    last: Option<u64>,
    vote: Option<u64>,
    purged: Option<u64>,
}

/// Reads some acknowledgements, kills the child, and reads what it still said.
fn kill_after(mut child: Child, lines: usize, acknowledged: &mut Acknowledged) {
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    let mut seen = 0;
    for line in output.lines() {
        let line = line.expect("the output is text");
        let Some(said) = line.strip_prefix("acknowledged ") else {
            continue;
        };
        let (what, number) = said.split_once(' ').expect("a kind and a number");
        let number = Some(number.parse().expect("a number"));
        match what {
            "appended" => acknowledged.last = number,
            "voted" => acknowledged.vote = number,
            _ => acknowledged.purged = number,
        }
        seen += 1;
        if seen == lines {
            child.kill().expect("the child runs");
        }
    }
    child.wait().expect("the child has ended");
    assert!(
        seen >= lines,
        "the child ended by itself after {seen} lines"
    );
}

#[test]
fn acknowledged_operations_survive_a_kill() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return write_until_killed(Path::new(&directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..ROUNDS {
        let lines = 1 + (round * round * 37 % 400) as usize;
        kill_after(start(directory.path()), lines, &mut acknowledged);
        let (wal, recovered) = Wal::open(directory.path(), options()).unwrap();
        let context = format!("round {round}: {acknowledged:?}, {recovered:?}");
        let last = recovered.last_index.expect("something was acknowledged");
        assert!(Some(last) >= acknowledged.last, "{context}");
        let number = |bytes: &Bytes| -> u64 {
            std::str::from_utf8(bytes)
                .expect("text")
                .parse()
                .expect("a number")
        };
        assert!(
            recovered.vote.as_ref().map(number) >= acknowledged.vote,
            "{context}"
        );
        assert!(
            recovered
                .committed
                .as_ref()
                .is_none_or(|mark| number(mark) <= last + 1),
            "{context}"
        );
        let purged = recovered.purged.as_ref().map(|(upto, mark)| {
            assert_eq!(*upto, number(mark));
            *upto
        });
        assert!(purged >= acknowledged.purged, "{context}");
        let first = purged.map_or(0, |upto| upto + 1);
        let entries = wal.read(first..u64::MAX, usize::MAX).unwrap();
        assert!(
            entries.into_iter().eq((first..=last).map(entry)),
            "{context}"
        );
    }
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert!(files <= 12, "{files} files are left");
}

//! Random commands do to the store what they do to a simple model of it.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use state_machine::*;

use crate::generate;
use crate::model::Model;

/// Small buffers, so that values leave the cache and rows the memory.
const SMALL: Options = Options {
    write_buffer_bytes: 64 << 10,
    block_cache_bytes: 64 << 10,
    value_cache_bytes: 4096,
};

fn open(dir: &Path) -> StateMachine {
    StateMachine::open(dir, &SMALL).unwrap()
}

#[derive(Debug, Clone)]
enum Step {
    Run(Vec<Command>),
    /// This many steps of physical compaction.
    Sweep(usize),
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let allowed = |command: &Command| match command {
        Command::Txn(txn) => check_txn(txn, 128).is_ok(),
        _ => true,
    };
    let command = generate::command().prop_filter("refused at the edge", allowed);
    vec(
        prop_oneof![
            12 => vec(command, 1..6).prop_map(Step::Run),
            2 => (1..20usize).prop_map(Step::Sweep),
            1 => Just(Step::Reopen),
        ],
        1..25,
    )
}

fn run(commands: &[Command], mark: &'static [u8]) -> Run {
    Run {
        commands: commands.to_vec(),
        mark: Bytes::from_static(mark),
    }
}

/// Opens a copy of the files as they stand. A rewrite in the background may get between; then again.
fn crash(dir: &Path, to: &Path) -> StateMachine {
    for attempt in 0..20 {
        let copy = to.join(attempt.to_string());
        std::fs::create_dir(&copy).unwrap();
        let copied = std::fs::read_dir(dir).unwrap().try_for_each(|file| {
            let file = file?;
            std::fs::copy(file.path(), copy.join(file.file_name())).map(drop)
        });
        if copied.is_ok()
            && let Ok(machine) = StateMachine::open(&copy, &SMALL)
        {
            return machine;
        }
    }
    panic!("no copy of the files could be opened");
}

/// Everything that can be read is what the model says.
fn check_reads(machine: &StateMachine, model: &Model, ranges: &[Range]) -> TestCaseResult {
    prop_assert_eq!(machine.revision(), model.revision);
    prop_assert_eq!(machine.compact_revision(), model.compact_revision);
    for range in ranges {
        prop_assert_eq!(machine.range(range), model.range(range), "{:?}", range);
    }
    let all = KeyRange {
        start: Bytes::from_static(b"\0"),
        end: Bytes::from_static(b"\0"),
    };
    let from = model.compact_revision.max(1);
    for revision in from..=model.revision {
        let range = Range {
            keys: all.clone(),
            revision,
            ..Range::default()
        };
        prop_assert_eq!(machine.range(&range), model.range(&range));
        let hash = machine.hash_kv(revision).unwrap();
        prop_assert_eq!(hash.hash, model.hash_kv(revision), "hash at {}", revision);
    }
    prop_assert_eq!(
        machine.history(from, usize::MAX, usize::MAX).unwrap(),
        model.history(from)
    );
    for events in model.history(from) {
        for event in events.events.iter() {
            if let Some(prev) = event.prev {
                let found = machine
                    .key_value_at(prev)
                    .map(|kv| decode_key_value(&kv.0).unwrap());
                prop_assert_eq!(
                    found.map(|kv| (kv.key, kv.mod_revision)),
                    Some((event.key.clone(), prev.main))
                );
            }
        }
    }
    let leases: Vec<(LeaseInfo, Vec<Bytes>)> = machine
        .leases()
        .into_iter()
        .map(|lease| (lease, machine.lease_keys(lease.id)))
        .collect();
    prop_assert_eq!(leases, model.leases());
    prop_assert_eq!(machine.live_bytes(), model.live_bytes());
    let count = machine.range(&Range {
        keys: all,
        count_only: true,
        ..Range::default()
    });
    prop_assert_eq!(machine.key_count() as i64, count.unwrap().1.count);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn store_and_model_agree(steps in steps(), ranges in vec(generate::range(30), 12)) {
        let dir = tempfile::tempdir().unwrap();
        let mut machine = open(dir.path());
        let mut model = Model::new();
        for step in steps {
            match step {
                Step::Run(commands) => {
                    let revision = model.revision;
                    let expected: Vec<Outcome> =
                        commands.iter().map(|command| model.apply(command)).collect();
                    let applied = machine.apply(run(&commands, b"m")).unwrap();
                    prop_assert_eq!(applied.outcomes, expected);
                    if model.compact_revision <= revision {
                        prop_assert_eq!(applied.events, model.history(revision + 1));
                    }
                }
                Step::Sweep(steps) => {
                    for _ in 0..steps {
                        machine.sweep(2);
                    }
                }
                Step::Reopen => {
                    machine.flush().unwrap();
                    drop(machine);
                    machine = open(dir.path());
                }
            }
            check_reads(&machine, &model, &ranges)?;
        }
    }

    /// A copy of the files of an open store is what a crash leaves behind.
    #[test]
    fn replaying_the_log_after_a_crash_gives_the_same_state(
        runs in vec((vec(generate::command(), 1..6), 0..5usize), 1..25),
        ranges in vec(generate::range(30), 8),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let machine = open(dir.path());
        let mut model = Model::new();
        let mut log = Vec::new();
        for (position, (mut commands, flush_or_sweep)) in runs.into_iter().enumerate() {
            commands.retain(|command| !matches!(command, Command::Txn(txn) if check_txn(txn, 128).is_err()));
            commands.iter().for_each(|command| drop(model.apply(command)));
            let mark = Bytes::copy_from_slice(&(position as u64).to_be_bytes());
            let run = Run { commands, mark };
            log.push(run.clone());
            machine.apply(run).unwrap();
            match flush_or_sweep {
                0 => while machine.sweep(3) {},
                1 => drop(machine.flush().unwrap()),
                _ => {}
            }
        }
        let crashed = tempfile::tempdir().unwrap();
        let revived = crash(dir.path(), crashed.path());
        let applied = revived.applied_mark().map_or(0, |mark| {
            u64::from_be_bytes(mark[..].try_into().unwrap()) as usize + 1
        });
        for run in &log[applied..] {
            revived.apply(run.clone()).unwrap();
        }
        check_reads(&revived, &model, &ranges)?;
        prop_assert_eq!(revived.hash(), machine.hash());
        while revived.sweep(3) {}
        check_reads(&revived, &model, &ranges)?;
    }

    #[test]
    fn runs_may_be_split_anywhere(
        commands in vec(generate::command(), 1..40),
        cuts in vec(1..6usize, 40),
    ) {
        let (one_dir, other_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, other) = (open(one_dir.path()), open(other_dir.path()));
        let allowed: Vec<Command> = commands
            .into_iter()
            .filter(|command| !matches!(command, Command::Txn(txn) if check_txn(txn, 128).is_err()))
            .collect();
        let whole = one.apply(run(&allowed, b"end")).unwrap();
        let mut parts = Applied::default();
        let mut rest = &allowed[..];
        for cut in cuts {
            let (part, after) = rest.split_at(cut.min(rest.len()));
            rest = after;
            let applied = other.apply(run(part, b"end")).unwrap();
            parts.outcomes.extend(applied.outcomes);
            parts.events.extend(applied.events);
            parts.leases.extend(applied.leases);
            while other.sweep(3) {}
        }
        prop_assert_eq!(whole, parts);
        prop_assert_eq!(one.hash_kv(0).unwrap(), other.hash_kv(0).unwrap());
        prop_assert_eq!(one.hash(), other.hash());
    }

    #[test]
    fn every_command_survives_the_log(commands in vec(generate::command(), 1..10)) {
        let mut log = BytesMut::new();
        commands.iter().for_each(|command| command.encode(&mut log));
        let mut log = log.freeze();
        for command in commands {
            prop_assert_eq!(Command::decode(&mut log), Ok(command));
        }
        prop_assert!(log.is_empty());
    }

    #[test]
    fn a_cut_command_is_refused(command in generate::command(), cut in any::<prop::sample::Index>()) {
        let mut log = BytesMut::new();
        command.encode(&mut log);
        let length = cut.index(log.len());
        let mut cut_log = log.freeze().slice(..length);
        prop_assert_eq!(Command::decode(&mut cut_log), Err(DecodeError::Short));
    }

    #[test]
    fn garbage_in_the_log_is_an_error_or_a_command(garbage: Vec<u8>) {
        let garbage = [&[1][..], &garbage].concat();
        let mut input = Bytes::from(garbage);
        let _ = Command::decode(&mut input);
    }
}

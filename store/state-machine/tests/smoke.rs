//! The public door works end to end.

use bytes::Bytes;
use state_machine::*;

fn put(key: &str, value: &str) -> Command {
    Command::Put(Put {
        key: key.to_owned().into(),
        value: value.to_owned().into(),
        ..Put::default()
    })
}

fn all() -> Range {
    let keys = KeyRange {
        start: Bytes::from_static(b"\0"),
        end: Bytes::from_static(b"\0"),
    };
    Range {
        keys,
        ..Range::default()
    }
}

#[test]
fn what_is_applied_is_read_back_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let machine = StateMachine::open(dir.path(), &Options::default()).unwrap();
    let run = Run {
        commands: vec![put("b", "1"), put("a", "2")],
        mark: Bytes::from_static(b"m"),
    };
    let applied = machine.apply(run).unwrap();
    assert_eq!(applied.outcomes[1].as_ref().unwrap().revision, 3);
    assert_eq!(applied.events.len(), 2);
    let (revision, before) = machine.range(&all()).unwrap();
    assert_eq!((revision, before.count, before.kvs.len()), (3, 2, 2));
    let hash = machine.hash_kv(0).unwrap();
    assert_eq!(machine.flush().unwrap(), Some(Bytes::from_static(b"m")));
    let copy = dir.path().join("copy");
    assert_eq!(
        machine.checkpoint(&copy).unwrap(),
        Some(Bytes::from_static(b"m"))
    );
    drop(machine);
    for path in [dir.path(), &copy] {
        let machine = StateMachine::open(path, &Options::default()).unwrap();
        assert_eq!(machine.range(&all()).unwrap(), (3, before.clone()));
        assert_eq!(machine.hash_kv(0).unwrap(), hash);
        assert_eq!(machine.applied_mark(), Some(Bytes::from_static(b"m")));
    }
}

#[test]
fn a_page_is_the_range_up_to_its_limit_and_counts_no_further() {
    let dir = tempfile::tempdir().unwrap();
    let machine = StateMachine::open(dir.path(), &Options::default()).unwrap();
    let commands = ["a", "b", "c", "d", "e"].map(|key| put(key, "1")).into();
    let mark = Bytes::new();
    machine.apply(Run { commands, mark }).unwrap();
    for (limit, page_count) in [(2, 3), (4, 5), (5, 5), (9, 5), (0, 5)] {
        let limited = Range { limit, ..all() };
        let (revision, whole) = machine.range(&limited).unwrap();
        assert_eq!(whole.count, 5, "limit {limit}");
        let page = RangeResponse {
            count: page_count,
            ..whole
        };
        assert_eq!(machine.range_page(&limited).unwrap(), (revision, page));
    }
    let counted = Range {
        count_only: true,
        limit: 2,
        ..all()
    };
    assert_eq!(machine.range_page(&counted).unwrap().1.count, 5);
}

#[test]
fn the_total_counts_what_is_not_flushed_yet() {
    let dir = tempfile::tempdir().unwrap();
    let machine = StateMachine::open(dir.path(), &Options::default()).unwrap();
    let commands = vec![put("a", &"x".repeat(1 << 20))];
    let mark = Bytes::new();
    machine.apply(Run { commands, mark }).unwrap();
    assert!(machine.disk_bytes() < 1 << 20);
    assert_eq!(machine.total_bytes(), machine.live_bytes());
    machine.flush().unwrap();
    assert!(machine.total_bytes() >= machine.disk_bytes().max(1 << 20));
}

#[test]
fn what_the_store_raised_itself_is_kept_apart_from_what_somebody_raised() {
    let dir = tempfile::tempdir().unwrap();
    let machine = StateMachine::open(dir.path(), &Options::default()).unwrap();
    let change = |action, member| {
        Command::Alarm(AlarmChange {
            action,
            member,
            alarm: AlarmKind::NoSpace,
        })
    };
    let (raise, lift) = (AlarmAction::Activate, AlarmAction::Deactivate);
    let apply = |command| {
        let run = Run {
            commands: vec![command],
            mark: Bytes::new(),
        };
        machine.apply(run).unwrap();
        machine.own_space_alarms()
    };
    assert_eq!(apply(change(raise, 1)), [0_u64; 0]);
    assert_eq!(apply(change(raise, 2).by(Caller::System)), [2]);
    assert_eq!(machine.alarms().len(), 2);
    // Lifted, the next one may be the store's own.
    assert_eq!(apply(change(lift, 1)), [2]);
    assert_eq!(apply(change(raise, 1).by(Caller::System)), [1, 2]);
}

//! Folders that older builds wrote, and folders that are not what they were.

use super::*;
use crate::auth::AuthChange;
use crate::command::{Command, Compact, DowngradeChange, Put};
use crate::machine::{Run, StateMachine};
use crate::outcome::Rejection;
use crate::state::State;

#[test]
fn a_folder_from_before_there_were_users_opens_without_any() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    let db = DB::open_cf(&options, dir.path(), [KV, META, LEASE, ALARM]);
    let db = db.expect("a database of an older build");
    let meta = db.cf_handle(META).expect("its meta");
    db.put_cf(meta, FORMAT, FORMAT_WITHOUT_DIGEST)
        .expect("a write");
    drop(db);
    let machine = StateMachine::open(dir.path(), &Options::default());
    let machine = machine.expect("the folder opens");
    assert_eq!(machine.auth_stamp(), State::default().auth.stamp);
    assert!(machine.users().is_empty() && machine.roles().is_empty());
}

fn put(key: &'static str, value: &'static str) -> Command {
    Command::Put(Put {
        key: key.into(),
        value: value.into(),
        ..Put::default()
    })
}

fn open(dir: &Path) -> StateMachine {
    StateMachine::open(dir, &Options::default()).expect("the folder opens")
}

fn apply(machine: &StateMachine, commands: Vec<Command>) {
    let mark = Bytes::from_static(b"mark");
    let run = Run { commands, mark };
    machine.apply(run).expect("a run is applied");
}

/// Changes rows behind the state machine's back.
fn tamper(dir: &Path, change: impl FnOnce(&DB)) {
    let db = DB::open_cf(&rocksdb::Options::default(), dir, ALL).expect("the database opens");
    change(&db);
    for name in ALL {
        let family = db.cf_handle(name).expect("a column family");
        db.flush_cf(family).expect("a flush");
    }
}

#[test]
fn a_folder_without_a_digest_gets_one_with_its_next_compaction() {
    let (one, other) = (tempfile::tempdir(), tempfile::tempdir());
    let (one, other) = (one.expect("a folder"), other.expect("a folder"));
    for dir in [&one, &other] {
        let machine = open(dir.path());
        apply(&machine, vec![put("a", "1"), put("a", "2")]);
        machine.flush().expect("a flush");
        drop(machine);
        tamper(dir.path(), |db| {
            let meta = db.cf_handle(META).expect("its meta");
            let old = [&3_i64.to_be_bytes()[..], b"old mark"].concat();
            db.put_cf(meta, APPLIED, old).expect("a write");
            db.put_cf(meta, FORMAT, b"1").expect("a write");
        });
    }
    let (one, other) = (open(one.path()), open(other.path()));
    assert_eq!(one.applied_mark().as_deref(), Some(&b"old mark"[..]));
    assert_eq!((one.revision(), one.digest()), (3, Digest::UNKNOWN));
    apply(&one, vec![put("b", "1")]);
    assert!(!one.digest().is_known());
    for machine in [&one, &other] {
        apply(machine, vec![Command::Compact(Compact { revision: 2 })]);
    }
    assert_eq!(one.digest(), other.digest());
    assert_eq!(one.digest().since, 2);
}

#[test]
fn the_digest_is_stored_with_the_run_and_goes_on_behind_it() {
    let (whole, parts) = (tempfile::tempdir(), tempfile::tempdir());
    let (whole, parts) = (whole.expect("a folder"), parts.expect("a folder"));
    let commands = || {
        let target = Release { major: 3, minor: 5 };
        vec![
            put("a", "1"),
            Command::Downgrade(DowngradeChange::Enable(target)),
            put("b", "2"),
            Command::Compact(Compact { revision: 2 }),
        ]
    };
    let machine = open(whole.path());
    apply(&machine, commands());
    for command in commands() {
        let machine = open(parts.path());
        apply(&machine, vec![command]);
        machine.flush().expect("a flush");
    }
    let reopened = open(parts.path());
    assert_eq!(reopened.digest(), machine.digest());
    assert_eq!(reopened.hash(), machine.hash());
    assert_eq!(reopened.downgrade(), Some(Release { major: 3, minor: 5 }));
    assert_ne!(machine.digest(), Digest::default());
}

#[test]
fn a_row_that_rots_is_seen_by_the_hash_and_not_by_the_digest() {
    let dir = tempfile::tempdir().expect("a folder");
    let machine = open(dir.path());
    apply(&machine, vec![put("a", "1")]);
    machine.flush().expect("a flush");
    let (digest, hash) = (machine.digest(), machine.hash_kv(0).expect("a hash"));
    let at = Revision { main: 2, sub: 0 };
    let kv = machine.key_value_at(at).expect("the row").0;
    drop(machine);
    tamper(dir.path(), |db| {
        let mut rotten = kv.to_vec();
        *rotten.last_mut().expect("bytes") ^= 1;
        let family = db.cf_handle(KV).expect("the rows");
        db.put_cf(family, RowKey::new(at, false), rotten)
            .expect("a write");
    });
    let machine = open(dir.path());
    assert_eq!(machine.digest(), digest);
    assert_ne!(machine.hash_kv(0).expect("a hash").hash, hash.hash);
}

#[test]
fn the_hash_of_everything_covers_users_and_the_downgrade() {
    let dir = tempfile::tempdir().expect("a folder");
    let machine = open(dir.path());
    let mut hashes = vec![machine.hash()];
    let target = Release { major: 3, minor: 5 };
    for command in [
        Command::Downgrade(DowngradeChange::Enable(target)),
        Command::Downgrade(DowngradeChange::Cancel),
        Command::Auth(AuthChange::RoleAdd {
            name: "reader".to_owned(),
        }),
    ] {
        apply(&machine, vec![command]);
        hashes.push(machine.hash());
    }
    assert_eq!(hashes[0], hashes[2]);
    assert_ne!(hashes[0], hashes[1]);
    assert_ne!(hashes[2], hashes[3]);
}

#[test]
fn one_downgrade_is_under_way_at_a_time() {
    let dir = tempfile::tempdir().expect("a folder");
    let machine = open(dir.path());
    let enable = Command::Downgrade(DowngradeChange::Enable(Release { major: 3, minor: 5 }));
    let cancel = Command::Downgrade(DowngradeChange::Cancel);
    let commands = vec![cancel.clone(), enable.clone(), enable, cancel];
    let mark = Bytes::new();
    let applied = machine.apply(Run { commands, mark }).expect("a run");
    let refusals: Vec<_> = applied
        .outcomes
        .iter()
        .map(|outcome| outcome.as_ref().err().copied())
        .collect();
    let (none, other) = (Rejection::NoDowngrade, Rejection::DowngradeInProgress);
    assert_eq!(refusals, [Some(none), None, Some(other), None]);
}

//! A backup of one store restores to an equal one; what is damaged leaves nothing.

use std::fs::{self, File};
use std::path::Path;

use bytes::Bytes;
use state_machine::{Command, Compact, LeaseGrant, Options, Put, Run, StateMachine};
use tempfile::TempDir;

use super::{ExportError, Restore, SPARE_BYTES, export, restore, seal, status};
use crate::raft::{StateFolder, founding_mark};

/// Damaged files that a test restores.
const DAMAGED_FILES: usize = 25;

fn restore_of(dir: &TempDir, snapshot: &Path) -> Restore {
    Restore {
        snapshot: snapshot.to_owned(),
        name: "a".to_owned(),
        data_dir: dir.path().join("restored"),
        wal_dir: None,
        initial_cluster: "a=http://127.0.0.1:1,b=http://127.0.0.1:2".to_owned(),
        initial_cluster_token: "token".to_owned(),
        initial_advertise_peer_urls: "http://127.0.0.1:1".to_owned(),
        skip_hash_check: false,
        bump_revision: 0,
        mark_compacted: false,
    }
}

fn put(key: &str, lease: i64) -> Command {
    Command::Put(Put {
        key: Bytes::from(key.to_owned()),
        value: Bytes::from_static(b"value"),
        lease,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    })
}

/// A store with a lease and a compaction.
fn machine(dir: &TempDir) -> StateMachine {
    let machine = StateMachine::open(&dir.path().join("state"), &Options::default()).unwrap();
    let grant = LeaseGrant {
        id: 0x77,
        ttl_seconds: 600,
    };
    let mut commands = vec![Command::LeaseGrant(grant), put("leased", 0x77)];
    commands.extend((0..100).map(|number| put(&format!("key-{}", number % 7), 0)));
    commands.push(Command::Compact(Compact { revision: 50 }));
    machine
        .apply(Run {
            commands,
            mark: founding_mark([(1, Vec::new())].into(), 9).unwrap(),
        })
        .unwrap();
    machine
}

/// Writes a snapshot file.
fn back_up(machine: &StateMachine, path: &Path) {
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(path)
        .unwrap();
    let image = machine.image().unwrap();
    let length = export(image, &file, SPARE_BYTES, || true).unwrap();
    assert_eq!(file.metadata().unwrap().len(), length);
    seal(&file, length).unwrap();
}

fn open(dir: &TempDir) -> StateFolder {
    let state = dir.path().join("restored/member/state");
    StateFolder::open(&state, Options::default()).unwrap()
}

#[test]
fn a_backup_restores_to_an_equal_store() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(&dir);
    let path = dir.path().join("snapshot.db");
    back_up(&machine, &path);
    let figures = status(&path).unwrap();
    assert_eq!(figures.revision, machine.revision());
    assert_eq!(figures.total_keys, machine.key_count());
    assert_eq!(figures.version, "3.6.0");
    // Every bucket, key and value: whoever changes one of them changes what etcd reads.
    assert_eq!(figures.hash, 459_348_893);
    let restored = restore(&restore_of(&dir, &path), |_| {}).unwrap();
    assert_eq!(restored.hash, machine.hash_kv(0).unwrap());
    assert_eq!(restored.keys, machine.key_count());
    let folder = open(&dir);
    let again = folder.machine();
    assert_eq!(again.leases(), machine.leases());
    assert_eq!(again.lease_keys(0x77), machine.lease_keys(0x77));
    assert_eq!(again.compact_revision(), 50);
    assert!(again.alarms().is_empty());
}

#[test]
fn a_bump_raises_the_revision_and_compacts_what_was_before() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(&dir);
    let path = dir.path().join("snapshot.db");
    back_up(&machine, &path);
    let mut options = restore_of(&dir, &path);
    options.bump_revision = 1_000;
    assert!(restore(&options, |_| {}).is_err());
    options.mark_compacted = true;
    let restored = restore(&options, |_| {}).unwrap();
    assert_eq!(restored.revision, machine.revision() + 1_000);
    let folder = open(&dir);
    assert_eq!(folder.machine().compact_revision(), restored.revision);
    assert_eq!(folder.machine().key_count(), machine.key_count());
}

#[test]
fn what_cannot_be_restored_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(&dir);
    let path = dir.path().join("snapshot.db");
    back_up(&machine, &path);
    let whole = fs::read(&path).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 4;
    let cut = whole[..whole.len() / 2].to_vec();
    let garbage = vec![7; 4096 * 3 + 32];
    for (bytes, text) in [
        (flipped, "expected sha256 ["),
        (cut, "snapshot missing hash but --skip-hash-check=false"),
        (garbage, "expected sha256 ["),
        (Vec::new(), "snapshot missing hash"),
    ] {
        fs::write(&path, &bytes).unwrap();
        let mut options = restore_of(&dir, &path);
        let error = format!("{:#}", restore(&options, |_| {}).unwrap_err());
        assert!(error.contains(text), "{error}");
        assert!(!options.data_dir.exists());
        // Without the checksum the pages speak for themselves; the flipped bit lies in a value at most.
        options.skip_hash_check = true;
        if let Err(error) = restore(&options, |_| {}) {
            assert!(
                format!("{error:#}").starts_with("cannot restore "),
                "{error:#}"
            );
            assert!(!options.data_dir.exists());
        } else {
            fs::remove_dir_all(&options.data_dir).unwrap();
        }
    }
}

/// A random number, the same in every run.
fn next(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn a_damaged_file_without_its_checksum_gives_an_error_or_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(&dir);
    let path = dir.path().join("snapshot.db");
    back_up(&machine, &path);
    let whole = fs::read(&path).unwrap();
    let filled: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut options = restore_of(&dir, &path);
    options.skip_hash_check = true;
    let mut seed = 1;
    for _ in 0..DAMAGED_FILES {
        let mut damaged = whole.clone();
        for _ in 0..1 + next(&mut seed) % 3 {
            let at = filled[next(&mut seed) % filled.len()];
            damaged[at] ^= 1 << (next(&mut seed) % 8);
        }
        fs::write(&path, &damaged).unwrap();
        let restored = restore(&options, |_| {});
        assert_eq!(options.data_dir.exists(), restored.is_ok());
        if restored.is_ok() {
            fs::remove_dir_all(&options.data_dir).unwrap();
        }
    }
}

#[test]
fn a_folder_in_use_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(&dir);
    let path = dir.path().join("snapshot.db");
    back_up(&machine, &path);
    let options = restore_of(&dir, &path);
    fs::create_dir(&options.data_dir).unwrap();
    fs::write(options.data_dir.join("mine"), "mine").unwrap();
    let error = restore(&options, |_| {}).unwrap_err();
    assert!(error.to_string().contains("not empty"), "{error}");
    assert_eq!(fs::read(options.data_dir.join("mine")).unwrap(), b"mine");
}

#[test]
fn an_export_that_nobody_wants_ends() {
    let dir = tempfile::tempdir().unwrap();
    let machine = machine(&dir);
    let file = tempfile::tempfile().unwrap();
    let ended = export(machine.image().unwrap(), &file, SPARE_BYTES, || false);
    assert!(matches!(ended, Err(ExportError::Unwanted)));
}

//! What the library for power cuts keeps and loses: a small program writes, the power is cut, and its files are looked at.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{SystemTime, UNIX_EPOCH};

use chaos::random::Random;
use chaos::shim::{Counted, Dropped, Setting, Shim, cut};
use tempfile::TempDir;

/// Cuts with as many seeds: what may go either way is seen to go both ways.
const SEEDS: u64 = 24;
const PAGE_BYTES: usize = 4_096;

struct Disk {
    folder: TempDir,
    shim: Shim,
}

impl Disk {
    fn new() -> Disk {
        let folder = tempfile::tempdir().unwrap();
        let shim = Shim::prepare(&folder.path().join("data"), &folder.path().join("shadow"));
        Disk {
            shim: shim.unwrap(),
            folder,
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn output(&self, operations: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_power-probe"))
            .args(operations)
            .current_dir(self.data())
            .envs(self.shim.environment())
            .output()
            .unwrap()
    }

    fn run(&self, operations: &[&str]) -> String {
        let output = self.output(operations);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn cut(&self, seed: u64) -> Dropped {
        let (data, shadow) = self.shim.folders();
        cut(&data, &shadow, &mut Random::new(seed)).unwrap()
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.data().join(name)).ok()
    }
}

/// What is in the files after the operations and a cut, for every seed.
fn outcomes(operations: &[&str], names: &[&str]) -> BTreeSet<Vec<Option<String>>> {
    let outcome = |seed| {
        let disk = Disk::new();
        disk.run(operations);
        disk.cut(seed);
        names.iter().map(|name| disk.read(name)).collect()
    };
    (0..SEEDS).map(outcome).collect()
}

fn texts(all: &[&[Option<&str>]]) -> BTreeSet<Vec<Option<String>>> {
    let owned = |one: &&[Option<&str>]| one.iter().map(|text| text.map(str::to_owned)).collect();
    all.iter().map(owned).collect()
}

const MADE: [&str; 3] = ["create:a", "sync:a", "sync-folder:."];

fn made_then<'a>(operations: &[&'a str]) -> Vec<&'a str> {
    [&MADE[..], operations].concat()
}

#[test]
fn what_was_synced_survives_every_cut() {
    let found = outcomes(&made_then(&["append:a:hello", "sync:a"]), &["a"]);
    assert_eq!(found, texts(&[&[Some("hello")]]));
}

#[test]
fn what_was_written_and_not_synced_may_be_lost_or_survive() {
    let found = outcomes(
        &made_then(&["append:a:old", "sync:a", "write:a:0:new"]),
        &["a"],
    );
    assert_eq!(found, texts(&[&[Some("old")], &[Some("new")]]));
}

#[test]
fn a_size_that_was_not_synced_may_survive_without_its_bytes() {
    let found = outcomes(&made_then(&["append:a:xy"]), &["a"]);
    assert_eq!(found, texts(&[&[Some("")], &[Some("xy")], &[Some("\0\0")]]));
}

#[test]
fn pages_survive_one_by_one() {
    let old = (16 * PAGE_BYTES).to_string();
    let operations = [
        format!("fill:a:{old}:o"),
        "sync:a".to_owned(),
        format!("fill:a:{old}:n"),
    ];
    let operations: Vec<&str> = operations.iter().map(String::as_str).collect();
    let found = outcomes(&made_then(&operations), &["a"]);
    let mixed = found.iter().filter(|one| {
        let text = one[0].as_ref().unwrap();
        let pages: BTreeSet<&str> = (0..16)
            .map(|page| &text[page * PAGE_BYTES..][..PAGE_BYTES])
            .collect();
        pages.len() == 2
            && pages
                .iter()
                .all(|page| page.bytes().all(|byte| byte == page.as_bytes()[0]))
    });
    assert!(mixed.count() > 2);
}

#[test]
fn a_rename_without_a_sync_of_its_directory_may_be_undone_and_leaves_one_name() {
    let found = outcomes(
        &made_then(&["append:a:x", "sync:a", "rename:a:b"]),
        &["a", "b"],
    );
    assert_eq!(found, texts(&[&[Some("x"), None], &[None, Some("x")]]));
}

#[test]
fn a_rename_with_a_sync_of_its_directory_stays() {
    let found = outcomes(&made_then(&["rename:a:b", "sync-folder:."]), &["a", "b"]);
    assert_eq!(found, texts(&[&[None, Some("")]]));
}

#[test]
fn a_synced_file_may_lose_its_name_while_its_directory_is_not_synced() {
    let found = outcomes(&["create:a", "append:a:x", "sync:a"], &["a"]);
    assert_eq!(found, texts(&[&[None], &[Some("x")]]));
}

#[test]
fn a_directory_may_lose_its_name_with_everything_in_it() {
    let operations = [
        "make-folder:d",
        "create:d/a",
        "append:d/a:x",
        "sync:d/a",
        "sync-folder:d",
    ];
    let found = outcomes(&operations, &["d/a"]);
    assert_eq!(found, texts(&[&[None], &[Some("x")]]));
}

#[test]
fn a_removed_file_may_come_back_with_what_was_synced() {
    let found = outcomes(&made_then(&["append:a:x", "sync:a", "remove:a"]), &["a"]);
    assert_eq!(found, texts(&[&[None], &[Some("x")]]));
}

#[test]
fn names_survive_in_the_order_they_were_made_in() {
    let found = outcomes(&["create:a", "create:b", "create:c"], &["a", "b", "c"]);
    let (none, some) = (None, Some(""));
    assert_eq!(
        found,
        texts(&[
            &[none, none, none],
            &[some, none, none],
            &[some, some, none],
            &[some, some, some]
        ])
    );
}

#[test]
fn an_inode_that_is_used_again_is_another_file() {
    let operations = made_then(&[
        "append:a:x",
        "sync:a",
        "remove:a",
        "create:b",
        "append:b:y",
        "sync:b",
    ]);
    let found = outcomes(&operations, &["a", "b"]);
    assert_eq!(
        found,
        texts(&[&[Some("x"), None], &[None, None], &[None, Some("y")]])
    );
}

#[test]
fn two_names_of_a_file_stay_two_names_of_one() {
    let disk = Disk::new();
    disk.run(&made_then(&[
        "append:a:x",
        "sync:a",
        "link:a:b",
        "sync-folder:.",
    ]));
    disk.cut(1);
    disk.run(&["append:a:y"]);
    assert_eq!(disk.read("b").unwrap(), "xy");
}

#[test]
fn a_file_made_shorter_without_a_sync_may_have_its_length_back() {
    let found = outcomes(
        &made_then(&["append:a:xyz", "sync:a", "resize:a:1"]),
        &["a"],
    );
    // A page that was cut off is zeroed in memory first, and may reach the disk before the length does.
    assert_eq!(
        found,
        texts(&[&[Some("x")], &[Some("xyz")], &[Some("x\0\0")]])
    );
    let found = outcomes(
        &made_then(&[
            "append:a:xyz",
            "sync:a",
            "resize:a:1",
            "resize:a:3",
            "sync:a",
        ]),
        &["a"],
    );
    assert_eq!(found, texts(&[&[Some("x\0\0")]]));
}

#[test]
fn a_later_process_syncs_what_an_earlier_one_wrote() {
    for seed in 0..SEEDS {
        let disk = Disk::new();
        disk.run(&made_then(&["append:a:x"]));
        disk.run(&["sync:a"]);
        disk.cut(seed);
        assert_eq!(disk.read("a").unwrap(), "x");
    }
}

#[test]
fn a_copied_file_is_durable_once_it_is_synced() {
    let found = outcomes(
        &made_then(&["append:a:x", "copy:a:b", "sync:b", "sync-folder:."]),
        &["b"],
    );
    assert_eq!(found, texts(&[&[Some("x")]]));
}

#[test]
fn one_cut_follows_another() {
    let disk = Disk::new();
    for round in 0..5 {
        let name = format!("f{round}");
        let operations = [
            format!("create:{name}"),
            format!("append:{name}:x"),
            format!("sync:{name}"),
            "sync-folder:.".to_owned(),
            format!("append:{name}:y"),
        ];
        let operations: Vec<&str> = operations.iter().map(String::as_str).collect();
        disk.run(&operations);
        disk.cut(round);
        for earlier in 0..=round {
            let text = disk.read(&format!("f{earlier}")).unwrap();
            assert!(text.starts_with('x'), "{text:?}");
        }
    }
}

#[test]
fn a_cut_says_what_it_took() {
    let losses = (0..SEEDS).map(|seed| {
        let disk = Disk::new();
        disk.run(&made_then(&[
            "append:a:old",
            "sync:a",
            "write:a:0:new",
            "create:b",
        ]));
        let dropped = disk.cut(seed);
        assert_eq!(dropped.names + dropped.kept_names, 1);
        let lost: u64 = dropped.pages.values().sum();
        assert_eq!(lost + dropped.kept_pages, 1);
        assert_eq!(lost == 1, disk.read("a").unwrap() == "old");
        dropped.weight()
    });
    assert_eq!(losses.max(), Some(2));
}

#[test]
fn a_failed_sync_is_not_made_good_by_another() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let disk = Disk::new();
        disk.run(&made_then(&["append:a:old", "sync:a"]));
        disk.shim.set(Setting::SyncErrors, 1).unwrap();
        let said = disk.run(&["write:a:0:new", "try-sync:a"]);
        assert!(said.contains("os error 5"), "{said}");
        // A new process compares whole files; within one, the pages count as clean.
        assert_eq!(disk.shim.count(Counted::Failed).unwrap(), 1);
        assert!(disk.shim.failed_files()[0].ends_with("/a"));
        disk.cut(seed);
        lost += u64::from(disk.read("a").unwrap() == "old");
    }
    assert!(lost > 0);
}

#[test]
fn within_one_process_a_second_sync_succeeds_and_keeps_nothing() {
    let mut lost = 0;
    for seed in 0..SEEDS {
        let disk = Disk::new();
        disk.run(&MADE);
        disk.shim.set(Setting::SyncErrors, 1).unwrap();
        let said = disk.run(&[
            "create:b",
            "sync-folder:.",
            "append:b:new",
            "try-sync:b",
            "try-sync:b",
        ]);
        assert!(
            said.contains("os error 5") && said.contains("synced"),
            "{said}"
        );
        disk.cut(seed);
        assert!(disk.shim.synced_again()[0].ends_with("/b"));
        lost += u64::from(disk.read("b").unwrap() != "new");
    }
    assert!(lost > 0);
}

#[test]
fn a_full_disk_refuses_writes_and_new_files_until_there_is_room() {
    let disk = Disk::new();
    disk.run(&MADE);
    disk.shim.set(Setting::Full, 1).unwrap();
    let said = disk.run(&["try-write:a:x"]);
    assert!(said.contains("os error 28"), "{said}");
    assert!(!disk.output(&["create:b"]).status.success());
    assert_eq!(disk.shim.count(Counted::Refused).unwrap(), 2);
    disk.shim.heal().unwrap();
    assert_eq!(disk.run(&["try-write:a:x"]), "written\n");
}

#[test]
fn the_wall_clock_is_as_far_ahead_as_it_is_set() {
    let disk = Disk::new();
    disk.shim
        .set(Setting::ClockAheadNs, -3_600_000_000_000)
        .unwrap();
    let said: u64 = disk.run(&["time"]).trim().parse().unwrap();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!((3_590..=3_610).contains(&(now - said)), "{said} at {now}");
}

#[test]
fn a_call_that_is_not_modelled_ends_the_process_with_a_message() {
    let disk = Disk::new();
    let output = disk.output(&["symlink:a:b"]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("power-shim: a symbolic link is not modelled"),
        "{said}"
    );
}

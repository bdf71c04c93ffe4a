//! Carries out file operations that are given as words, so that tests can see what of them survives a power cut.

#![allow(clippy::unwrap_used, reason = "an operation that fails has to be seen")]

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::time::{SystemTime, UNIX_EPOCH};

fn main() {
    for operation in std::env::args().skip(1) {
        let words: Vec<&str> = operation.split(':').collect();
        carry_out(&words);
    }
}

fn carry_out(words: &[&str]) {
    let open = |name: &str| File::options().write(true).open(name).unwrap();
    match *words {
        ["create", name] => drop(File::create(name).unwrap()),
        ["append", name, text] => {
            let file = File::options().append(true).open(name);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }
        ["write", name, offset, text] => {
            let offset = offset.parse().unwrap();
            open(name).write_all_at(text.as_bytes(), offset).unwrap();
        }
        ["fill", name, bytes, letter] => {
            let bytes = letter.repeat(bytes.parse().unwrap());
            open(name).write_all_at(bytes.as_bytes(), 0).unwrap();
        }
        ["try-write", name, text] => match open(name).write_all_at(text.as_bytes(), 0) {
            Ok(()) => println!("written"),
            Err(error) => println!("{error}"),
        },
        ["resize", name, bytes] => open(name).set_len(bytes.parse().unwrap()).unwrap(),
        ["sync", name] => open(name).sync_data().unwrap(),
        ["try-sync", name] => match open(name).sync_data() {
            Ok(()) => println!("synced"),
            Err(error) => println!("{error}"),
        },
        ["sync-folder", name] => File::open(name).unwrap().sync_all().unwrap(),
        ["rename", old, new] => fs::rename(old, new).unwrap(),
        ["link", old, new] => fs::hard_link(old, new).unwrap(),
        ["remove", name] => fs::remove_file(name).unwrap(),
        ["make-folder", name] => fs::create_dir(name).unwrap(),
        ["remove-folder", name] => fs::remove_dir_all(name).unwrap(),
        ["copy", old, new] => drop(fs::copy(old, new).unwrap()),
        ["symlink", old, new] => std::os::unix::fs::symlink(old, new).unwrap(),
        ["time"] => {
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            println!("{}", since.as_secs());
        }
        _ => panic!("no operation {words:?}"),
    }
}

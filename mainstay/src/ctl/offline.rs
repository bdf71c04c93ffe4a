//! What needs no server: version, completion, and etcdutl's hash of a file.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use store::SERVER_VERSION;

use super::arguments::{Cli, Format, HashKv};
use super::json::Json;
use super::print::unsupported;
use super::{Session, table};
use crate::output;

/// Under etcd's names scripts read the version of what this stands for.
pub(super) fn version(program: &str) {
    let version = match program {
        "etcdctl" | "etcdutl" => SERVER_VERSION,
        _ => env!("CARGO_PKG_VERSION"),
    };
    outln!("{program} version: {version}\nAPI version: 3.6");
}

/// A script for the shell, about the program by the name it was started under.
pub(super) fn completion(shell: Shell, program: &'static str) {
    let own = Cli::command();
    let (mut command, name) = match program.split_once(' ') {
        None => (own, program),
        Some((name, subcommand)) => {
            let own = own.name(subcommand);
            (clap::Command::new("mainstay").subcommand(own), name)
        }
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::write(&script);
}

/// As etcdutl prints it.
pub(super) fn hash_kv(session: &Session, file: &HashKv) -> Result<()> {
    let hashed = store::backup::hash_kv(&file.filename, file.rev)?;
    let row = vec![
        hashed.hash.to_string(),
        hashed.hash_revision.to_string(),
        hashed.compact_revision.to_string(),
    ];
    match session.printer.format {
        Format::Simple => outln!("{}", row.join(", ")),
        Format::Json => outln!(
            "{}",
            Json::Object(vec![
                ("hash", Json::number(hashed.hash)),
                ("hashRevision", Json::number(hashed.hash_revision)),
                ("compactRevision", Json::number(hashed.compact_revision)),
            ])
        ),
        Format::Fields => {
            outln!("\"Hash\" : {}", row[0]);
            outln!("\"Hash revision\" : {}", row[1]);
            outln!("\"Compact revision\" : {}", row[2]);
        }
        Format::Table => {
            let headings = ["HASH", "HASH REVISION", "COMPACT REVISION"];
            out!("{}", table::draw(&headings, &[row]));
        }
        format @ Format::Protobuf => return unsupported(format),
    }
    Ok(())
}

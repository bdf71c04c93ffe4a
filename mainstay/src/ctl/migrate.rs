//! migrate: a live cluster's state into a new one, with every revision under its number, until clients change over.
//!
//! It asks for nothing but etcd's API, so it goes from etcd to Mainstay and back alike. The copy is a snapshot that is
//! restored; what the source writes after it is watched, and replayed as one transaction for each revision.

mod auth;
mod compaction;
mod follow;
mod leases;
mod oversized;
mod proof;
mod replay;
mod revision;
mod side;
mod transaction;
mod watched;
mod way;

use std::path::{Path, PathBuf};

use anyhow::Result;

use self::follow::Plan;
use self::side::Side;
use super::arguments::{Global, Migrate, TargetAccess};
use super::{Session, snapshot, user};

pub(super) async fn run(session: &Session, arguments: Box<Migrate>) -> Result<()> {
    let arguments = *arguments;
    let copies = arguments.member.data_dir.clone();
    if copies.is_none() && arguments.to.is_empty() {
        misuse!("give --data-dir to copy the source, --to to follow it, or both");
    }
    let from = Global {
        endpoints: arguments.from.clone(),
        ..session.global.clone()
    };
    let source = Side::new("source", Session::new(from, session.user.clone())?);
    if let Some(data_dir) = copies {
        let file = snapshot_file(&data_dir);
        let saved = snapshot::save_from(source.connect().await?.service(), &file).await;
        let restored = saved.and_then(|_| {
            snapshot::run_restore(&snapshot::restore_of(file.clone(), arguments.member))
        });
        // It has passwords in it, and there is none when it could not be saved.
        let _ = std::fs::remove_file(&file);
        restored?;
    }
    if arguments.to.is_empty() {
        return Ok(());
    }
    let target = target(session, arguments.to, arguments.access)?;
    let plan = Plan {
        cuts_over_by_itself: arguments.cut_over,
        quiet: arguments.quiet,
        wait: arguments.wait,
        operations_max: usize::from(arguments.max_txn_ops),
    };
    follow::run(&source, &target, &plan).await
}

/// Where the snapshot lies for as long as it takes: beside the folder, so on a disk that has the room.
fn snapshot_file(data_dir: &Path) -> PathBuf {
    // Without a slash at its end, and a name that no file of the operator's has.
    let mut name = data_dir.components().as_path().as_os_str().to_owned();
    name.push(format!(".migrating-{}", std::process::id()));
    PathBuf::from(name)
}

/// The target is spoken to as the source is, but where flags of its own say otherwise.
fn target(session: &Session, endpoints: Vec<String>, access: TargetAccess) -> Result<Side> {
    let source = &session.global;
    let own = access.to_cert.is_some();
    let global = Global {
        endpoints,
        cacert: access.to_cacert.or_else(|| source.cacert.clone()),
        cert_file: access.to_cert.or_else(|| source.cert_file.clone()),
        key_file: if own {
            access.to_key
        } else {
            source.key_file.clone()
        },
        insecure_skip_tls_verify: access.to_insecure_skip_tls_verify
            || source.insecure_skip_tls_verify,
        user: access.to_user.clone(),
        password: None,
        ..source.clone()
    };
    let asks = match access.to_user {
        Some(_) => user(&global)?,
        None => session.user.clone(),
    };
    Ok(Side::new("target", Session::new(global, asks)?))
}

//! `mainstay ctl`: etcdctl's commands, flags and output, for machines without etcdctl.

mod arguments;
mod cluster;
mod go;
mod json;
mod kv;
mod lease;
mod print;
mod snapshot;
mod table;
mod txn;
mod watch;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Parser;
use store::tls::{Dialer, Pair, Trust};
use tonic::Status;
use tonic::transport::Channel;

use self::arguments::{Cli, Command, Global};
use self::print::Printer;
use crate::client::{self, Security};

/// Runs one command. Errors go to standard error behind `Error: `, as etcdctl's do.
pub(crate) fn run(words: Vec<String>) -> ExitCode {
    let line = std::iter::once("mainstay ctl".to_owned()).chain(arguments::plain_bools(words));
    let cli = match Cli::try_parse_from(line) {
        Ok(cli) => cli,
        Err(error) => {
            // Printing fails only when nobody reads any more.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(cli)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("Error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// A server's own words when it answered, else what went wrong on the way.
fn message(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => format!("{error:#}"),
    }
}

async fn dispatch(cli: Cli) -> Result<()> {
    let session = Session {
        printer: Printer::new(&cli.global),
        security: security(&cli.global)?,
        global: cli.global,
    };
    match cli.command {
        Command::Get(get) => kv::get(&session, &get).await,
        Command::Put(put) => kv::put(&session, put).await,
        Command::Del(del) => kv::delete(&session, &del).await,
        Command::Compaction { revision, physical } => {
            kv::compact(&session, revision, physical).await
        }
        Command::Txn { interactive } => txn::run(&session, interactive).await,
        Command::Watch(watch) => watch::run(&session, &watch).await,
        Command::Lease(command) => lease::run(&session, command).await,
        Command::Member(command) => cluster::member(&session, command).await,
        Command::Endpoint(command) => cluster::endpoint(&session, command).await,
        Command::Alarm(command) => cluster::alarm(&session, command).await,
        Command::Snapshot(command) => snapshot::run(&session, command).await,
        Command::Version => {
            outln!(
                "mainstay ctl version: {}\nAPI version: 3.6",
                env!("CARGO_PKG_VERSION")
            );
            Ok(())
        }
    }
}

/// Reads the certificates that the flags name.
fn security(global: &Global) -> Result<Security> {
    let own = global.cert_file.clone().zip(global.key_file.clone());
    let trust = Trust {
        verifies: !global.insecure_skip_tls_verify,
        trusted_ca_file: global.cacert.clone(),
        own: own.map(|(cert_file, key_file)| Pair {
            cert_file,
            key_file,
        }),
    };
    let is_plain = trust.verifies
        && trust.trusted_ca_file.is_none()
        && trust.own.is_none()
        && global.insecure_transport;
    let dialer = (!is_plain).then(|| Dialer::of_client(trust)).transpose()?;
    Ok(Security { dialer })
}

/// What every command needs: where to ask and how to print.
pub(crate) struct Session {
    global: Global,
    security: Security,
    printer: Printer,
}

impl Session {
    /// A connection to the first endpoint that takes one.
    async fn channel(&self) -> Result<Channel> {
        let Global {
            endpoints,
            dial_timeout,
            ..
        } = &self.global;
        client::connect_any(endpoints, &self.security, *dial_timeout).await
    }

    /// Waits for an answer no longer than `--command-timeout`.
    async fn within<T>(
        &self,
        asking: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T> {
        within(self.global.command_timeout, asking).await
    }
}

async fn within<T>(
    limit: Duration,
    asking: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T> {
    match tokio::time::timeout(limit, asking).await {
        Err(_) => Err(anyhow!("context deadline exceeded")),
        Ok(answer) => Ok(answer?.into_inner()),
    }
}

//! `mainstay ctl`: etcdctl's commands, flags and output, for machines without etcdctl; and what etcdctl has no word for.

#[macro_use]
mod failure;

mod archive;
mod arguments;
mod auth;
mod check;
mod cluster;
mod downgrade;
mod go;
mod json;
mod kept;
mod kv;
mod lease;
mod lock;
mod members;
mod migrate;
mod mirror;
mod offline;
mod password;
mod print;
mod progress;
mod role;
mod snapshot;
mod table;
mod txn;
mod watch;
mod why_pending;
mod words;

use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use proto::etcdserverpb::AuthenticateRequest;
use proto::etcdserverpb::auth_client::AuthClient;
use store::tls::{Dialer, Pair, Trust};
use tonic::Status;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use self::arguments::{Cli, Command, Global};
use self::failure::{Failure, MISUSE_EXIT_CODE, NOT_CONNECTED_EXIT_CODE};
use self::print::Printer;
use crate::client::{self, KeepAlive, Security};

/// etcd's answer to a name and a password that it does not want.
const AUTHENTICATION_OFF: &str = "etcdserver: authentication is not enabled";

/// Pause before another member is asked for what one did not go on with.
const RECONNECT_PAUSE: Duration = Duration::from_millis(200);

/// Runs one command of the program that is called so. Errors go to standard error behind `Error: `, as etcdctl's do.
pub(crate) fn run(words: Vec<String>, program: &'static str) -> ExitCode {
    let line = std::iter::once(program.to_owned()).chain(arguments::plain_bools(words));
    let command = with_short_words(Cli::command().name(program).bin_name(program));
    let parsed = command.try_get_matches_from(line);
    let cli = match parsed.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            // Printing fails only when nobody reads any more.
            let _ = error.print();
            return ExitCode::from(misread(&error));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(cli, program)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = error.downcast_ref::<Failure>();
            if !failure.is_some_and(Failure::is_silent) {
                eprintln!("Error: {}", message(&error));
            }
            ExitCode::from(failure.map_or(1, |failure| failure.exit_code))
        }
    }
}

/// As in etcdctl, the first letters of a command stand for it when no other begins with them.
fn with_short_words(command: clap::Command) -> clap::Command {
    let command = command.infer_subcommands(true);
    command.mut_subcommands(with_short_words)
}

/// etcdctl's exit codes for a command line that cannot be read: what is missing or wrong behind a command is another
/// matter than a word it does not know.
fn misread(error: &clap::Error) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
        ErrorKind::MissingRequiredArgument
        | ErrorKind::TooManyValues
        | ErrorKind::WrongNumberOfValues
        | ErrorKind::ValueValidation => MISUSE_EXIT_CODE,
        _ => 1,
    }
}

/// A server's own words when it answered, else what went wrong on the way.
fn message(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => format!("{error:#}"),
    }
}

async fn dispatch(cli: Cli, program: &'static str) -> Result<()> {
    match cli.command {
        Command::Version => {
            offline::version(program);
            return Ok(());
        }
        Command::Completion { shell } => {
            offline::completion(shell, program);
            return Ok(());
        }
        Command::WhyPending(ask) => {
            let Global {
                write_out,
                command_timeout,
                ..
            } = cli.global;
            return why_pending::run(&ask, write_out, command_timeout).await;
        }
        _ => {}
    }
    if cli.global.discovery_srv.is_some() {
        misuse!("endpoints are not looked up in DNS: name them with --endpoints");
    }
    let user = user(&cli.global)?;
    let session = Session::new(cli.global, user)?;
    execute(&session, cli.command).await
}

async fn execute(session: &Session, command: Command) -> Result<()> {
    match command {
        Command::Get(get) => kv::get(session, &get).await,
        Command::Put(put) => kv::put(session, put).await,
        Command::Del(del) => kv::delete(session, &del).await,
        Command::Compaction { revision, physical } => {
            kv::compact(session, revision, physical).await
        }
        Command::Txn { interactive } => txn::run(session, interactive).await,
        Command::Watch(watch) => watch::run(session, &watch).await,
        Command::Lease(command) => lease::run(session, command).await,
        Command::Member(command) => cluster::member(session, command).await,
        Command::Endpoint(command) => cluster::endpoint(session, command).await,
        Command::Alarm(command) => cluster::alarm(session, command).await,
        Command::Defrag {
            data_dir: Some(_), ..
        } => Err(anyhow!(
            "a data folder of Mainstay is never defragmented: space comes back by itself; for one of etcd, use etcd's own \
             etcdutl"
        )),
        Command::Defrag { members, .. } => members::defrag(session, members).await,
        Command::Downgrade(command) => downgrade::downgrade(session, command).await,
        Command::MoveLeader { target } => members::move_leader(session, target).await,
        Command::Lock(lock) => lock::lock(session, &lock).await,
        Command::Elect {
            election,
            listen: true,
            ..
        } => lock::observe(session, &election).await,
        Command::Elect {
            election, proposal, ..
        } => lock::campaign(session, &election, &proposal.unwrap_or_default()).await,
        Command::Auth(command) => auth::auth(session, command).await,
        Command::User(command) => auth::user(session, command).await,
        Command::Role(command) => role::run(session, command).await,
        Command::Snapshot(command) => snapshot::run(session, command).await,
        Command::Migrate(command) => migrate::run(session, command).await,
        Command::Archive(command) => archive::run(session, command),
        Command::MakeMirror(mirror) => mirror::run(session, mirror).await,
        Command::Check(check) => check::run(session, check).await,
        Command::Hashkv(file) => offline::hash_kv(session, &file),
        Command::Version | Command::Completion { .. } | Command::WhyPending(_) => {
            unreachable!("they need no session")
        }
    }
}

/// Reads the certificates that the flags name.
fn security(global: &Global) -> Result<Security> {
    let keep_alive = KeepAlive::new(global.keepalive_time, global.keepalive_timeout);
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
    Ok(Security { dialer, keep_alive })
}

/// Whether the connection failed, and no member said so: another one may go on.
fn is_lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

/// What every command needs: where to ask and how to print.
pub(crate) struct Session {
    global: Global,
    security: Security,
    printer: Printer,
    /// Name and password of who asks.
    user: Option<(String, String)>,
}

/// `--user` and `--password`; a password that is missing is asked for.
fn user(global: &Global) -> Result<Option<(String, String)>> {
    let Some(user) = &global.user else {
        return Ok(None);
    };
    if let Some(password) = &global.password {
        return Ok(Some((user.clone(), password.clone())));
    }
    let (name, password) = match user.split_once(':') {
        Some((name, password)) => (name.to_owned(), password.to_owned()),
        None => (user.clone(), password::ask("Password: ")?),
    };
    if password.is_empty() {
        misuse!("password is missing");
    }
    Ok(Some((name, password)))
}

/// A connection whose requests carry the token of who asks.
pub(crate) type Service = InterceptedService<Channel, Identify>;

/// Adds the token to every request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identify(Option<AsciiMetadataValue>);

impl Interceptor for Identify {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("token", token.clone());
        }
        Ok(request)
    }
}

impl Session {
    fn new(global: Global, user: Option<(String, String)>) -> Result<Session> {
        Ok(Session {
            printer: Printer::new(&global),
            user,
            security: security(&global)?,
            global,
        })
    }

    /// A connection to the first endpoint that takes one.
    async fn channel(&self) -> Result<Service> {
        self.channel_beyond(0).await
    }

    /// The same for who has left that many members because they did not answer: it begins behind them, and goes round.
    async fn channel_beyond(&self, left: usize) -> Result<Service> {
        let mut endpoints = self.global.endpoints.clone();
        let behind = left % endpoints.len().max(1);
        endpoints.rotate_left(behind);
        let dial_timeout = self.global.dial_timeout;
        let channel = client::connect_any(&endpoints, &self.security, dial_timeout).await?;
        self.authorized(channel).await
    }

    /// Shows who asks to the member at the other end.
    async fn authorized(&self, channel: Channel) -> Result<Service> {
        let Some((name, password)) = self.user.clone() else {
            return Ok(InterceptedService::new(channel, Identify::default()));
        };
        let request = AuthenticateRequest { name, password };
        let mut client = AuthClient::new(channel.clone());
        let identify = match self.within(client.authenticate(request)).await {
            Ok(answer) => Identify(Some(answer.token.parse()?)),
            // As etcd's client: who names a user may also ask a cluster that asks for none.
            Err(error) if message(&error) == AUTHENTICATION_OFF => Identify::default(),
            Err(error) => {
                let text = message(&error);
                return Err(Failure::new(NOT_CONNECTED_EXIT_CODE, text).into());
            }
        };
        Ok(InterceptedService::new(channel, identify))
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

//! The one binary: a replica of the store, a whole cluster on this machine, or a client, by its first argument.

#![warn(
    clippy::print_stdout,
    reason = "print! panics when nobody reads any more: out! and outln! end the program"
)]

#[macro_use]
mod output;

mod client;
mod ctl;
mod up;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::{Signal, set_parent_process_death_signal};
use store::config::{Config, Parsed, version_lines};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "\
Mainstay: a replicated key-value store that speaks etcd's v3 API, and a Kubernetes control plane on it.

  mainstay up [flags]          a control plane of three of everything on this machine, with a line that shows how it is;
                               with --one-process one of everything inside of one process
  mainstay store [flags]       one replica; flags and ETCD_ variables are etcd's
  mainstay apiserver [flags]   one apiserver over a store; flags are kube-apiserver's
  mainstay controllers [flags] the controllers; flags are kube-controller-manager's
  mainstay scheduler [flags]   the scheduler; flags are kube-scheduler's
  mainstay node [flags]        simulated nodes
  mainstay ctl <command>       a client in etcdctl's syntax
  mainstay version             the version

Each knows --help. Started under the name `etcd` it is `mainstay store`, under `etcdctl` or `etcdutl` `mainstay ctl`, and under
`kube-apiserver`, `kube-controller-manager` or `kube-scheduler` what stands in for that.
";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    let mut words = Vec::new();
    for argument in arguments {
        match argument.into_string() {
            Ok(word) => words.push(word),
            Err(argument) => {
                eprintln!("mainstay: argument is not UTF-8: {}", argument.display());
                return ExitCode::from(2);
            }
        }
    }
    match Path::new(&program).file_name().and_then(OsStr::to_str) {
        Some("etcd") => return run_store(words),
        Some("kube-apiserver") => return run_apiserver(words),
        Some("kube-controller-manager") => return run_controllers(words),
        Some("kube-scheduler") => return run_scheduler(words),
        Some("etcdctl") => return ctl::run(words, "etcdctl"),
        Some("etcdutl") => return ctl::run(words, "etcdutl"),
        _ => {}
    }
    let command = if words.is_empty() {
        String::new()
    } else {
        words.remove(0)
    };
    match command.as_str() {
        "store" => run_store(words),
        "apiserver" => run_apiserver(words),
        "controllers" => run_controllers(words),
        "scheduler" => run_scheduler(words),
        "node" => run_node(words),
        "up" => up::run(words),
        "ctl" => ctl::run(words, "mainstay ctl"),
        "version" | "--version" | "-V" => {
            out!(
                "Mainstay {}\n{}",
                env!("CARGO_PKG_VERSION"),
                version_lines()
            );
            ExitCode::SUCCESS
        }
        "help" | "--help" | "-h" => {
            out!("{HELP}");
            ExitCode::SUCCESS
        }
        "" => {
            eprint!("{HELP}");
            ExitCode::from(2)
        }
        unknown => {
            eprint!("mainstay: unknown command {unknown:?}\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn run_store(arguments: Vec<String>) -> ExitCode {
    end_with_parent();
    // A variable that is not UTF-8 can be none of ours.
    let environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    match Config::parse(arguments, environment) {
        Ok(Parsed::Run(config)) => store::run(*config),
        Ok(Parsed::Print(text)) => {
            out!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("{}", error.message());
            ExitCode::from(error.exit_code())
        }
    }
}

fn run_apiserver(arguments: Vec<String>) -> ExitCode {
    end_with_parent();
    match apiserver::Config::parse_words(arguments) {
        Ok(config) => apiserver::run(config),
        Err(error) => refuse(&error),
    }
}

fn run_controllers(arguments: Vec<String>) -> ExitCode {
    end_with_parent();
    match controllers::Options::parse_words(arguments) {
        Ok(options) => controllers::run(options),
        Err(error) => refuse(&error),
    }
}

fn run_scheduler(arguments: Vec<String>) -> ExitCode {
    end_with_parent();
    match scheduler::Options::parse_words(arguments) {
        Ok(options) => scheduler::run(options),
        Err(error) => refuse(&error),
    }
}

fn run_node(arguments: Vec<String>) -> ExitCode {
    end_with_parent();
    match node::Options::parse_words(arguments) {
        Ok(options) => node::run(options),
        Err(error) => refuse(&error),
    }
}

/// What a command line that is not understood comes to; or one that asks for help.
fn refuse(error: &clap::Error) -> ExitCode {
    // Printing fails only when nobody reads any more.
    let _ = error.print();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

/// A replica that `mainstay up` started must not outlive it, even when that was killed.
fn end_with_parent() {
    if std::env::var_os(up::END_WITH_PARENT).is_some()
        && let Err(error) = set_parent_process_death_signal(Some(Signal::TERM))
    {
        eprintln!("mainstay: cannot follow the parent process's end: {error}");
    }
}

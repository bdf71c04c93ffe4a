//! A replica of the store with one known bug, for proving that `chaos` finds it. No ordinary build has this program.

use std::process::ExitCode;

use planted::Bug;
use store::config::{Config, Parsed};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--list") => {
            for bug in Bug::ALL {
                println!("{:<24} {}", bug.name(), bug.words());
            }
            return ExitCode::SUCCESS;
        }
        Some("store") => drop(arguments.remove(0)),
        _ => {
            eprintln!("planted --list | planted store [flags of `mainstay store`]");
            return ExitCode::from(2);
        }
    }
    if let Err(error) = planted::plant_by_environment() {
        eprintln!("planted: {error}; --list names them");
        return ExitCode::from(2);
    }
    run_store(arguments)
}

fn run_store(arguments: Vec<String>) -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    match Config::parse(arguments, environment) {
        Ok(Parsed::Run(config)) => store::run(*config),
        Ok(Parsed::Print(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprint!("{}", error.message());
            ExitCode::from(error.exit_code())
        }
    }
}

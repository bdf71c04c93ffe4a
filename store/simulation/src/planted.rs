//! The simulation of replicas with one known bug, for proving that it finds it. No ordinary build has this program.

mod surroundings;

use std::process::ExitCode;

fn main() -> ExitCode {
    match planted::plant_by_environment() {
        Ok(()) => simulation::main(surroundings::SURROUNDINGS),
        Err(error) => {
            eprintln!("simulation-planted: {error}");
            ExitCode::from(2)
        }
    }
}

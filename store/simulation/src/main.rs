//! Runs replicas on simulated time, one fresh process a seed, and says what held.

mod surroundings;

use std::process::ExitCode;

fn main() -> ExitCode {
    simulation::main(surroundings::SURROUNDINGS)
}

//! `chaos`: breaks a cluster, judges what its clients saw, and says what it is worth.

use std::process::ExitCode;

fn main() -> ExitCode {
    chaos::cli::main()
}

//! The load generator's command: runs one workload and prints what came of it.

use std::process::ExitCode;

use anyhow::Result;
use benches::load::options::Options;
use benches::load::run;
use clap::Parser;

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let report = run::run(&options)?;
    if options.load.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(if report.error_count() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

//! `cargo xtask`: sets the machine up, builds, starts, tests and checks the house. Builds in seconds itself.

mod bench;
mod chaos;
mod ci;
mod command;
mod facts;
mod languages;
mod rustc;
mod selftest;
mod setup;
mod test;
mod tidy;
mod up;
mod workspace;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask <task>

  up [flags]      build, then start a control plane on this machine (flags of `mainstay up`)
  test [filter]   build, then run every test of the workspace, interop tests with stock clients too
  interop [args]  only the interop tests; names the languages it lacks
  tidy            only the checks of the walls between the members, the style and the files
  bench [args]    build, then run Mainstay and a peer on the same work (flags of `side-by-side`; after `apiserver` those of `apiservers`)
  chaos [--profile ci|nightly] [--seed N]
                  build, then break our own store in every way, and etcd to see that the harness is awake
  selftest [args] build, then prove that chaos finds what is wrong (flags of `chaos selftest`)
  ci              all that must pass before a change lands: test, format, lints, tidy, chaos, its selftest, a short bench
  facts           make the table of Kubernetes' built-in kinds anew from upstream's modules; needs Go
  setup           only install what building and testing need
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let task = arguments.next();
    let rest: Vec<String> = arguments.collect();
    let result = match task.as_deref() {
        Some(compiler) if rustc::is_compiler(compiler) => Err(rustc::become_it(compiler, &rest)),
        Some("up") => up::run(&rest),
        Some("test") => test::run(&rest),
        Some("interop") => test::interop(&rest),
        Some("tidy") => tidy::run(),
        Some("bench") => bench::run(&rest),
        Some("chaos") => chaos::run(&rest),
        Some("selftest") => selftest::run(&rest),
        Some("ci") => ci::run(),
        Some("facts") => facts::run(),
        Some("setup") => setup::everything(),
        Some("help" | "-h" | "--help") => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

//! The controllers alone, under the name that test environments know: `kube-controller-manager --kubeconfig=…`.

use std::process::ExitCode;

use controllers::Options;

fn main() -> ExitCode {
    match Options::parse_words(std::env::args().skip(1).collect()) {
        Ok(options) => controllers::run(options),
        Err(error) => error.exit(),
    }
}

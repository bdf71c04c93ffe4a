//! The apiserver alone, under the name that test environments know: `kube-apiserver --etcd-servers=…`.

use std::process::ExitCode;

use apiserver::Config;

fn main() -> ExitCode {
    match Config::parse_words(std::env::args().skip(1).collect()) {
        Ok(config) => apiserver::run(config),
        Err(error) => error.exit(),
    }
}

//! A stock etcd for one test, and the command line of a server over it.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::ports::free_port;

/// Who may ask, by which token.
const TOKENS: &str = "admin-token,admin,1,\"system:masters\"\nalice-token,alice,2,\"devs\"\n";

/// A process that ends with its test.
pub(crate) struct Etcd(Child);

impl Drop for Etcd {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn free_url() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

/// Starts one with its data in a folder, and tells where it will listen.
pub(crate) fn start(folder: &Path) -> (Etcd, String) {
    let (client, peer) = (free_url(), free_url());
    let program = std::env::var("ETCD").unwrap_or_else(|_| "/usr/bin/etcd".to_owned());
    let etcd = Command::new(program)
        .arg(format!("--data-dir={}", folder.join("etcd").display()))
        .arg(format!("--listen-client-urls={client}"))
        .arg(format!("--advertise-client-urls={client}"))
        .arg(format!("--listen-peer-urls={peer}"))
        .arg(format!("--initial-advertise-peer-urls={peer}"))
        .arg(format!("--initial-cluster=default={peer}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Etcd(etcd), client)
}

/// The flags of a server at a port that it finds itself, and further ones, in which `{}` is the folder of `texts`; these are
/// written before.
pub(crate) fn words(
    folder: &Path,
    store: &str,
    flags: &[&str],
    texts: &[(&str, &str)],
) -> Vec<String> {
    for (name, text) in texts {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let tokens = folder.join("tokens.csv");
    std::fs::write(&tokens, TOKENS).unwrap();
    let mut words = vec![
        format!("--etcd-servers={store}"),
        format!("--cert-dir={}", folder.join("certs").display()),
        format!("--token-auth-file={}", tokens.display()),
        "--bind-address=127.0.0.1".to_owned(),
        "--secure-port=0".to_owned(),
        "--api-audiences=test".to_owned(),
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        "--authorization-mode=RBAC".to_owned(),
    ];
    let place = folder.display().to_string();
    words.extend(flags.iter().map(|flag| flag.replace("{}", &place)));
    words
}

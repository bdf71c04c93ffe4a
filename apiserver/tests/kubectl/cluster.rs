//! A server of ours over a store, and a kubeconfig for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use apiserver::{Config, Server};

use super::process::{ASK_INTERVAL, START_TIMEOUT};
use super::store::Store;
use crate::ports::free_port;

/// The last of the API services that a server makes on its start.
const LAST_API_SERVICE: &str = "v2.autoscaling";
/// What a story may be told by.
const TOKENS: &str =
    "admin-token,admin,admin-uid,\"system:masters\"\nalice-token,alice,alice-uid,\"devs\"\n";

/// A server and its store, which end with it.
pub(crate) struct Cluster {
    pub(crate) kubeconfig: PathBuf,
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
    _store: Store,
    _folder: tempfile::TempDir,
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::asked_for(folder.path());
        let port = free_port();
        write_secrets(folder.path());
        let config = Config::parse_words(words(folder.path(), &store.endpoints, port)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(&config)).unwrap();
        let kubeconfig = write_kubeconfig(folder.path(), port);
        await_ready(&kubeconfig);
        Cluster {
            kubeconfig,
            server: Some(server),
            runtime,
            _store: store,
            _folder: folder,
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = self.runtime.block_on(server.stop());
        }
    }
}

/// What all servers over one store have to know.
pub(crate) fn write_secrets(folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    fs::write(folder.join("sa.key"), key).unwrap();
    fs::write(folder.join("tokens.csv"), TOKENS).unwrap();
}

/// The command line of a server at a port.
pub(crate) fn words(folder: &Path, stores: &str, port: u16) -> Vec<String> {
    let folder = folder.display();
    let words = format!(
        "--etcd-servers={stores} --secure-port={port} --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
         --cert-dir={folder}/certs-{port} --service-account-issuer=https://kubernetes.default.svc \
         --service-account-key-file={folder}/sa.key --service-account-signing-key-file={folder}/sa.key \
         --token-auth-file={folder}/tokens.csv --authorization-mode=RBAC --service-cluster-ip-range=10.0.0.0/24 \
         --allow-privileged",
    );
    words.split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn write_kubeconfig(folder: &Path, port: u16) -> PathBuf {
    let kubeconfig = folder.join("kubeconfig");
    fs::write(&kubeconfig, text(port)).unwrap();
    kubeconfig
}

/// Waits until a server made what every cluster has: it is ready with most of it, API services and the states of flow schemas come
/// a moment later.
pub(crate) fn await_ready(kubeconfig: &Path) {
    let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
    let states = "-o=jsonpath={range .items[*]}{.status.conditions[0].status} {end}";
    let questions: [&[&str]; 3] = [
        &["get", "--raw=/readyz"],
        &["get", "apiservice", LAST_API_SERVICE, "-o=name"],
        &["get", "flowschema", states],
    ];
    let from = Instant::now();
    for question in questions {
        loop {
            let asked = Command::new(&kubectl)
                .arg("--kubeconfig")
                .arg(kubeconfig)
                .args(question)
                .output()
                .expect("no kubectl: put one of 1.32 or later on the PATH or name it in KUBECTL");
            let said = String::from_utf8_lossy(&asked.stdout);
            // Each schema of a server's own has its level; one without a state leaves two spaces.
            let is_whole = !said.contains("  ") && !said.starts_with(' ') && !said.is_empty();
            if asked.status.success() && is_whole {
                break;
            }
            assert!(
                from.elapsed() < START_TIMEOUT,
                "the server is not ready: {said}"
            );
            std::thread::sleep(ASK_INTERVAL);
        }
    }
}

fn text(port: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Config\n\
         clusters: [{{name: o, cluster: {{server: \"https://127.0.0.1:{port}\", insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: admin, user: {{token: admin-token}}}}, {{name: alice, user: {{token: alice-token}}}}]\n\
         contexts: [{{name: o, context: {{cluster: o, user: admin}}}}]\ncurrent-context: o\n"
    )
}

//! A server of ours over a stock etcd, and a kubeconfig for it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use apiserver::{Config, Server};

/// Time for etcd to answer.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Time between two questions whether etcd answers.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// What a story may be told by.
const TOKENS: &str =
    "admin-token,admin,admin-uid,\"system:masters\"\nalice-token,alice,alice-uid,\"devs\"\n";

/// A server and its store, which end with it.
pub(crate) struct Cluster {
    pub(crate) kubeconfig: PathBuf,
    etcd: Child,
    server: Option<Server>,
    runtime: tokio::runtime::Runtime,
    _folder: tempfile::TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn etcd(folder: &Path, client: &str, peer: &str) -> Child {
    Command::new("etcd")
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", client])
        .args(["--advertise-client-urls", client])
        .args(["--listen-peer-urls", peer])
        .args(["--initial-advertise-peer-urls", peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("no etcd: put a stock etcd on the PATH")
}

fn await_port(port: u16) {
    let from = Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(from.elapsed() < START_TIMEOUT, "etcd does not answer");
        std::thread::sleep(ASK_INTERVAL);
    }
}

impl Cluster {
    pub(crate) fn start() -> Cluster {
        let folder = tempfile::tempdir().unwrap();
        let (client, peer, secure) = (free_port(), free_port(), free_port());
        let endpoint = format!("http://127.0.0.1:{client}");
        let etcd = etcd(
            folder.path(),
            &endpoint,
            &format!("http://127.0.0.1:{peer}"),
        );
        await_port(client);
        let key = folder.path().join("sa.key");
        fs::write(&key, rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
        let tokens = folder.path().join("tokens.csv");
        fs::write(&tokens, TOKENS).unwrap();
        let words = format!(
            "--etcd-servers={endpoint} --secure-port={secure} --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
             --cert-dir={folder}/certs --service-account-issuer=https://kubernetes.default.svc \
             --service-account-key-file={key} --service-account-signing-key-file={key} --token-auth-file={tokens} \
             --authorization-mode=RBAC --service-cluster-ip-range=10.0.0.0/24 --allow-privileged",
            folder = folder.path().display(),
            key = key.display(),
            tokens = tokens.display(),
        );
        let config =
            Config::parse_words(words.split_whitespace().map(str::to_owned).collect()).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let server = runtime.block_on(Server::start(&config)).unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        fs::write(&kubeconfig, text(secure)).unwrap();
        let cluster = Cluster {
            kubeconfig,
            etcd,
            server: Some(server),
            runtime,
            _folder: folder,
        };
        cluster.await_ready();
        cluster
    }

    /// Waits until the server made what every cluster has.
    fn await_ready(&self) {
        let from = Instant::now();
        let kubectl = std::env::var("KUBECTL").unwrap_or_else(|_| "kubectl".to_owned());
        loop {
            let asked = Command::new(&kubectl)
                .arg("--kubeconfig")
                .arg(&self.kubeconfig)
                .args(["get", "namespace/default", "clusterrole/view", "-o", "name"])
                .output()
                .expect("no kubectl: put one of 1.32 or later on the PATH or name it in KUBECTL");
            if asked.status.success() {
                return;
            }
            assert!(from.elapsed() < START_TIMEOUT, "the server is not ready");
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

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            let _ = self.runtime.block_on(server.stop());
        }
        let _ = self.etcd.kill();
        let _ = self.etcd.wait();
    }
}

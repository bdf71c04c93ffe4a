//! Two servers over one stock etcd, each a process, and one address before them.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::relay::Relay;
use crate::ports::free_port;

/// The server to try instead of ours, a real kube-apiserver for example.
const PROGRAM: &str = "KUBE_APISERVER_BIN";
/// The program with all of ours in it.
const WHOLE_PROGRAM: &str = "MAINSTAY_BIN";
/// The etcd to take instead of the one of the system.
const ETCD: &str = "ETCD";

/// Time for a process to answer.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Time for one answer about readiness.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Time between two questions whether a process answers.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Servers {
    pub(crate) kubeconfig: PathBuf,
    relay: Relay,
    servers: [Server; 2],
    /// Which of them has the connections.
    serving: usize,
    _etcd: Process,
    folder: tempfile::TempDir,
}

/// A process that ends with its test.
pub(crate) struct Process(pub(crate) Child);

struct Server {
    port: u16,
    endpoint: String,
    process: Process,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// This server, in that folder under the name that others know.
pub(crate) fn program(folder: &Path) -> PathBuf {
    let given = [PROGRAM, WHOLE_PROGRAM]
        .iter()
        .find_map(|name| std::env::var(name).ok());
    let given = given.map_or_else(
        || built().join("release/examples/kube-apiserver"),
        PathBuf::from,
    );
    let given = fs::canonicalize(&given).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: build it with cargo build --release -p apiserver --examples",
            given.display()
        )
    });
    let link = folder.join("kube-apiserver");
    std::os::unix::fs::symlink(given, &link).unwrap();
    link
}

pub(crate) fn etcd_program() -> String {
    std::env::var(ETCD).unwrap_or_else(|_| "/usr/bin/etcd".to_owned())
}

/// The folder that builds go to.
pub(crate) fn built() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(3).unwrap().to_owned()
}

fn etcd(folder: &Path, client: &str) -> Process {
    let peer = format!("http://127.0.0.1:{}", free_port());
    let child = Command::new(etcd_program())
        .arg("--data-dir")
        .arg(folder.join("etcd"))
        .args(["--listen-client-urls", client])
        .args(["--advertise-client-urls", client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("default={peer}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("no etcd: install a stock etcd or name one in ETCD");
    Process(child)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let from = Instant::now();
    while !holds() {
        assert!(from.elapsed() < START_TIMEOUT, "{what} does not answer");
        std::thread::sleep(ASK_INTERVAL);
    }
}

impl Servers {
    pub(crate) fn start() -> Servers {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        program(path);
        let port = free_port();
        let endpoint = format!("http://127.0.0.1:{port}");
        let etcd = etcd(path, &endpoint);
        until("etcd", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(path.join("sa.key"), key.serialize_pem()).unwrap();
        fs::write(path.join("sa.pub"), key.public_key_pem()).unwrap();
        let token = "admin-token,admin,admin-uid,\"system:masters\"\n";
        fs::write(path.join("tokens.csv"), token).unwrap();
        // The second one takes the certificate that the first one makes.
        let first = Server::start(path, free_port(), &endpoint);
        first.await_ready(path);
        let second = Server::start(path, free_port(), &endpoint);
        second.await_ready(path);
        let relay = Relay::start(first.port);
        let kubeconfig = path.join("kubeconfig");
        fs::write(&kubeconfig, kubeconfig_text(path, relay.port)).unwrap();
        Servers {
            kubeconfig,
            relay,
            servers: [first, second],
            serving: 0,
            _etcd: etcd,
            folder,
        }
    }

    /// What a client without a kubeconfig is told: where the servers are, whose certificate they have, and a token.
    pub(crate) fn introduction(&self) -> [String; 3] {
        let authority = self.folder.path().join("certs/apiserver.crt");
        [
            format!("127.0.0.1:{}", self.relay.port),
            authority.display().to_string(),
            "admin-token".to_owned(),
        ]
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self) {
        self.relay.cut();
    }

    /// Kills the server that has the connections; another one gets new ones. The killed one starts again, and has read the store
    /// before anything else is written, so that it knows all events since: whoever comes to it later need not list anew.
    pub(crate) fn kill(&mut self) {
        let path = self.folder.path();
        let killed = self.serving;
        self.serving = 1 - killed;
        self.servers[self.serving].await_ready(path);
        self.relay.turn_to(self.servers[self.serving].port);
        let server = &mut self.servers[killed];
        server.process.0.kill().unwrap();
        server.process.0.wait().unwrap();
        *server = Server::start(path, server.port, &server.endpoint);
        server.await_ready(path);
    }
}

impl Server {
    fn start(folder: &Path, port: u16, endpoint: &str) -> Server {
        let words = format!(
            "--etcd-servers={endpoint} --secure-port={port} --bind-address=127.0.0.1 --advertise-address=127.0.0.1 \
             --cert-dir=certs --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=sa.pub \
             --service-account-signing-key-file=sa.key --token-auth-file=tokens.csv --authorization-mode=RBAC \
             --service-cluster-ip-range=10.0.0.0/24 --allow-privileged",
        );
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(folder.join(format!("{port}.log")))
            .unwrap();
        let child = Command::new(folder.join("kube-apiserver"))
            .args(words.split_whitespace())
            .current_dir(folder)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Server {
            port,
            endpoint: endpoint.to_owned(),
            process: Process(child),
        }
    }

    fn await_ready(&self, folder: &Path) {
        let certificates = folder.join("certs/apiserver.crt");
        until("the server", || is_ready(self.port, &certificates));
    }
}

/// Asks a server over TLS whether it is ready.
fn is_ready(port: u16, certificates: &Path) -> bool {
    let ask = || -> Option<bool> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(certificates).ok()? {
            roots.add(certificate.ok()?).ok()?;
        }
        let tls = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).ok()?;
        let name = ServerName::try_from("127.0.0.1").ok()?;
        let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(tls), name).ok()?, stream);
        let question = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer admin-token\r\nconnection: close\r\n\r\n";
        stream.write_all(question.as_bytes()).ok()?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).ok()?;
        Some(&answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn kubeconfig_text(folder: &Path, port: u16) -> String {
    let authority = folder.join("certs/apiserver.crt");
    format!(
        "apiVersion: v1\nkind: Config\n\
         clusters: [{{name: c, cluster: {{server: \"https://127.0.0.1:{port}\", certificate-authority: \"{}\"}}}}]\n\
         users: [{{name: admin, user: {{token: admin-token}}}}]\n\
         contexts: [{{name: c, context: {{cluster: c, user: admin}}}}]\ncurrent-context: c\n",
        authority.display()
    )
}

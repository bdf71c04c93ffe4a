//! Started as others start etcd: kubeadm's command line, and the configuration files of k3s and etcd-druid.

use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop::cluster::{Options, READY_TIMEOUT, free_port};
use interop::target::{Target, etcdctl};
use interop::tls::{Authority, Files, Holder};
use tempfile::TempDir;

const READY: &str = "ready to serve client requests";

/// The store under the name `etcd`, and the processes that run it.
struct Host {
    folder: TempDir,
    running: Vec<Running>,
}

struct Running {
    name: String,
    log: PathBuf,
    process: Child,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        if std::thread::panicking() {
            println!("{}: {}", self.name, self.log());
        }
    }
}

impl Running {
    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Host {
    fn new() -> Result<Host> {
        let folder = tempfile::tempdir()?;
        let target = Target::mainstay()?;
        std::os::unix::fs::symlink(target.command().get_program(), folder.path().join("etcd"))?;
        Ok(Host {
            folder,
            running: Vec::new(),
        })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(
        &mut self,
        name: &str,
        arguments: &[String],
        variables: &[(&str, &str)],
    ) -> Result<()> {
        let log = self.path(&format!("{name}.log"));
        let file = std::fs::File::create(&log)?;
        let process = Command::new(self.path("etcd"))
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        self.running.push(Running {
            name: name.to_owned(),
            log,
            process,
        });
        Ok(())
    }

    /// Waits until every process has said that it serves.
    async fn wait_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        for member in &mut self.running {
            while !member.log().contains(READY) {
                let ended = member.process.try_wait()?;
                ensure!(
                    ended.is_none() && Instant::now() < deadline,
                    "{} is not ready ({ended:?}): {}",
                    member.name,
                    member.log()
                );
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(())
    }
}

/// The authorities and certificates that kubeadm makes below `/etc/kubernetes/pki/etcd`.
struct Kubernetes {
    authority: Authority,
    server: Files,
    peer: Files,
    healthcheck: Files,
}

impl Kubernetes {
    fn new(folder: &Path) -> Result<Kubernetes> {
        let authority = Authority::new(folder, "etcd-ca")?;
        let of = |common_name, hosts| Holder {
            common_name,
            hosts,
            ..Holder::default()
        };
        let node = of("node-1", &["node-1", "localhost", "127.0.0.1", "::1"]);
        Ok(Kubernetes {
            server: authority.issue("server", &node)?,
            peer: authority.issue("peer", &node)?,
            healthcheck: authority
                .issue("healthcheck", &of("kube-etcd-healthcheck-client", &[]))?,
            authority,
        })
    }

    fn ctl(&self, endpoints: &str, arguments: &[&str]) -> Result<String> {
        let output = Command::new(etcdctl()?)
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={endpoints}"))
            .arg("--cacert")
            .arg(&self.authority.bundle)
            .arg("--cert")
            .arg(&self.healthcheck.cert)
            .arg("--key")
            .arg(&self.healthcheck.key)
            .args(arguments)
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        ensure!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
        // etcdctl 3.4 tells of health there.
        let is_health = arguments.contains(&"health");
        Ok(if is_health { stdout + &stderr } else { stdout })
    }
}

#[derive(Clone, Copy)]
struct Ports {
    client: u16,
    peer: u16,
    metrics: u16,
}

impl Ports {
    fn new() -> Result<Ports> {
        Ok(Ports {
            client: free_port()?,
            peer: free_port()?,
            metrics: free_port()?,
        })
    }
}

/// The flags in kubeadm's order; its localhost and its node's address are one here.
fn kubeadm(host: &Host, pki: &Kubernetes, members: &[Ports], number: usize) -> Vec<String> {
    let Ports {
        client,
        peer,
        metrics,
    } = members[number];
    let cluster = members.iter().enumerate();
    let cluster =
        cluster.map(|(number, ports)| format!("node-{number}=https://127.0.0.1:{}", ports.peer));
    let cluster = cluster.collect::<Vec<_>>().join(",");
    let data = host.path(&format!("node-{number}"));
    vec![
        format!("--advertise-client-urls=https://127.0.0.1:{client}"),
        format!("--cert-file={}", pki.server.cert.display()),
        "--client-cert-auth=true".to_owned(),
        format!("--data-dir={}", data.display()),
        "--feature-gates=InitialCorruptCheck=true".to_owned(),
        format!("--initial-advertise-peer-urls=https://127.0.0.1:{peer}"),
        format!("--initial-cluster={cluster}"),
        format!("--key-file={}", pki.server.key.display()),
        format!("--listen-client-urls=https://127.0.0.1:{client}"),
        format!("--listen-metrics-urls=http://127.0.0.1:{metrics}"),
        format!("--listen-peer-urls=https://127.0.0.1:{peer}"),
        format!("--name=node-{number}"),
        format!("--peer-cert-file={}", pki.peer.cert.display()),
        "--peer-client-cert-auth=true".to_owned(),
        format!("--peer-key-file={}", pki.peer.key.display()),
        format!("--peer-trusted-ca-file={}", pki.authority.bundle.display()),
        "--snapshot-count=10000".to_owned(),
        format!("--trusted-ca-file={}", pki.authority.bundle.display()),
        "--watch-progress-notify-interval=5s".to_owned(),
    ]
}

#[tokio::test]
async fn kubeadm_starts_three_members() -> Result<()> {
    let mut host = Host::new()?;
    let pki = Kubernetes::new(host.folder.path())?;
    let members = [Ports::new()?, Ports::new()?, Ports::new()?];
    for number in 0..members.len() {
        let mut flags = kubeadm(&host, &pki, &members, number);
        // As an operator's extra arguments: no request is to meet an election.
        flags.extend(Options::steady_three().flags);
        host.start(&format!("node-{number}"), &flags, &[])?;
    }
    host.wait_ready().await?;
    let endpoints = members.map(|ports| format!("https://127.0.0.1:{}", ports.client));
    let all = endpoints.join(",");
    assert_eq!(pki.ctl(&endpoints[0], &["put", "k", "v"])?, "OK\n");
    for endpoint in &endpoints {
        assert_eq!(pki.ctl(endpoint, &["get", "k"])?, "k\nv\n");
    }
    let health = pki.ctl(&all, &["endpoint", "health"])?;
    assert_eq!(health.matches("is healthy").count(), 3, "{health}");
    let status = pki.ctl(&all, &["endpoint", "status"])?;
    assert_eq!(status.lines().count(), 3, "{status}");
    assert_eq!(status.matches(", true, ").count(), 1, "{status}");
    let list = pki.ctl(&all, &["member", "list"])?;
    for (number, ports) in members.iter().enumerate() {
        let line = format!(
            "started, node-{number}, https://127.0.0.1:{}, https://127.0.0.1:{}, false",
            ports.peer, ports.client
        );
        ensure!(list.contains(&line), "{list}");
        for path in [
            "/livez",
            "/readyz",
            "/health?exclude=NOSPACE&serializable=true",
        ] {
            let port = ports.metrics;
            let answer =
                tokio::task::spawn_blocking(move || interop::http::get(port, path)).await??;
            assert_eq!(answer.status, 200, "{path}");
        }
    }
    our_client_comes_in(&pki, &all)?;
    let without = Command::new(etcdctl()?)
        .env("ETCDCTL_API", "3")
        .args(["--insecure-transport=false", "--insecure-skip-tls-verify"])
        .args([
            "--command-timeout=2s",
            "--endpoints",
            &endpoints[0],
            "get",
            "k",
        ])
        .output()?;
    ensure!(!without.status.success(), "served without a certificate");
    Ok(())
}

/// `mainstay ctl` has etcdctl's flags.
fn our_client_comes_in(pki: &Kubernetes, endpoints: &str) -> Result<()> {
    let ctl = |flags: &[&str], words: &[&str]| {
        let mut command = Command::new(Target::mainstay()?.command().get_program());
        command.arg("ctl").args(flags).args(words);
        let output = command.output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::Ok((output.status.success(), text, error))
    };
    let path = |path: &Path| path.display().to_string();
    let files = [
        &pki.authority.bundle,
        &pki.healthcheck.cert,
        &pki.healthcheck.key,
    ];
    let [bundle, cert, key] = files.map(|file| path(file));
    let endpoints = format!("--endpoints={endpoints}");
    let shown = ["--cert", &cert, "--key", &key];
    let verified = [&["--cacert", &bundle, &endpoints][..], &shown].concat();
    let served = (true, "k\nv\n".to_owned(), String::new());
    assert_eq!(ctl(&verified, &["get", "k"])?, served);
    let health = ctl(&verified, &["endpoint", "health", "--cluster"])?;
    ensure!(health.0, "{health:?}");
    let bare = endpoints.replace("https://", "");
    let unverified = [&["--insecure-skip-tls-verify", &bare][..], &shown].concat();
    assert_eq!(ctl(&unverified, &["get", "k"])?, served);
    // Without the authority, and without a certificate.
    for flags in [
        [&[endpoints.as_str()][..], &shown].concat(),
        vec!["--cacert", &bundle, &endpoints],
    ] {
        let refused = ctl(&flags, &["get", "k"])?;
        ensure!(!refused.0 && refused.1.is_empty(), "{refused:?}");
    }
    Ok(())
}

/// As k3s writes it, its paths and ports replaced.
fn k3s(host: &Host, pki: &Kubernetes, ports: Ports, pages: u16) -> String {
    format!(
        "advertise-client-urls: https://127.0.0.1:{client}
client-transport-security:
  cert-file: {server_cert}
  client-cert-auth: true
  key-file: {server_key}
  trusted-ca-file: {bundle}
data-dir: {data}
election-timeout: 5000
experimental-initial-corrupt-check: true
experimental-watch-progress-notify-interval: 5000000000
heartbeat-interval: 500
initial-advertise-peer-urls: https://127.0.0.1:{peer}
initial-cluster: node-1=https://127.0.0.1:{peer}
initial-cluster-state: new
listen-client-http-urls: https://127.0.0.1:{pages}
listen-client-urls: https://127.0.0.1:{client}
listen-metrics-urls: http://127.0.0.1:{metrics}
listen-peer-urls: https://127.0.0.1:{peer}
log-outputs:
- stderr
logger: zap
name: node-1
peer-transport-security:
  cert-file: {peer_cert}
  client-cert-auth: true
  key-file: {peer_key}
  trusted-ca-file: {bundle}
snapshot-count: 10000
socket-options:
  reuse-address: true
  reuse-port: true
",
        client = ports.client,
        peer = ports.peer,
        metrics = ports.metrics,
        data = host.path("k3s").display(),
        server_cert = pki.server.cert.display(),
        server_key = pki.server.key.display(),
        peer_cert = pki.peer.cert.display(),
        peer_key = pki.peer.key.display(),
        bundle = pki.authority.bundle.display(),
    )
}

#[tokio::test]
async fn the_file_of_k3s_starts_a_member_and_systemd_is_told() -> Result<()> {
    let mut host = Host::new()?;
    let pki = Kubernetes::new(host.folder.path())?;
    let ports = Ports::new()?;
    let path = host.path("config");
    std::fs::write(&path, k3s(&host, &pki, ports, free_port()?))?;
    let socket_path = host.path("notify");
    let socket = UnixDatagram::bind(&socket_path)?;
    socket.set_read_timeout(Some(READY_TIMEOUT))?;
    let socket_path = socket_path.to_str().context("the folder's name is text")?;
    // Flags and variables beside a file do not count.
    let arguments = [
        "--config-file".to_owned(),
        path.display().to_string(),
        "--name=x".to_owned(),
    ];
    let variables = [
        ("NOTIFY_SOCKET", socket_path),
        ("ETCD_DATA_DIR", "/nowhere"),
    ];
    host.start("k3s", &arguments, &variables)?;
    let mut news = [0; 64];
    let told = tokio::task::spawn_blocking(move || {
        let length = socket.recv(&mut news)?;
        anyhow::Ok(news[..length].to_vec())
    });
    assert_eq!(told.await??, b"READY=1");
    let endpoint = format!("https://127.0.0.1:{}", ports.client);
    assert_eq!(pki.ctl(&endpoint, &["put", "k", "v"])?, "OK\n");
    let list = pki.ctl(&endpoint, &["member", "list"])?;
    ensure!(list.contains("started, node-1, "), "{list}");
    Ok(())
}

/// As etcd-druid's sidecar writes it for one member.
fn druid(host: &Host, pki: &Kubernetes, ports: Ports) -> String {
    format!(
        "name: etcd-main-0
data-dir: {data}
metrics: extensive
snapshot-count: 75000
enable-v2: false
enable-grpc-gateway: true
quota-backend-bytes: 8589934592
initial-cluster-token: etcd-cluster
initial-cluster-state: new
initial-cluster: etcd-main-0=https://127.0.0.1:{peer}
auto-compaction-mode: periodic
auto-compaction-retention: 30m
listen-peer-urls: https://0.0.0.0:{peer}
listen-client-urls: https://0.0.0.0:{client}
advertise-client-urls: https://127.0.0.1:{client}
initial-advertise-peer-urls: https://127.0.0.1:{peer}
client-transport-security:
  cert-file: {server_cert}
  key-file: {server_key}
  client-cert-auth: true
  trusted-ca-file: {bundle}
  auto-tls: false
peer-transport-security:
  cert-file: {peer_cert}
  key-file: {peer_key}
  client-cert-auth: true
  trusted-ca-file: {bundle}
  auto-tls: false
next-cluster-version-compatible: true
",
        client = ports.client,
        peer = ports.peer,
        data = host.path("druid").display(),
        server_cert = pki.server.cert.display(),
        server_key = pki.server.key.display(),
        peer_cert = pki.peer.cert.display(),
        peer_key = pki.peer.key.display(),
        bundle = pki.authority.bundle.display(),
    )
}

#[tokio::test]
async fn the_file_of_druid_starts_a_member() -> Result<()> {
    let mut host = Host::new()?;
    let pki = Kubernetes::new(host.folder.path())?;
    let ports = Ports::new()?;
    let path = host.path("config");
    std::fs::write(&path, druid(&host, &pki, ports))?;
    let path = path.to_str().context("the folder's name is text")?;
    host.start("druid", &[], &[("ETCD_CONFIG_FILE", path)])?;
    host.wait_ready().await?;
    let endpoint = format!("https://127.0.0.1:{}", ports.client);
    assert_eq!(pki.ctl(&endpoint, &["put", "k", "v"])?, "OK\n");
    let status = pki.ctl(&endpoint, &["endpoint", "status"])?;
    ensure!(status.contains(&endpoint), "{status}");
    Ok(())
}

//! TLS of the client and peer ports: who is let in and who is not, told to etcd and to ours where both can.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT, free_port};
use interop::target::{Target, etcdctl};
use interop::tls::{Authority, Caller, Files, Holder, Version, replace};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest time for a handshake, as the server keeps it, and some more.
const HANDSHAKE_END: Duration = Duration::from_secs(15);

const HERE: &[&str] = &["localhost", "127.0.0.1"];

/// Serial numbers that lists revoke.
const REVOKED: u64 = 0x1234_5678_9abc;

/// An authority and what it has signed for a server and its usual client.
struct Pki {
    folder: TempDir,
    authority: Authority,
    server: Files,
    client: Files,
}

impl Pki {
    fn new() -> Result<Pki> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new(folder.path(), "ca")?;
        let holder = |common_name| Holder {
            common_name,
            hosts: HERE,
            ..Holder::default()
        };
        Ok(Pki {
            server: authority.issue("server", &holder("server"))?,
            client: authority.issue("client", &holder("root"))?,
            authority,
            folder,
        })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A caller that trusts the authority and shows nothing.
    fn nobody(&self) -> Caller {
        Caller::nobody(&self.authority.bundle)
    }

    fn caller(&self) -> Caller {
        self.nobody().showing(&self.client)
    }

    /// Flags of a server that asks clients for a certificate.
    fn mutual(&self) -> Vec<String> {
        let mut flags = self.one_sided();
        flags.push("--client-cert-auth".to_owned());
        flags.push(flag("trusted-ca-file", &self.authority.bundle));
        flags
    }

    fn one_sided(&self) -> Vec<String> {
        vec![
            flag("cert-file", &self.server.cert),
            flag("key-file", &self.server.key),
        ]
    }

    /// Flags of members that ask one another for a certificate.
    fn peers(&self) -> Vec<String> {
        vec![
            flag("peer-cert-file", &self.server.cert),
            flag("peer-key-file", &self.server.key),
            flag("peer-trusted-ca-file", &self.authority.bundle),
            "--peer-client-cert-auth".to_owned(),
        ]
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

/// Which ports of a cluster speak TLS.
#[derive(Clone, Copy)]
struct Secured {
    clients: bool,
    peers: bool,
}

const CLIENTS: Secured = Secured {
    clients: true,
    peers: false,
};

/// A cluster whose URLs say what is secured; nothing runs yet.
fn prepare(target: &Target, members: usize, secured: Secured, flags: &[String]) -> Result<Cluster> {
    let options = Options {
        members,
        flags: flags.to_vec(),
        in_memory: true,
    };
    let mut cluster = Cluster::prepare(target, &options)?;
    for member in &mut cluster.members {
        let mut name = String::new();
        for word in &mut member.flags {
            let is_client = name.contains("client-urls");
            let is_peer = name.contains("peer-urls") || name == "--initial-cluster";
            if (is_client && secured.clients) || (is_peer && secured.peers) {
                *word = word.replace("http://", "https://");
            }
            name.clone_from(word);
        }
    }
    Ok(cluster)
}

/// Starts every member, and waits until one that is let in is answered by each.
async fn start(cluster: &mut Cluster, caller: &Caller) -> Result<()> {
    for member in &mut cluster.members {
        member.start()?;
    }
    for member in &mut cluster.members {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let asked = caller.page(member.client_port, "/health").await;
            match asked {
                Ok(answer) if answer.contains("\"true\"") => break,
                other => ensure!(
                    Instant::now() < deadline && member.is_running(),
                    "{} is not ready: {other:?}\n{}",
                    member.name,
                    member.log_tail()
                ),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
    Ok(())
}

async fn running(target: &Target, secured: Secured, flags: &[String], caller: &Caller) -> Result<Cluster> {
    let mut cluster = prepare(target, 1, secured, flags)?;
    start(&mut cluster, caller).await?;
    Ok(cluster)
}

fn both() -> Result<[Target; 2]> {
    Ok([Target::etcd()?, Target::mainstay()?])
}

/// Whether each caller is let in, to a page and to gRPC, which must agree.
async fn let_in(port: u16, callers: &[(&'static str, Caller)]) -> Result<Vec<(&'static str, bool)>> {
    let mut outcomes = Vec::new();
    for (name, caller) in callers {
        let page = caller.page(port, "/health").await;
        let put = caller.client(port)?.put("k", "v").await;
        ensure!(
            page.is_ok() == put.is_ok(),
            "{name}: the page {page:?}, the put {put:?}"
        );
        outcomes.push((*name, page.is_ok()));
    }
    Ok(outcomes)
}

#[tokio::test]
async fn mutual_tls_lets_in_who_has_a_good_certificate() -> Result<()> {
    let pki = Pki::new()?;
    let other = Authority::new(&pki.path(""), "other")?;
    let stranger = other.issue("stranger", &Holder::default())?;
    let expired = Holder {
        is_expired: true,
        ..Holder::default()
    };
    let expired = pki.authority.issue("expired", &expired)?;
    let callers = [
        ("good", pki.caller()),
        ("good, TLS 1.2", pki.caller().speaking(Version::Tls12)),
        ("none", pki.nobody()),
        ("signed by another", pki.nobody().showing(&stranger)),
        ("expired", pki.nobody().showing(&expired)),
    ];
    for target in both()? {
        let cluster = running(&target, CLIENTS, &pki.mutual(), &pki.caller()).await?;
        let outcomes = let_in(cluster.members[0].client_port, &callers).await?;
        let good = outcomes.iter().filter(|(_, is_in)| *is_in);
        let good: Vec<_> = good.map(|(name, _)| *name).collect();
        assert_eq!(good, ["good", "good, TLS 1.2"], "{}", target.name);
    }
    Ok(())
}

/// Ours says what was wrong, by the alert that TLS has for it.
#[tokio::test]
async fn who_is_refused_is_told_why() -> Result<()> {
    let pki = Pki::new()?;
    let other = Authority::new(&pki.path(""), "other")?;
    let list = pki.path("revoked.crl");
    pki.authority.revoke(&list, &[REVOKED])?;
    let holder = Holder {
        is_expired: true,
        ..Holder::default()
    };
    let expired = pki.authority.issue("expired", &holder)?;
    let holder = Holder {
        serial: REVOKED,
        ..Holder::default()
    };
    let revoked = pki.authority.issue("revoked", &holder)?;
    let stranger = other.issue("stranger", &Holder::default())?;
    let flags = [pki.mutual(), vec![flag("client-crl-file", &list)]].concat();
    let cluster = running(&Target::mainstay()?, CLIENTS, &flags, &pki.caller()).await?;
    for (files, alert) in [
        (None, "CertificateRequired"),
        (Some(&stranger), "UnknownCA"),
        (Some(&expired), "CertificateExpired"),
        (Some(&revoked), "CertificateRevoked"),
    ] {
        let caller = files.map_or(pki.nobody(), |files| pki.nobody().showing(files));
        let refused = caller.page(cluster.members[0].client_port, "/health").await;
        let refused = format!("{:#}", refused.unwrap_err());
        ensure!(refused.contains(alert), "{alert}: {refused}");
    }
    let log = cluster.members[0].log();
    ensure!(log.contains("rejected connection on client endpoint"), "{log}");
    Ok(())
}

#[tokio::test]
async fn who_was_revoked_is_not_let_in_by_any_port() -> Result<()> {
    let pki = Pki::new()?;
    let list = pki.path("revoked.crl");
    pki.authority.revoke(&list, &[REVOKED])?;
    let holder = Holder {
        serial: REVOKED,
        ..Holder::default()
    };
    let revoked = pki.authority.issue("revoked", &holder)?;
    let callers = [
        ("good", pki.caller()),
        ("revoked", pki.nobody().showing(&revoked)),
    ];
    for target in both()? {
        let mut flags = [pki.mutual(), vec![flag("client-crl-file", &list)]].concat();
        let pages = free_port()?;
        // etcd 3.4 has no ports for pages alone.
        if target.name == "mainstay" {
            flags.push(format!("--listen-client-http-urls=https://127.0.0.1:{pages}"));
        }
        let cluster = running(&target, CLIENTS, &flags, &pki.caller()).await?;
        let outcomes = let_in(cluster.members[0].client_port, &callers).await?;
        assert_eq!(outcomes, [("good", true), ("revoked", false)], "{}", target.name);
        if target.name == "mainstay" {
            ensure!(callers[0].1.page(pages, "/health").await.is_ok());
            ensure!(callers[1].1.page(pages, "/health").await.is_err());
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_client_has_to_be_of_an_allowed_host() -> Result<()> {
    let pki = Pki::new()?;
    let of = |file: &str, hosts| {
        let holder = Holder {
            hosts,
            ..Holder::default()
        };
        pki.authority.issue(file, &holder)
    };
    let callers = [
        ("exact", pki.nobody().showing(&of("exact", &["good.example"])?)),
        ("wildcard", pki.nobody().showing(&of("wildcard", &["*.example"])?)),
        ("other", pki.nobody().showing(&of("other", &["bad.example"])?)),
        ("no host", pki.nobody().showing(&of("no-host", &[])?)),
    ];
    let flags = [
        pki.mutual(),
        vec!["--client-cert-allowed-hostname=good.example".to_owned()],
    ];
    for target in both()? {
        let cluster = running(&target, CLIENTS, &flags.concat(), &callers[0].1).await?;
        let outcomes = let_in(cluster.members[0].client_port, &callers).await?;
        let expected = [
            ("exact", true),
            ("wildcard", true),
            ("other", false),
            ("no host", false),
        ];
        assert_eq!(outcomes, expected, "{}", target.name);
    }
    Ok(())
}

/// As with etcd, naming who signs is enough to ask clients for a certificate.
#[tokio::test]
async fn an_authority_alone_asks_for_certificates() -> Result<()> {
    let pki = Pki::new()?;
    let flags = [
        pki.one_sided(),
        vec![flag("trusted-ca-file", &pki.authority.bundle)],
    ];
    let callers = [("good", pki.caller()), ("none", pki.nobody())];
    for target in both()? {
        let cluster = running(&target, CLIENTS, &flags.concat(), &pki.caller()).await?;
        let outcomes = let_in(cluster.members[0].client_port, &callers).await?;
        assert_eq!(outcomes, [("good", true), ("none", false)], "{}", target.name);
    }
    Ok(())
}

#[tokio::test]
async fn versions_and_suites_are_as_the_flags_say() -> Result<()> {
    let pki = Pki::new()?;
    let (new, old) = (pki.caller(), pki.caller().speaking(Version::Tls12));
    let target = Target::mainstay()?;
    let flags = [pki.mutual(), vec!["--tls-min-version=TLS1.3".to_owned()]].concat();
    let cluster = running(&target, CLIENTS, &flags, &new).await?;
    let refused = old.page(cluster.members[0].client_port, "/health").await;
    let refused = format!("{:#}", refused.unwrap_err());
    ensure!(refused.contains("ProtocolVersion"), "{refused}");
    // The certificate's key is for ECDSA, so that a suite for RSA fits nobody who speaks TLS 1.2.
    let suite = "--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned();
    let flags = [pki.mutual(), vec![suite]].concat();
    let cluster = running(&target, CLIENTS, &flags, &new).await?;
    let refused = old.page(cluster.members[0].client_port, "/health").await;
    let refused = format!("{:#}", refused.unwrap_err());
    ensure!(refused.contains("HandshakeFailure"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_and_holds_up_nobody() -> Result<()> {
    let pki = Pki::new()?;
    let peers = Secured {
        clients: true,
        peers: true,
    };
    let flags = [pki.mutual(), pki.peers()].concat();
    let cluster = running(&Target::mainstay()?, peers, &flags, &pki.caller()).await?;
    let member = &cluster.members[0];
    let began = Instant::now();
    let mut stalled = Vec::new();
    for port in [member.client_port, member.peer_port] {
        for _ in 0..20 {
            stalled.push(TcpStream::connect(("127.0.0.1", port)).await?);
        }
    }
    let answered = Instant::now();
    pki.caller().page(member.client_port, "/health").await?;
    ensure!(answered.elapsed() < Duration::from_secs(2));
    for mut stream in stalled {
        let left = HANDSHAKE_END.saturating_sub(began.elapsed());
        let read = tokio::time::timeout(left, stream.read(&mut [0])).await;
        let read = read.context("a stalled handshake goes on")?;
        ensure!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    ensure!(began.elapsed() > Duration::from_secs(8), "cut off too early");
    Ok(())
}

#[tokio::test]
async fn plain_bytes_are_answered_where_a_url_allows_them() -> Result<()> {
    let pki = Pki::new()?;
    for target in both()? {
        let cluster = running(&target, CLIENTS, &pki.mutual(), &pki.caller()).await?;
        let port = cluster.members[0].client_port;
        let get = tokio::task::spawn_blocking(move || interop::http::get(port, "/health")).await?;
        let is_served = get.is_ok_and(|answer| answer.status == 200);
        ensure!(!is_served, "{} answers plain HTTP", target.name);
        let mut cluster = prepare(&target, 1, CLIENTS, &pki.mutual())?;
        let member = &mut cluster.members[0];
        let both = format!(
            "http://127.0.0.1:{port},https://127.0.0.1:{port}",
            port = member.client_port
        );
        member.flags.push(format!("--listen-client-urls={both}"));
        start(&mut cluster, &pki.caller()).await?;
        let port = cluster.members[0].client_port;
        let get = tokio::task::spawn_blocking(move || interop::http::get(port, "/health")).await??;
        ensure!(get.status == 200, "{}: {get:?}", target.name);
        let mut plain = cluster.client(0).await?;
        plain.put("k", "v").await?;
        let callers = [("good", pki.caller()), ("none", pki.nobody())];
        let outcomes = let_in(port, &callers).await?;
        assert_eq!(outcomes, [("good", true), ("none", false)], "{}", target.name);
    }
    Ok(())
}

/// Connects again and again while the files change, and is never refused.
#[tokio::test]
async fn renewed_files_are_taken_up_without_a_failed_request() -> Result<()> {
    let pki = Pki::new()?;
    let next = Authority::new(&pki.path(""), "next")?;
    let list = pki.path("revoked.crl");
    pki.authority.revoke(&list, &[])?;
    let bundle = pki.path("bundle.pem");
    replace(&bundle, pki.authority.pem())?;
    let trusts = pki.path("trusts.pem");
    replace(&trusts, pki.authority.pem() + &next.pem())?;
    let known = Caller::nobody(&trusts).showing(&pki.client);
    let flags = [
        pki.mutual(),
        vec![flag("trusted-ca-file", &bundle), flag("client-crl-file", &list)],
    ];
    let cluster = running(&Target::mainstay()?, CLIENTS, &flags.concat(), &known).await?;
    let port = cluster.members[0].client_port;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let load = tokio::spawn(ask_until(stopped, known.clone(), port));

    // A client of another authority is a stranger until that stands in the bundle.
    let holder = Holder {
        common_name: "next",
        hosts: HERE,
        serial: REVOKED,
        ..Holder::default()
    };
    let newcomer = known.showing(&next.issue("newcomer", &holder)?);
    ensure!(newcomer.page(port, "/health").await.is_err());
    replace(&bundle, pki.authority.pem() + &next.pem())?;
    newcomer.page(port, "/health").await?;

    // The server's own key and certificate, one after the other.
    let before = known.server_certificate(port).await?;
    let holder = Holder { serial: 0, ..holder };
    next.issue("server", &holder)?;
    let after = known.server_certificate(port).await?;
    ensure!(before != after, "the old certificate is still shown");

    // A list that revokes the newcomer. What is broken after that changes nothing.
    pki.authority.revoke(&list, &[REVOKED])?;
    ensure!(newcomer.page(port, "/health").await.is_err());
    for path in [&list, &bundle, &pki.server.key] {
        replace(path, "broken")?;
        ensure!(newcomer.page(port, "/health").await.is_err());
        known.page(port, "/health").await?;
    }

    stop.send_replace(true);
    ensure!(load.await?? > 0);
    let log = cluster.members[0].log();
    ensure!(log.contains("what was read before stays in use"), "{log}");
    Ok(())
}

/// Asks over connections of their own; the number of rounds, or the first failure.
async fn ask_until(
    stopped: tokio::sync::watch::Receiver<bool>,
    caller: Caller,
    port: u16,
) -> Result<u32> {
    let mut rounds = 0;
    while !*stopped.borrow() {
        caller.page(port, "/health").await?;
        caller.client(port)?.put("k", "v").await?;
        rounds += 1;
    }
    Ok(rounds)
}

fn ctl(arguments: &[&str]) -> Result<String> {
    let output = Command::new(etcdctl()?)
        .env("ETCDCTL_API", "3")
        .arg("--insecure-transport=false")
        .args(arguments)
        .output()?;
    ensure!(
        output.status.success(),
        "etcdctl {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[tokio::test]
async fn certificates_are_made_when_none_are_given() -> Result<()> {
    let everything = Secured {
        clients: true,
        peers: true,
    };
    for target in both()? {
        let flags = ["--auto-tls".to_owned(), "--peer-auto-tls".to_owned()];
        let mut cluster = prepare(&target, 3, everything, &flags)?;
        for member in &mut cluster.members {
            member.start()?;
        }
        let deadline = Instant::now() + READY_TIMEOUT;
        for (number, member) in cluster.members.iter().enumerate() {
            let endpoint = format!("--endpoints=https://127.0.0.1:{}", member.client_port);
            let key = format!("k{number}");
            let put = ["put", &key, "v", &endpoint, "--insecure-skip-tls-verify"];
            while let Err(error) = ctl(&put) {
                ensure!(Instant::now() < deadline, "{}: {error:#}", target.name);
            }
            for kind in ["client", "peer"] {
                for file in ["cert.pem", "key.pem"] {
                    let path = member.data_dir.join("fixtures").join(kind).join(file);
                    ensure!(path.is_file(), "{}", path.display());
                }
            }
        }
        // It is kept over a restart.
        let path = cluster.members[0].data_dir.join("fixtures/client/cert.pem");
        let before = std::fs::read(&path)?;
        cluster.members[0].kill()?;
        cluster.members[0].start()?;
        let endpoint = format!(
            "--endpoints=https://127.0.0.1:{}",
            cluster.members[0].client_port
        );
        while let Err(error) = ctl(&["get", "k0", &endpoint, "--insecure-skip-tls-verify"]) {
            ensure!(Instant::now() < deadline, "{}: {error:#}", target.name);
        }
        assert_eq!(before, std::fs::read(&path)?);
    }
    Ok(())
}

const PEERS: Secured = Secured {
    clients: false,
    peers: true,
};

/// The leader's end is noticed by its closed connections and its closed port, long before an election timeout.
#[tokio::test]
async fn members_in_tls_replace_a_killed_leader_at_once() -> Result<()> {
    let pki = Pki::new()?;
    let slow = ["--heartbeat-interval=1000", "--election-timeout=20000"].map(str::to_owned);
    let flags = [pki.peers(), slow.to_vec()].concat();
    let mut cluster = prepare(&Target::mainstay()?, 3, PEERS, &flags)?;
    cluster.start_all().await?;
    let leader = cluster.wait_leader().await?;
    let mut client = cluster.client((leader + 1) % 3).await?;
    client.put("k", "before").await?;
    cluster.members[leader].kill()?;
    let killed = Instant::now();
    while client.put("k", "after").await.is_err() {
        ensure!(killed.elapsed() < READY_TIMEOUT, "no leader");
    }
    let took = killed.elapsed();
    ensure!(took < Duration::from_secs(10), "a new leader after {took:?}");
    cluster.start_all().await?;
    let mut returned = cluster.client(leader).await?;
    assert_eq!(returned.get("k").await?.as_deref(), Some("after"));
    Ok(())
}

/// Members in plain HTTP and in TLS, as while a cluster is moved from one to the other.
#[tokio::test]
async fn members_of_both_schemes_are_one_cluster() -> Result<()> {
    let pki = Pki::new()?;
    for target in both()? {
        let mut cluster = prepare(&target, 3, PEERS, &pki.peers())?;
        let plain = format!("//127.0.0.1:{}", cluster.members[0].peer_port);
        for member in &mut cluster.members {
            for word in &mut member.flags {
                *word = word.replace(&format!("https:{plain}"), &format!("http:{plain}"));
            }
        }
        cluster.start_all().await?;
        for index in 0..3 {
            cluster.client(index).await?.put("k", "v").await?;
        }
    }
    Ok(())
}

/// Whether a peer port lets a caller in. In TLS 1.2 the handshake itself tells.
async fn is_peer(cluster: &Cluster, caller: &Caller) -> bool {
    let caller = caller.speaking(Version::Tls12);
    let port = cluster.members[0].peer_port;
    caller.server_certificate(port).await.is_ok()
}

#[tokio::test]
async fn a_peer_port_lets_in_members_alone() -> Result<()> {
    let pki = Pki::new()?;
    let list = pki.path("revoked.crl");
    pki.authority.revoke(&list, &[REVOKED])?;
    let of = |file: &str, common_name, serial| {
        let holder = Holder {
            common_name,
            serial,
            ..Holder::default()
        };
        pki.authority.issue(file, &holder)
    };
    let other = Authority::new(&pki.path(""), "other")?;
    let flags = [
        pki.peers(),
        vec![
            flag("peer-crl-file", &list),
            "--peer-cert-allowed-cn=server".to_owned(),
        ],
    ];
    let callers = [
        (pki.nobody().showing(&pki.server), true),
        (pki.nobody().showing(&of("same-name", "server", 0)?), true),
        (pki.nobody().showing(&of("other-name", "x", 0)?), false),
        (pki.nobody().showing(&of("revoked", "server", REVOKED)?), false),
        (pki.nobody().showing(&other.issue("stranger", &Holder::default())?), false),
        (pki.nobody(), false),
    ];
    // etcd looks at lists and hosts only after the handshake, so that they cannot be told from it here.
    let mut cluster = prepare(&Target::mainstay()?, 3, PEERS, &flags.concat())?;
    cluster.start_all().await?;
    cluster.client(0).await?.put("k", "v").await?;
    for (number, (caller, expected)) in callers.iter().enumerate() {
        assert_eq!(is_peer(&cluster, caller).await, *expected, "caller {number}");
    }
    Ok(())
}

/// A certificate for another host is no good here, unless the operator says that it is.
#[tokio::test]
async fn a_member_calls_from_a_host_that_its_certificate_names() -> Result<()> {
    let pki = Pki::new()?;
    let holder = |hosts| Holder {
        common_name: "member",
        hosts,
        ..Holder::default()
    };
    // It is shown to others, while the port has the usual one.
    let elsewhere = pki.authority.issue("elsewhere", &holder(&["192.0.2.1"]))?;
    let shown = vec![
        flag("peer-client-cert-file", &elsewhere.cert),
        flag("peer-client-key-file", &elsewhere.key),
    ];
    let skip = "--peer-skip-client-san-verification".to_owned();
    let flags = [pki.peers(), shown.clone(), vec![skip]].concat();
    let mut cluster = prepare(&Target::mainstay()?, 3, PEERS, &flags)?;
    cluster.start_all().await?;
    cluster.client(0).await?.put("k", "v").await?;
    let flags = [pki.peers(), shown].concat();
    let mut cluster = prepare(&Target::mainstay()?, 3, PEERS, &flags)?;
    for member in &mut cluster.members {
        member.start()?;
    }
    let deadline = Instant::now() + READY_TIMEOUT;
    while !cluster.members[0].log().contains("\\\"127.0.0.1\\\" does not match any of DNSNames") {
        ensure!(Instant::now() < deadline, "{}", cluster.members[0].log_tail());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let log = cluster.members[0].log();
    ensure!(!log.contains("ready to serve client requests"), "{log}");
    Ok(())
}

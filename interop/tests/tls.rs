//! TLS of the client ports: who is let in and who is not, told to etcd and to ours where both can.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use interop::cluster::{Cluster, READY_TIMEOUT, free_port};
use interop::target::{Target, etcdctl};
use interop::tls::cluster::{CLIENTS, HERE, Pki, Secured, both, flag, prepare, running, start};
use interop::tls::{Authority, Caller, Holder, Version, replace};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Longest time for a handshake, as the server keeps it, and some more.
const HANDSHAKE_END: Duration = Duration::from_secs(15);
/// Time for which the server surely keeps a handshake that stalls: it gives each ten seconds.
const HANDSHAKE_KEPT: Duration = Duration::from_secs(8);

/// At a port for both, etcd gives plain gRPC to its server of plain bytes or to that of TLS, by chance and for as long
/// as it runs. A new one does either about every second time.
const ETCD_STARTS_MAX: usize = 20;

/// Serial numbers that lists revoke.
const REVOKED: u64 = 0x1234_5678_9abc;

/// Whether each caller is let in, to a page and to gRPC, which must agree.
async fn let_in(
    port: u16,
    callers: &[(&'static str, Caller)],
) -> Result<Vec<(&'static str, bool)>> {
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
    ensure!(
        log.contains("rejected connection on client endpoint"),
        "{log}"
    );
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
            flags.push(format!(
                "--listen-client-http-urls=https://127.0.0.1:{pages}"
            ));
        }
        let cluster = running(&target, CLIENTS, &flags, &pki.caller()).await?;
        let port = cluster.members[0].client_port;
        let outcomes = let_in(port, &callers).await?;
        let expected = [("good", true), ("revoked", false)];
        assert_eq!(outcomes, expected, "{}", target.name);
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
        (
            "exact",
            pki.nobody().showing(&of("exact", &["good.example"])?),
        ),
        (
            "wildcard",
            pki.nobody().showing(&of("wildcard", &["*.example"])?),
        ),
        (
            "other",
            pki.nobody().showing(&of("other", &["bad.example"])?),
        ),
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
        assert_eq!(
            outcomes,
            [("good", true), ("none", false)],
            "{}",
            target.name
        );
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
    pki.caller().page(member.client_port, "/health").await?;
    ensure!(
        began.elapsed() < HANDSHAKE_KEPT,
        "a page waits for handshakes that stall"
    );
    for mut stream in stalled {
        let left = HANDSHAKE_END.saturating_sub(began.elapsed());
        let read = tokio::time::timeout(left, stream.read(&mut [0])).await;
        let read = read.context("a stalled handshake goes on")?;
        ensure!(matches!(read, Ok(0) | Err(_)), "{read:?}");
    }
    ensure!(began.elapsed() > HANDSHAKE_KEPT, "cut off too early");
    Ok(())
}

/// A member that speaks both ways at one port, and that was written to in plain gRPC.
async fn written_plainly(target: &Target, pki: &Pki) -> Result<Cluster> {
    let mut starts_left = match target.name {
        "etcd" => ETCD_STARTS_MAX,
        _ => 1,
    };
    loop {
        let mut cluster = prepare(target, 1, CLIENTS, &pki.mutual())?;
        let member = &mut cluster.members[0];
        let both = format!(
            "http://127.0.0.1:{port},https://127.0.0.1:{port}",
            port = member.client_port
        );
        member.flags.push(format!("--listen-client-urls={both}"));
        start(&mut cluster, &pki.caller()).await?;
        starts_left -= 1;
        match cluster.client(0).await?.put("k", "v").await {
            Err(_) if starts_left > 0 => {}
            put => {
                put?;
                return Ok(cluster);
            }
        }
    }
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
        let cluster = written_plainly(&target, &pki).await?;
        let port = cluster.members[0].client_port;
        let get =
            tokio::task::spawn_blocking(move || interop::http::get(port, "/health")).await??;
        ensure!(get.status == 200, "{}: {get:?}", target.name);
        let callers = [("good", pki.caller()), ("none", pki.nobody())];
        let outcomes = let_in(port, &callers).await?;
        assert_eq!(
            outcomes,
            [("good", true), ("none", false)],
            "{}",
            target.name
        );
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
        vec![
            flag("trusted-ca-file", &bundle),
            flag("client-crl-file", &list),
        ],
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
    let holder = Holder {
        serial: 0,
        ..holder
    };
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

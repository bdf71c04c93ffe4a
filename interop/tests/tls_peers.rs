//! TLS of the peer ports: members that let one another in and nobody else, and a leader that ends.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use interop::cluster::{Cluster, POLL_INTERVAL, READY_TIMEOUT};
use interop::target::Target;
use interop::tls::cluster::{PEERS, Pki, both, flag, prepare};
use interop::tls::{Authority, Caller, Holder, Version};

/// Serial numbers that lists revoke.
const REVOKED: u64 = 0x1234_5678_9abc;

/// The leader's end is noticed by its closed connections and its closed port, long before an election timeout.
#[tokio::test]
async fn members_in_tls_replace_a_killed_leader_at_once() -> Result<()> {
    let pki = Pki::new()?;
    let slow = ["--heartbeat-interval=1000", "--election-timeout=20000"].map(str::to_owned);
    let flags = [pki.peers(), slow.to_vec()].concat();
    let mut cluster = prepare(&Target::mainstay()?, 3, PEERS, &flags)?;
    cluster.start_all().await?;
    let leader = cluster.wait_leader().await?;
    let follower = (leader + 1) % 3;
    let mut client = cluster.client(follower).await?;
    client.put("k", "before").await?;
    cluster.members[leader].kill()?;
    let killed = Instant::now();
    cluster.put_after_loss(follower, "k", "after").await?;
    let took = killed.elapsed();
    assert!(
        took < Duration::from_secs(10),
        "a new leader after {took:?}"
    );
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
        (
            pki.nobody().showing(&of("revoked", "server", REVOKED)?),
            false,
        ),
        (
            pki.nobody()
                .showing(&other.issue("stranger", &Holder::default())?),
            false,
        ),
        (pki.nobody(), false),
    ];
    // etcd looks at lists and hosts only after the handshake, so that they cannot be told from it here.
    let mut cluster = prepare(&Target::mainstay()?, 3, PEERS, &flags.concat())?;
    cluster.start_all().await?;
    cluster.client(0).await?.put("k", "v").await?;
    for (number, (caller, expected)) in callers.iter().enumerate() {
        assert_eq!(
            is_peer(&cluster, caller).await,
            *expected,
            "caller {number}"
        );
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
    while !cluster.members[0]
        .log()
        .contains("\\\"127.0.0.1\\\" does not match any of DNSNames")
    {
        ensure!(
            Instant::now() < deadline,
            "{}",
            cluster.members[0].log_tail()
        );
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    let log = cluster.members[0].log();
    ensure!(!log.contains("ready to serve client requests"), "{log}");
    Ok(())
}

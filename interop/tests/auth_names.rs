//! Who somebody is: names in certificates however they are written, names that nobody can find out, tokens of another run.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use interop::auth::{
    authenticate, enable_with_ann, grant, grant_role, put, range, refusal, signed, user_add,
};
use interop::client::Client;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, READY_TIMEOUT};
use interop::on_both;
use interop::target::Target;
use interop::tls::cluster::{CLIENTS, HERE, Pki, running};
use interop::tls::{Encoding, Holder};
use proto::authpb::UserAddOptions;
use proto::etcdserverpb::{AuthEnableRequest, AuthRoleAddRequest, AuthUserAddRequest};

const INVALID_TOKEN: &str = "Unauthenticated: etcdserver: invalid auth token";
const DENIED: &str = "PermissionDenied: etcdserver: permission denied";

/// Refusals of each name that are timed at least.
const ROUNDS_MIN: u32 = 5;
/// And at most.
const ROUNDS_MAX: u32 = 10;

on_both! {
    a_common_name_is_the_same_however_it_is_written
}

/// Users without a password, each with a key of its own name.
async fn users(client: &mut Client, names: &[&str]) -> Result<()> {
    for name in ["root"].iter().chain(names) {
        let no_password = Some(UserAddOptions { no_password: true });
        let request = AuthUserAddRequest {
            name: (*name).into(),
            options: no_password,
            ..Default::default()
        };
        client.auth.user_add(request).await?;
        let role = AuthRoleAddRequest {
            name: (*name).into(),
        };
        client.auth.role_add(role).await?;
        if *name != "root" {
            client
                .auth
                .role_grant_permission(grant(name, 2, (name, "")))
                .await?;
        }
        client.auth.user_grant_role(grant_role(name, name)).await?;
    }
    client.auth.auth_enable(AuthEnableRequest {}).await?;
    Ok(())
}

async fn a_common_name_is_the_same_however_it_is_written(target: Target) -> Result<()> {
    let pki = Pki::new()?;
    let cluster = running(&target, CLIENTS, &pki.mutual(), &pki.caller()).await?;
    let port = cluster.members[0].client_port;
    let written = [
        ("Jörg", Encoding::Utf8),
        ("Жанна", Encoding::Bmp),
        ("ann", Encoding::Bmp),
        ("bob", Encoding::T61),
    ];
    let names = written.map(|(name, _)| name);
    users(&mut pki.caller().client(port)?, &names).await?;
    for (name, encoding) in written {
        let holder = Holder {
            common_name: name,
            encoding,
            hosts: HERE,
            ..Holder::default()
        };
        let files = pki.authority.issue("holder", &holder)?;
        let mut client = pki.nobody().showing(&files).client(port)?;
        let own = client.kv.put(put(name, 0, false)).await;
        own.with_context(|| format!("{name} in {encoding:?}"))?;
        assert_eq!(
            refusal(client.kv.put(put("other", 0, false)).await)?,
            DENIED
        );
    }
    Ok(())
}

async fn start(target: &Target, flags: &[&str]) -> Result<Cluster> {
    let options = Options {
        flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
        ..Options::default()
    };
    Cluster::start(target, &options).await
}

/// A client of a member that asks for a user, and is there again.
async fn again(cluster: &mut Cluster) -> Result<Client> {
    let deadline = Instant::now() + READY_TIMEOUT;
    loop {
        let mut client = Client::lazy(&cluster.members[0].client_url())?;
        if authenticate(&mut client, "ann", "annpw").await.is_ok() {
            return Ok(client);
        }
        ensure!(Instant::now() < deadline, "it does not come up again");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Whether it is told to end or killed: the log that is read again gives no token a second life. (etcd's does.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simple_token_ends_with_the_process_of_its_member() -> Result<()> {
    let mut cluster = start(&Target::mainstay()?, &["--bcrypt-cost=4"]).await?;
    let mut client = cluster.client(0).await?;
    enable_with_ann(&mut client).await?;
    for is_killed in [false, true] {
        let token = authenticate(&mut client, "ann", "annpw")
            .await?
            .into_inner();
        let ask = || signed(Some(&token), range("a", ""));
        client.kv.range(ask()).await?;
        if is_killed {
            cluster.members[0].kill()?;
        } else {
            cluster.members[0].terminate().await?;
        }
        cluster.members[0].start()?;
        client = again(&mut cluster).await?;
        assert_eq!(refusal(client.kv.range(ask()).await)?, INVALID_TOKEN);
    }
    Ok(())
}

/// The time of a refusal.
async fn refused_in(client: &mut Client, name: &str) -> Result<Duration> {
    let began = Instant::now();
    let why = refusal(authenticate(client, name, "wrong").await)?;
    let took = began.elapsed();
    assert_eq!(
        why,
        "InvalidArgument: etcdserver: authentication failed, invalid user ID or password"
    );
    Ok(took)
}

/// etcd answers at once when there is no such user, and so tells which names there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_nobody_has_is_refused_no_sooner() -> Result<()> {
    let cluster = start(&Target::mainstay()?, &["--bcrypt-cost=10"]).await?;
    let mut client = cluster.client(0).await?;
    client.auth.user_add(user_add("eve", "evepw")).await?;
    enable_with_ann(&mut client).await?;
    // The shortest times, of turns, so that a machine that is busy for a moment makes neither name the slower one.
    let (mut known, mut unknown) = (Duration::MAX, Duration::MAX);
    for round in 1..=ROUNDS_MAX {
        known = known.min(refused_in(&mut client, "eve").await?);
        unknown = unknown.min(refused_in(&mut client, "nobody").await?);
        if round >= ROUNDS_MIN && unknown * 2 > known {
            return Ok(());
        }
    }
    bail!("{known:?} and {unknown:?}")
}

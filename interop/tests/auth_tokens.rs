//! Tokens: how long simple ones are good, and signed ones that etcd and ours make and check alike.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use interop::auth::{authenticate, enable_with_ann, put, range, refusal, signed, user_add};
use interop::cluster::{Cluster, Options, POLL_INTERVAL};
use interop::target::{Target, etcdctl, workspace_dir};
use tokio::time::{Instant, sleep};

const OLD_REVISION: &str = "InvalidArgument: etcdserver: revision of auth store is old";
const INVALID: &str = "Unauthenticated: etcdserver: invalid auth token";

async fn start(target: &Target, flags: &[&str]) -> Result<Cluster> {
    let flags = flags.iter().chain(&["--bcrypt-cost=4"]);
    let options = Options {
        flags: flags.map(|flag| (*flag).to_owned()).collect(),
        ..Options::default()
    };
    Cluster::start(target, &options).await
}

fn jwt_flag(method: &str, key: &str) -> String {
    let folder = workspace_dir().join("store/testdata/jwt");
    let folder = folder.display();
    format!(
        "--auth-token=jwt,pub-key={folder}/{key}-public.pem,priv-key={folder}/{key}.pem,sign-method={method},ttl=10m"
    )
}

/// A signed token knows the revision it was made at; a change to users makes it old.
async fn a_change_makes_signed_tokens_old(
    target: &Target,
    method: &str,
    key: &str,
) -> Result<String> {
    let cluster = start(target, &[&jwt_flag(method, key)]).await?;
    let mut client = cluster.client(0).await?;
    enable_with_ann(&mut client).await?;
    let ann = authenticate(&mut client, "ann", "annpw")
        .await?
        .into_inner();
    let root = authenticate(&mut client, "root", "rootpw")
        .await?
        .into_inner();
    let ask = |key: &str| signed(Some(&ann), range(key, ""));
    client.kv.range(ask("a")).await?;
    let denied = client.kv.range(ask("x")).await;
    assert_eq!(
        refusal(denied)?,
        "PermissionDenied: etcdserver: permission denied"
    );
    let request = signed(Some(&root), user_add("bob", "bobpw"));
    client.auth.user_add(request).await?;
    assert_eq!(refusal(client.kv.range(ask("a")).await)?, OLD_REVISION);
    let write = signed(Some(&ann), put("a", 0, false));
    assert_eq!(refusal(client.kv.put(write).await)?, OLD_REVISION);
    // Users are managed by who is root now.
    let request = signed(Some(&root), user_add("eve", "evepw"));
    client.auth.user_add(request).await?;
    let again = authenticate(&mut client, "ann", "annpw")
        .await?
        .into_inner();
    client
        .kv
        .range(signed(Some(&again), range("a", "")))
        .await?;
    let broken = signed(Some(&again[1..]), range("a", ""));
    assert_eq!(refusal(client.kv.range(broken).await)?, INVALID);
    Ok(again)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signed_tokens_of_etcd_and_ours_are_alike() -> Result<()> {
    for (method, key) in [("RS256", "rsa"), ("ES256", "ec256"), ("PS512", "rsa")] {
        a_change_makes_signed_tokens_old(&Target::etcd()?, method, key)
            .await
            .with_context(|| format!("etcd with {method}"))?;
        a_change_makes_signed_tokens_old(&Target::mainstay()?, method, key)
            .await
            .with_context(|| format!("ours with {method}"))?;
    }
    Ok(())
}

/// Both hold the same keys, so what the one signs the other takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcds_signed_tokens_are_good_here_and_ours_there() -> Result<()> {
    let flag = jwt_flag("ES256", "ec256");
    let mut clients = Vec::new();
    let mut clusters = Vec::new();
    let mut tokens = Vec::new();
    for target in [Target::etcd()?, Target::mainstay()?] {
        let cluster = start(&target, &[&flag]).await?;
        let mut client = cluster.client(0).await?;
        enable_with_ann(&mut client).await?;
        tokens.push(
            authenticate(&mut client, "ann", "annpw")
                .await?
                .into_inner(),
        );
        clients.push(client);
        clusters.push(cluster);
    }
    for client in &mut clients {
        for token in &tokens {
            client.kv.range(signed(Some(token), range("a", ""))).await?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simple_token_ends_when_it_is_not_used() -> Result<()> {
    let cluster = start(&Target::mainstay()?, &["--auth-token-ttl=5"]).await?;
    let mut client = cluster.client(0).await?;
    enable_with_ann(&mut client).await?;
    let token = authenticate(&mut client, "ann", "annpw")
        .await?
        .into_inner();
    let idle = authenticate(&mut client, "ann", "annpw")
        .await?
        .into_inner();
    let began = Instant::now();
    let ask = |token: &str| signed(Some(token), range("a", ""));
    // One is used, the other is not.
    while began.elapsed() < Duration::from_secs(12) {
        client.kv.range(ask(&token)).await?;
        sleep(POLL_INTERVAL).await;
    }
    assert_eq!(refusal(client.kv.range(ask(&idle)).await)?, INVALID);
    Ok(())
}

/// etcdctl's commands about users and roles, and in the name of users.
const SCRIPT: &str = "
auth enable
user add root:pw
role add root
user grant-role root root
user add ann:secret
user add cert --no-password
user add ann:x
user list
role add some
role add some
role grant-permission some readwrite /a /b
role grant-permission some read k
role grant-permission some write --prefix w
role grant-permission some readwrite --from-key z
role get some
role list
user grant-role ann some
user grant-role ann none
user grant-role bob some
user get ann
user get ann --detail
auth enable
put x 1
--user root:bad put x 1
--user root:pw put x 1
--user ann:secret put /a/1 v
--user ann:secret get /a/1
--user ann:secret get x
--user ann:secret get /a /b
--user ann:secret get / 0
--user ann:secret put w1 v --prev-kv
--user ann:secret put w1 v
--user ann:secret del w --prefix
--user ann:secret del w --prefix --prev-kv
--user ann:secret get z --from-key
--user ann:secret watch x
--user ann:secret user list
--user ann:secret user get ann
--user ann:secret user get root
--user ann:secret role get some
--user ann:secret role get root
--user ann:secret role list
--user ann:secret role delete some
--user cert:x get x
--user nobody:x get x
--user root:pw user delete root
--user root:pw role delete root
--user root:pw user revoke-role root root
--user root:pw role revoke-permission some k
--user root:pw role revoke-permission some k
--user root:pw role revoke-permission some --from-key z
--user root:pw user revoke-role ann some
--user root:pw user revoke-role ann some
--user ann:secret get /a/1
--user root:pw user passwd ann --interactive=false
--user ann:second user get ann
--user ann:secret user get ann
--user root:pw role delete some
--user root:pw role delete some
--user root:pw user delete ann
--user root:pw auth disable
get x
";

/// Exit code and what was printed for a user to read.
fn etcdctl_says(url: &str, line: &str) -> Result<String> {
    let mut child = std::process::Command::new(etcdctl()?)
        .env("ETCDCTL_API", "3")
        .args(["--endpoints", url])
        .args(line.split_whitespace())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("a piped input")?;
    std::io::Write::write_all(&mut stdin, b"second\n").ok();
    drop(stdin);
    let output = child.wait_with_output()?;
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).replace(url, "URL");
    // etcdctl's log lines carry times.
    let printed: Vec<&str> = printed
        .lines()
        .filter(|line| !line.starts_with('{'))
        .collect();
    Ok(format!("{}\n{}", output.status, printed.join("\n")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcdctl_prints_the_same_about_users_and_roles() -> Result<()> {
    let etcd = start(&Target::etcd()?, &[]).await?;
    let mainstay = start(&Target::mainstay()?, &[]).await?;
    let mut differences = Vec::new();
    for line in SCRIPT.lines().filter(|line| !line.is_empty()) {
        let wanted = etcdctl_says(&etcd.members[0].client_url(), line)?;
        let found = etcdctl_says(&mainstay.members[0].client_url(), line)?;
        if wanted != found {
            differences.push(format!(
                "etcdctl {line}\n-- etcd:\n{wanted}\n-- ours:\n{found}"
            ));
        }
    }
    ensure!(differences.is_empty(), "{}", differences.join("\n\n"));
    Ok(())
}

//! Downgrades: what the cluster passes for meanwhile. The texts and answers are those that etcd 3.6.16 gave to its own etcdctl.

use anyhow::{Result, ensure};
use interop::auth::{authenticate, grant_role, signed, user_add};
use interop::client::Client;
use interop::cluster::{Cluster, Options};
use interop::http;
use interop::snapshots::{mainstay, run, succeed};
use interop::target::Target;
use proto::etcdserverpb::downgrade_request::DowngradeAction as Action;
use proto::etcdserverpb::{AuthEnableRequest, AuthRoleAddRequest, DowngradeRequest, StatusRequest};

const FORMAT: &str = "InvalidArgument etcdserver: wrong downgrade target version format";
const TARGET: &str = "InvalidArgument etcdserver: invalid downgrade target version";
const UNDER_WAY: &str = "FailedPrecondition etcdserver: cluster has a downgrade job in progress";

async fn ask(client: &mut Client, action: i32, version: &str) -> String {
    let request = DowngradeRequest {
        action,
        version: version.to_owned(),
    };
    match client.maintenance.downgrade(request).await {
        Ok(answer) => format!("cluster version {}", answer.into_inner().version),
        Err(status) => format!("{:?} {}", status.code(), status.message()),
    }
}

/// What is told of the cluster: storage version, downgrade, the page and the metric.
async fn seen(cluster: &Cluster, index: usize) -> Result<String> {
    let mut client = cluster.client(index).await?;
    client.get("barrier").await?;
    let status = client
        .maintenance
        .status(StatusRequest {})
        .await?
        .into_inner();
    let info = status.downgrade_info.unwrap_or_default();
    let port = cluster.members[index].client_port;
    let page: serde_json::Value = serde_json::from_str(&http::get(port, "/version")?.body)?;
    let metrics = http::get(port, "/metrics")?.body;
    let metric = metrics
        .lines()
        .find(|line| line.starts_with("etcd_cluster_version"));
    Ok(format!(
        "{} {} {:?} {} {} {}",
        status.storage_version,
        info.enabled,
        info.target_version,
        page["etcdcluster"],
        page["storage"],
        metric.unwrap_or_default()
    ))
}

const BEFORE: &str =
    r#"3.6.0 false "" "3.6.0" "3.6.0" etcd_cluster_version{cluster_version="3.6"} 1"#;
const MEANWHILE: &str =
    r#"3.5.0 true "3.5.0" "3.5.0" "3.5.0" etcd_cluster_version{cluster_version="3.5"} 1"#;

#[tokio::test]
async fn a_downgrade_is_validated_enabled_and_cancelled_as_on_etcd() -> Result<()> {
    let mut cluster = Cluster::start(&Target::mainstay()?, &Options::steady_three()).await?;
    let (validate, enable, cancel) = (
        Action::Validate as i32,
        Action::Enable as i32,
        Action::Cancel as i32,
    );
    let mut client = cluster.client(1).await?;
    for (action, version, answer) in [
        (validate, "3.5", "cluster version 3.6"),
        (validate, "3.5.9", "cluster version 3.6"),
        (validate, "03.5", "cluster version 3.6"),
        (validate, "3.4", TARGET),
        (validate, "3.6", TARGET),
        (validate, "3.x", FORMAT),
        (validate, "3", FORMAT),
        (validate, "", FORMAT),
        (cancel, "", "cluster version 3.6"),
        (enable, "3.4", TARGET),
        (7, "3.5", "Unknown etcdserver: unknown method"),
    ] {
        assert_eq!(ask(&mut client, action, version).await, answer, "{version}");
    }
    assert_eq!(seen(&cluster, 0).await?, BEFORE);
    assert_eq!(ask(&mut client, enable, "3.5").await, "cluster version 3.6");
    for index in 0..3 {
        assert_eq!(seen(&cluster, index).await?, MEANWHILE);
    }
    // It is stored.
    cluster.kill_all()?;
    cluster.start_all().await?;
    assert_eq!(seen(&cluster, 2).await?, MEANWHILE);
    let mut client = cluster.client(0).await?;
    for (action, version, answer) in [
        (validate, "3.5", TARGET),
        (enable, "3.5", TARGET),
        (validate, "3.4", UNDER_WAY),
        (enable, "3.4", UNDER_WAY),
        (cancel, "", "cluster version 3.5"),
        (cancel, "", "cluster version 3.6"),
        (validate, "3.5", "cluster version 3.6"),
    ] {
        assert_eq!(ask(&mut client, action, version).await, answer, "{version}");
    }
    assert_eq!(seen(&cluster, 0).await?, BEFORE);
    Ok(())
}

#[tokio::test]
async fn ctl_speaks_of_downgrades_as_etcdctl_does() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let url = cluster.members[0].client_url();
    let line = |words: &[&'static str]| [&["ctl", "--endpoints", url.as_str()], words].concat();
    for (words, said) in [
        (
            &["downgrade", "validate", "3.5"][..],
            "Downgrade validate success, cluster version 3.6\n",
        ),
        (
            &["downgrade", "enable", "3.5"],
            "Downgrade enable success, cluster version 3.6\n",
        ),
        (
            &["downgrade", "cancel"],
            "Downgrade cancel success, cluster version 3.5\n",
        ),
    ] {
        assert_eq!(succeed(&mainstay()?, &line(words))?, said);
    }
    for (words, code, said) in [
        (
            &["downgrade", "validate", "3.4"][..],
            1,
            "Error: etcdserver: invalid downgrade target version\n",
        ),
        (
            &["downgrade", "enable", ""],
            128,
            "Error: target version not provided\n",
        ),
    ] {
        let output = run(&mainstay()?, &line(words))?;
        assert_eq!(String::from_utf8(output.stderr)?, said);
        assert_eq!(output.status.code(), Some(code));
    }
    Ok(())
}

/// A file made during a downgrade says what etcd's would: its storage names no version, as that of 3.5 does not.
#[tokio::test]
async fn a_snapshot_file_made_meanwhile_is_one_of_the_release_before() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = cluster.client(0).await?;
    client.put("k", "v").await?;
    let url = cluster.members[0].client_url();
    let file = cluster.dir().join("meanwhile.db");
    let file = file.to_str().expect("folders of tests have plain names");
    let version = || -> Result<String> {
        succeed(
            &mainstay()?,
            &["ctl", "--endpoints", &url, "snapshot", "save", file],
        )?;
        let status = succeed(
            &mainstay()?,
            &["ctl", "snapshot", "status", file, "-w", "json"],
        )?;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        std::fs::remove_file(file)?;
        Ok(status["version"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(version()?, "3.6.0");
    ask(&mut client, Action::Enable as i32, "3.5").await;
    assert_eq!(version()?, "");
    Ok(())
}

#[tokio::test]
async fn a_downgrade_is_for_root() -> Result<()> {
    let cluster = Cluster::start(&Target::mainstay()?, &Options::default()).await?;
    let mut client = cluster.client(0).await?;
    client.auth.user_add(user_add("root", "secret")).await?;
    client.auth.user_add(user_add("ann", "word")).await?;
    let role = AuthRoleAddRequest {
        name: "root".into(),
    };
    client.auth.role_add(role).await?;
    client
        .auth
        .user_grant_role(grant_role("root", "root"))
        .await?;
    client.auth.auth_enable(AuthEnableRequest {}).await?;
    let ann = authenticate(&mut client, "ann", "word").await?.into_inner();
    let root = authenticate(&mut client, "root", "secret")
        .await?
        .into_inner();
    let mut answers = Vec::new();
    for token in [None, Some(ann.as_str()), Some(root.as_str())] {
        for action in [Action::Validate, Action::Enable, Action::Cancel] {
            let request = DowngradeRequest {
                action: action.into(),
                version: "3.5".to_owned(),
            };
            let answer = client.maintenance.downgrade(signed(token, request)).await;
            answers.push(match answer {
                Ok(_) => "served".to_owned(),
                Err(status) => status.message().to_owned(),
            });
        }
    }
    let denied = "etcdserver: permission denied";
    ensure!(
        answers[..3]
            .iter()
            .all(|answer| answer == "etcdserver: user name is empty"),
        "{answers:?}"
    );
    ensure!(
        answers[3..6].iter().all(|answer| answer == denied),
        "{answers:?}"
    );
    ensure!(
        answers[6..].iter().all(|answer| answer == "served"),
        "{answers:?}"
    );
    Ok(())
}

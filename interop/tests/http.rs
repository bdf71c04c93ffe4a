//! Plain HTTP on the ports for clients: who may ask, what is where, and what the gateway refuses.

use anyhow::{Context, Result};
use interop::client::ANSWER_TIMEOUT;
use interop::cluster::{Cluster, Options, POLL_INTERVAL, free_port};
use interop::http::{self, Request};
use interop::target::Target;
use interop::text::base64;
use interop::tls::cluster::{CLIENTS, Pki, both, running};
use proto::etcdserverpb::{
    AuthEnableRequest, AuthRoleAddRequest, AuthUserAddRequest, AuthUserGrantRoleRequest,
};
use serde_json::{Value, json};

/// What a browser would see of an answer: its status, whom it lets read, and the reason of a refusal.
fn seen(port: u16, method: &str, path: &str, headers: &[(&str, &str)]) -> Result<String> {
    let request = Request {
        method,
        path,
        headers,
        body: "",
    };
    let answer = http::send(port, &request)?;
    let allowed = ["origin", "methods", "headers"]
        .map(|what| answer.header(&format!("access-control-allow-{what}")));
    let reason = if answer.status == 421 {
        answer.body.as_str()
    } else {
        ""
    };
    let status = answer.status;
    Ok(format!(
        "{method} {path} {headers:?}: {status} {allowed:?} {reason}"
    ))
}

#[tokio::test]
async fn names_and_origins_are_checked_as_by_etcd() -> Result<()> {
    let options = Options {
        in_memory: true,
        flags: vec![
            "--host-whitelist=127.0.0.1,good.example".to_owned(),
            "--cors=http://127.0.0.1:8080,http://127.0.0.1:8081".to_owned(),
        ],
        ..Options::default()
    };
    let mut told = Vec::new();
    for target in [Target::etcd()?, Target::mainstay()?] {
        let cluster = Cluster::start(&target, &options).await?;
        let port = cluster.members[0].client_port;
        let mut answers = Vec::new();
        for host in [
            "127.0.0.1:1",
            "good.example",
            "evil.example:2379",
            "[::1]:2379",
        ] {
            for origin in ["http://127.0.0.1:8080", "http://evil.example"] {
                let headers = [("Host", host), ("Origin", origin)];
                answers.push(seen(port, "GET", "/version", &headers)?);
                answers.push(seen(port, "OPTIONS", "/v3/kv/range", &headers)?);
                answers.push(seen(port, "POST", "/v3/kv/range", &headers)?);
            }
        }
        told.push(answers);
    }
    assert_eq!(told[1], told[0]);
    let refused = told[1]
        .iter()
        .filter(|answer| answer.contains("): 421 ") || answer.contains("]: 421 "));
    assert_eq!(refused.count(), 12);
    Ok(())
}

/// With flags of its own for HTTP, the client port has gRPC alone.
#[tokio::test]
async fn ports_have_what_they_are_for() -> Result<()> {
    let (http_port, metrics_port) = (free_port()?, free_port()?);
    let options = Options {
        in_memory: true,
        flags: vec![
            format!("--listen-client-http-urls=http://127.0.0.1:{http_port}"),
            format!("--listen-metrics-urls=http://127.0.0.1:{metrics_port}"),
        ],
        ..Options::default()
    };
    let cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let grpc_port = cluster.members[0].client_port;
    let pages = [
        "/health",
        "/version",
        "/debug/vars",
        "/metrics",
        "/v3/nothing",
    ];
    let statuses = |port| -> Result<Vec<u16>> {
        let statuses = pages.iter().map(|page| Ok(http::get(port, page)?.status));
        statuses.collect()
    };
    assert_eq!(statuses(http_port)?, [200, 200, 200, 200, 404]);
    assert_eq!(statuses(metrics_port)?, [200, 404, 404, 200, 404]);
    assert_eq!(statuses(grpc_port)?, [415; 5]);
    let put = json!({"key": base64("a")}).to_string();
    assert_eq!(http::post(http_port, "/v3/kv/put", &put)?.status, 200);
    assert_eq!(http::post(metrics_port, "/v3/kv/put", &put)?.status, 404);
    let variables: Value = serde_json::from_str(&http::get(http_port, "/debug/vars")?.body)?;
    assert_eq!(variables["raft.status"]["raftState"], "StateLeader");
    assert!(variables["cmdline"][1] == "store", "{variables}");
    Ok(())
}

#[tokio::test]
async fn a_gateway_that_is_off_is_not_there() -> Result<()> {
    let options = Options {
        in_memory: true,
        flags: vec!["--enable-grpc-gateway=false".to_owned()],
        ..Options::default()
    };
    let cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let port = cluster.members[0].client_port;
    assert_eq!(http::post(port, "/v3/kv/range", "{}")?.status, 404);
    assert_eq!(http::get(port, "/version")?.status, 200);
    Ok(())
}

/// The value of a metric without labels.
fn metric(port: u16, name: &str) -> Result<u64> {
    let page = http::get(port, "/metrics")?.body;
    let line = page.lines().find_map(|line| line.strip_prefix(name));
    let value = line.with_context(|| format!("{name} is not there"))?;
    Ok(value.trim().parse()?)
}

#[tokio::test]
async fn a_client_that_goes_takes_its_streams_along() -> Result<()> {
    const STREAMS: &str = "etcd_debugging_mvcc_watch_stream_total ";
    const CONNECTIONS: &str = "mainstay_client_connections ";
    let options = Options {
        in_memory: true,
        ..Options::default()
    };
    let cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let port = cluster.members[0].client_port;
    let create = json!({"create_request": {"key": base64("a")}}).to_string();
    let observe = json!({"name": base64("nobody")}).to_string();
    let request = |path, body| Request {
        method: "POST",
        path,
        headers: &[],
        body,
    };
    let mut watch = http::open(port, &request("/v3/watch", &create))?;
    watch.line()?.context("the watch is made")?;
    // Nobody leads, so there is not even a head yet.
    let silent = http::begin(port, &request("/v3/election/observe", &observe))?;
    wait(|| Ok(metric(port, STREAMS)? >= 1 && metric(port, CONNECTIONS)? >= 3)).await?;
    drop((watch, silent));
    // One connection is the one that asks.
    wait(|| Ok(metric(port, STREAMS)? == 0 && metric(port, CONNECTIONS)? == 1)).await
}

/// Returns once it is so.
async fn wait(so: impl Fn() -> Result<bool>) -> Result<()> {
    let polled = async {
        while !so()? {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    };
    tokio::time::timeout(ANSWER_TIMEOUT, polled).await?
}

/// What etcd 3.6.16 answers, where 3.4.23 says it in other words.
#[tokio::test]
async fn refusals_are_those_of_the_newer_etcd() -> Result<()> {
    let options = Options {
        in_memory: true,
        ..Options::default()
    };
    let cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let port = cluster.members[0].client_port;
    for (path, body, status, answer) in [
        ("/v3/nope", "{}", 404, r#"{"code":5,"message":"Not Found"}"#),
        ("/v3/", "{}", 404, r#"{"code":5,"message":"Not Found"}"#),
        (
            "/v3/kv/range/",
            "{}",
            404,
            r#"{"code":5,"message":"Not Found"}"#,
        ),
        ("/v3alpha/kv/range", "{}", 404, "404 page not found\n"),
        (
            "/v3beta/kv/range",
            "{}",
            400,
            r#"{"code":3,"message":"etcdserver: key is not provided"}"#,
        ),
        (
            "/v3/kv/range",
            r#"{"key":"#,
            400,
            r#"{"code":3,"message":"unexpected EOF"}"#,
        ),
        (
            "/v3/auth/enable",
            "{}",
            400,
            r#"{"code":9,"message":"etcdserver: root user does not exist"}"#,
        ),
    ] {
        let given = http::post(port, path, body)?;
        assert_eq!(
            (given.status, given.body.as_str()),
            (status, answer),
            "{path} {body}"
        );
    }
    for body in [
        "[]",
        "null",
        "7",
        r#"{"key":"!"}"#,
        r#"{"key":7}"#,
        r#"{"limit":"x"}"#,
        r#"{"limit":1e30}"#,
    ] {
        let given = http::post(port, "/v3/kv/range", body)?;
        let refusal: Value = serde_json::from_str(&given.body)?;
        assert_eq!((given.status, &refusal["code"]), (400, &json!(3)), "{body}");
        assert!(
            refusal["message"]
                .as_str()
                .is_some_and(|text| text.starts_with("proto: ")),
            "{refusal}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn errors_are_told_where_they_happen() -> Result<()> {
    let options = Options {
        in_memory: true,
        ..Options::default()
    };
    let cluster = Cluster::start(&Target::mainstay()?, &options).await?;
    let port = cluster.members[0].client_port;
    assert_eq!(http::get(port, "/v3/kv/range")?.status, 501);
    let too_long = http::post(port, "/v3/kv/range", &" ".repeat(5 << 20))?;
    assert_eq!(too_long.status, 429, "{}", too_long.body);
    // An error in a stream is told where the stream stands.
    let broken = http::post(port, "/v3/lease/keepalive", r#"{"ID":1}{"ID":"#)?;
    let lines: Vec<&str> = broken.body.lines().collect();
    assert_eq!((broken.status, lines.len()), (200, 2), "{lines:?}");
    assert_eq!(
        lines[1],
        r#"{"error":{"code":3,"message":"unexpected EOF"}}"#
    );
    let broken = http::post(port, "/v3/watch", "[]")?;
    assert_eq!(broken.status, 400, "{}", broken.body);
    Ok(())
}

/// The common name of a certificate says who asks over gRPC alone: behind the gateway it would be lost, so who has one
/// is told. Over TLS any host name is good.
#[tokio::test]
async fn a_certificate_with_a_name_is_no_ticket_for_the_gateway() -> Result<()> {
    let pki = Pki::new()?;
    let mut flags = pki.mutual();
    flags.push("--host-whitelist=elsewhere".to_owned());
    let mut told = Vec::new();
    for target in both()? {
        let cluster = running(&target, CLIENTS, &flags, &pki.caller()).await?;
        let port = cluster.members[0].client_port;
        let before = pki.caller().page(port, "/v3/nothing").await?;
        assert!(before.starts_with("HTTP/1.1 404"), "{before}");
        let mut client = pki.caller().client(port)?;
        let root = || "root".to_owned();
        client
            .auth
            .user_add(AuthUserAddRequest {
                name: root(),
                password: root(),
                ..Default::default()
            })
            .await?;
        client
            .auth
            .role_add(AuthRoleAddRequest { name: root() })
            .await?;
        let grant = AuthUserGrantRoleRequest {
            user: root(),
            role: root(),
        };
        client.auth.user_grant_role(grant).await?;
        client.auth.auth_enable(AuthEnableRequest {}).await?;
        let mut answers = Vec::new();
        for path in ["/v3/kv/range", "/v3beta/kv/range", "/version"] {
            let answer = pki.caller().page(port, path).await?;
            let (head, body) = answer.split_once("\r\n\r\n").context("a whole answer")?;
            let status = head.split(' ').nth(1).context("a status")?.to_owned();
            let text = body
                .lines()
                .next()
                .filter(|text| text.starts_with("CommonName"));
            answers.push((status, text.map(str::to_owned)));
        }
        told.push(answers);
    }
    assert_eq!(told[0], told[1]);
    assert!(
        told[0][..2]
            .iter()
            .all(|(status, text)| status == "400" && text.is_some())
    );
    assert_eq!(told[0][2].0, "200");
    Ok(())
}

//! The JSON gateway: one story is told to etcd and to ours.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use interop::cluster::{Cluster, Options};
use interop::http::{self, Request};
use interop::target::Target;
use interop::text::base64;
use serde_json::{Value, json};

/// Every path of the gateway that etcd 3.4.23 has too, behind `/v3/`.
const PATHS: &[&str] = &[
    "kv/range",
    "kv/put",
    "kv/deleterange",
    "kv/txn",
    "kv/compaction",
    "watch",
    "lease/grant",
    "lease/revoke",
    "kv/lease/revoke",
    "lease/keepalive",
    "lease/timetolive",
    "kv/lease/timetolive",
    "lease/leases",
    "kv/lease/leases",
    "cluster/member/add",
    "cluster/member/remove",
    "cluster/member/update",
    "cluster/member/list",
    "cluster/member/promote",
    "maintenance/alarm",
    "maintenance/status",
    "maintenance/defragment",
    "maintenance/hash",
    "maintenance/snapshot",
    "maintenance/transfer-leadership",
    "auth/enable",
    "auth/disable",
    "auth/authenticate",
    "auth/user/add",
    "auth/user/get",
    "auth/user/list",
    "auth/user/delete",
    "auth/user/changepw",
    "auth/user/grant",
    "auth/user/revoke",
    "auth/role/add",
    "auth/role/get",
    "auth/role/list",
    "auth/role/delete",
    "auth/role/grant",
    "auth/role/revoke",
    "lock/lock",
    "lock/unlock",
    "election/campaign",
    "election/proclaim",
    "election/leader",
    "election/observe",
    "election/resign",
];

/// Members of answers that differ between any two servers; only whether they are there is compared.
const OWN: &[&str] = &[
    "cluster_id",
    "member_id",
    "raft_term",
    "raftTerm",
    "raftIndex",
    "raftAppliedIndex",
    "leader_id",
    "dbSize",
    "dbSizeInUse",
    "version",
    "clientURLs",
    "peerURLs",
    "remaining_bytes",
    "blob",
    "hash",
];

/// Members that only one of the releases of etcd has.
const NEWER: &[&str] = &[
    "storageVersion",
    "dbSizeQuota",
    "downgradeInfo",
    "compact_revision",
    "hash_revision",
];

fn without_own(value: &mut Value) {
    match value {
        Value::Object(members) => {
            // The key-value's `version` is a count, and the same everywhere.
            let is_key_value = members.contains_key("mod_revision");
            members.retain(|name, _| is_key_value || !NEWER.contains(&name.as_str()));
            for (name, value) in members {
                if OWN.contains(&name.as_str()) && !is_key_value {
                    *value = json!("set");
                } else {
                    without_own(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_own),
        _ => {}
    }
}

/// An answer in the form in which the releases of etcd agree.
fn normal(status: u16, json: &str) -> Result<(u16, Value)> {
    let mut value: Value =
        serde_json::from_str(json).with_context(|| format!("{status}, not JSON: {json:?}"))?;
    without_own(&mut value);
    if let Some(refusal) = value.as_object_mut()
        && refusal.contains_key("code")
    {
        refusal.remove("error");
    }
    // 412 is what grpc-gateway's first version has for a failed precondition.
    Ok((if status == 412 { 400 } else { status }, value))
}

/// One server and what has been asked of it.
struct Side {
    cluster: Cluster,
    asked: BTreeSet<String>,
    /// What it answered, in normal form, with the request before it.
    told: Vec<(String, u16, Value)>,
}

impl Side {
    async fn start(target: Target) -> Result<Side> {
        let options = Options {
            in_memory: true,
            ..Options::default()
        };
        Ok(Side {
            cluster: Cluster::start(&target, &options).await?,
            asked: BTreeSet::new(),
            told: Vec::new(),
        })
    }

    fn port(&self) -> u16 {
        self.cluster.members[0].client_port
    }

    fn ask(&mut self, path: &str, body: Value) -> Result<(u16, Value)> {
        self.ask_text(path, &body.to_string())
    }

    fn ask_text(&mut self, path: &str, body: &str) -> Result<(u16, Value)> {
        let answer = http::post(self.port(), &format!("/v3/{path}"), body)?;
        self.asked.insert(path.to_owned());
        let (status, value) = normal(answer.status, &answer.body)?;
        self.told
            .push((format!("{path} {body}"), status, value.clone()));
        Ok((status, value))
    }

    fn stream(&mut self, path: &str, body: &str) -> Result<http::Stream> {
        self.asked.insert(path.to_owned());
        let request = Request {
            method: "POST",
            path: &format!("/v3/{path}"),
            headers: &[],
            body,
        };
        http::open(self.port(), &request)
    }

    /// Notes the next line of a stream.
    fn line(&mut self, name: &str, stream: &mut http::Stream) -> Result<Value> {
        let line = stream.line()?.context("the stream goes on")?;
        let (status, value) = normal(stream.status, &line)?;
        self.told.push((name.to_owned(), status, value.clone()));
        Ok(value)
    }
}

fn keys(side: &mut Side) -> Result<()> {
    let (a, b) = (base64("a"), base64("b"));
    side.ask("kv/put", json!({"key": a, "value": base64("one")}))?;
    side.ask(
        "kv/put",
        json!({"key": b, "value": base64("two"), "lease": "0"}),
    )?;
    let put = json!({"key": a, "value": base64("three"), "prev_kv": true});
    side.ask("kv/put", put)?;
    side.ask("kv/range", json!({"key": a}))?;
    // Numbers as numbers and as strings, enums by name and by number, names in both spellings, unknown ones.
    let all = json!({
        "key": a, "range_end": base64("z"), "limit": "1", "sort_order": "DESCEND", "sort_target": 3, "nothing": {},
    });
    side.ask("kv/range", all)?;
    let all = json!({"key": a, "rangeEnd": base64("z"), "limit": 5, "keysOnly": true});
    side.ask("kv/range", all)?;
    side.ask("kv/range", json!({"key": a, "revision": 2}))?;
    side.ask("kv/range", json!({"key": a, "revision": "1000"}))?;
    side.ask("kv/range", json!({"key": base64("nothing")}))?;
    side.ask_text("kv/range", "")?;
    side.ask_text("kv/range", "{}")?;
    side.ask_text("kv/range", &format!("{{\"key\":\"{a}\"}} and more"))?;
    let txn = json!({
        "compare": [{"key": a, "target": "VALUE", "result": "EQUAL", "value": base64("three")}],
        "success": [
            {"request_put": {"key": base64("c"), "value": base64("four")}},
            {"request_range": {"key": a}},
        ],
        "failure": [{"request_delete_range": {"key": a}}],
    });
    side.ask("kv/txn", txn.clone())?;
    side.ask("kv/txn", txn)?;
    let version = json!({"compare": [{"key": a, "target": "VERSION", "result": 1, "version": "7"}], "failure": [{
        "request_txn": {"success": [{"request_range": {"key": b}}]},
    }]});
    side.ask("kv/txn", version)?;
    side.ask(
        "kv/deleterange",
        json!({"key": base64("c"), "prev_kv": true}),
    )?;
    side.ask("kv/compaction", json!({"revision": "4"}))?;
    side.ask("kv/compaction", json!({"revision": "4"}))?;
    side.ask("kv/range", json!({"key": a, "revision": 2}))?;
    side.ask(
        "kv/put",
        json!({"key": a, "value": base64(&"x".repeat(1_600_000))}),
    )?;
    side.ask(
        "kv/put",
        json!({"key": a, "value": base64(&"x".repeat(3_000_000))}),
    )?;
    Ok(())
}

fn leases(side: &mut Side) -> Result<()> {
    side.ask("lease/grant", json!({"TTL": 600, "ID": "7001"}))?;
    side.ask("lease/grant", json!({"TTL": "600", "ID": 7001}))?;
    side.ask("lease/grant", json!({"TTL": "600", "ID": 7002}))?;
    let key = base64("leased");
    side.ask("kv/put", json!({"key": key, "value": "", "lease": 7001}))?;
    for path in ["lease/timetolive", "kv/lease/timetolive"] {
        let (_, left) = side.ask(path, json!({"ID": 7001, "keys": true}))?;
        ensure!(left["keys"] == json!([key]), "{left}");
        // Seconds that are left may differ by the time in between.
        side.told.pop();
        side.ask(path, json!({"ID": 1}))?;
    }
    for path in ["lease/leases", "kv/lease/leases"] {
        let (_, mut leases) = side.ask(path, json!({}))?;
        let mut ids: Vec<String> = leases["leases"]
            .as_array_mut()
            .context("a list of leases")?
            .iter()
            .map(|lease| lease["ID"].to_string())
            .collect();
        ids.sort();
        side.told.pop();
        ensure!(ids == ["\"7001\"", "\"7002\""], "{ids:?}");
    }
    let mut alive = side.stream("lease/keepalive", r#"{"ID":7001} {"ID":"1"}{"ID":"7002"}"#)?;
    for _ in 0..3 {
        side.line("keepalive", &mut alive)?;
    }
    ensure!(alive.line()?.is_none(), "the last answer ends the stream");
    side.ask("lease/revoke", json!({"ID": "7001"}))?;
    side.ask("kv/lease/revoke", json!({"ID": 7002}))?;
    side.ask("lease/revoke", json!({"ID": 7002}))?;
    Ok(())
}

fn watches(side: &mut Side) -> Result<()> {
    let key = base64("watched");
    let requests = format!(
        r#"{{"create_request":{{"key":"{key}","prev_kv":true}}}}
           {{"createRequest":{{"key":"{key}","filters":["NOPUT"],"watch_id":"9"}}}}
           {{"cancel_request":{{"watch_id":9}}}}"#
    );
    let mut watch = side.stream("watch", &requests)?;
    for _ in 0..3 {
        side.line("watch", &mut watch)?;
    }
    for value in ["1", "2"] {
        side.ask("kv/put", json!({"key": key, "value": base64(value)}))?;
        side.line("watch", &mut watch)?;
    }
    side.ask("kv/deleterange", json!({"key": key}))?;
    let event = side.line("watch", &mut watch)?;
    ensure!(event["result"]["events"][0]["type"] == "DELETE", "{event}");
    drop(watch);
    let late = format!(r#"{{"create_request":{{"key":"{key}","start_revision":1}}}}"#);
    let mut watch = side.stream("watch", &late)?;
    side.line("watch", &mut watch)?;
    let compacted = side.line("watch", &mut watch)?;
    ensure!(compacted["result"]["canceled"] == true, "{compacted}");
    // What is compacted is told in other members by the releases.
    side.told.pop();
    Ok(())
}

fn locks(side: &mut Side) -> Result<()> {
    side.ask("lease/grant", json!({"TTL": 600, "ID": 8001}))?;
    let (_, lock) = side.ask("lock/lock", json!({"name": base64("l"), "lease": 8001}))?;
    side.ask("lock/unlock", json!({"key": lock["key"]}))?;
    let name = base64("e");
    side.ask("election/leader", json!({"name": name}))?;
    let campaign = json!({"name": name, "lease": 8001, "value": base64("me")});
    let (_, won) = side.ask("election/campaign", campaign)?;
    let mut observe = side.stream("election/observe", &json!({"name": name}).to_string())?;
    side.line("observe", &mut observe)?;
    let leader = won["leader"].clone();
    side.ask(
        "election/proclaim",
        json!({"leader": leader, "value": base64("still me")}),
    )?;
    side.line("observe", &mut observe)?;
    side.ask("election/leader", json!({"name": name}))?;
    side.ask("election/resign", json!({"leader": leader}))?;
    side.ask("election/resign", json!({}))?;
    Ok(())
}

fn maintenance(side: &mut Side) -> Result<()> {
    let (_, status) = side.ask("maintenance/status", json!({}))?;
    // The leader's id is a member's id.
    let leader = status["leader"].clone();
    side.told.pop();
    ensure!(leader.is_string(), "{status}");
    let raised = json!({"memberID": "5", "alarm": 2});
    for action in [json!("ACTIVATE"), json!(0), json!("DEACTIVATE")] {
        let mut request = raised.clone();
        request["action"] = action;
        side.ask("maintenance/alarm", request)?;
        // Old releases leave out the header.
        if let Some((_, _, Value::Object(answer))) = side.told.last_mut() {
            answer.remove("header");
        }
    }
    side.ask("maintenance/defragment", json!({}))?;
    side.ask("maintenance/hash", json!({}))?;
    side.ask("maintenance/transfer-leadership", json!({"targetID": "1"}))?;
    side.ask("cluster/member/list", json!({}))?;
    let (_, _, members) = side.told.pop().context("the list was noted")?;
    ensure!(members["members"][0]["name"] == "member-1", "{members}");
    let mut snapshot = side.stream("maintenance/snapshot", "{}")?;
    let line = snapshot.line()?.context("a line")?;
    ensure!(line.starts_with("{\"result\":{"), "{line}");
    Ok(())
}

fn members(side: &mut Side) -> Result<()> {
    side.ask("cluster/member/remove", json!({"ID": "1"}))?;
    side.ask("cluster/member/promote", json!({"ID": "1"}))?;
    side.ask("cluster/member/add", json!({"peerURLs": ["not a url"]}))?;
    side.ask(
        "cluster/member/update",
        json!({"ID": "1", "peerURLs": ["http://127.0.0.1:1"]}),
    )?;
    Ok(())
}

fn users(side: &mut Side) -> Result<()> {
    side.ask(
        "auth/user/add",
        json!({"name": "ann", "password": "secret"}),
    )?;
    side.ask("auth/role/add", json!({"name": "reader"}))?;
    let permission = json!({"permType": "READ", "key": base64("a"), "range_end": base64("b")});
    side.ask(
        "auth/role/grant",
        json!({"name": "reader", "perm": permission}),
    )?;
    side.ask("auth/role/get", json!({"role": "reader"}))?;
    side.ask("auth/role/list", json!({}))?;
    side.ask("auth/user/grant", json!({"user": "ann", "role": "reader"}))?;
    side.ask("auth/user/get", json!({"name": "ann"}))?;
    side.ask("auth/user/list", json!({}))?;
    side.ask(
        "auth/user/changepw",
        json!({"name": "ann", "password": "other"}),
    )?;
    side.ask("auth/user/revoke", json!({"name": "ann", "role": "reader"}))?;
    let revoked = json!({"role": "reader", "key": base64("a"), "range_end": base64("b")});
    side.ask("auth/role/revoke", revoked)?;
    side.ask("auth/role/delete", json!({"role": "reader"}))?;
    side.ask("auth/user/delete", json!({"name": "ann"}))?;
    side.ask("auth/user/get", json!({"name": "ann"}))?;
    Ok(())
}

fn authentication(side: &mut Side) -> Result<()> {
    side.ask("auth/enable", json!({}))?;
    side.ask("auth/disable", json!({}))?;
    side.ask(
        "auth/authenticate",
        json!({"name": "ann", "password": "secret"}),
    )?;
    Ok(())
}

/// Who asks is told by the token in a header.
fn tokens(side: &mut Side) -> Result<()> {
    let root = json!({"name": "root", "password": "secret"});
    side.ask("auth/user/add", root.clone())?;
    side.ask("auth/role/add", json!({"name": "root"}))?;
    side.ask("auth/user/grant", json!({"user": "root", "role": "root"}))?;
    side.ask("auth/enable", json!({}))?;
    side.ask("kv/range", json!({"key": base64("a")}))?;
    side.ask(
        "auth/authenticate",
        json!({"name": "root", "password": "wrong"}),
    )?;
    let path = "/v3/auth/authenticate";
    let token: Value =
        serde_json::from_str(&http::post(side.port(), path, &root.to_string())?.body)?;
    let token = token["token"].as_str().context("a token")?;
    for (path, token) in [
        ("kv/range", "nonsense"),
        ("kv/range", token),
        ("lease/keepalive", token),
        ("auth/user/list", token),
        ("auth/disable", token),
    ] {
        let request = Request {
            method: "POST",
            path: &format!("/v3/{path}"),
            headers: &[("Authorization", token)],
            body: &json!({"key": base64("a"), "ID": "1"}).to_string(),
        };
        let answer = http::send(side.port(), &request)?;
        let (status, value) = normal(answer.status, &answer.body)?;
        side.told
            .push((format!("{path} with a token"), status, value));
    }
    Ok(())
}

type Chapter = fn(&mut Side) -> Result<()>;

const STORY: &[Chapter] = &[
    keys,
    leases,
    watches,
    locks,
    authentication,
    maintenance,
    members,
    users,
    tokens,
];

#[tokio::test]
async fn one_story_is_answered_as_by_etcd() -> Result<()> {
    let mut etcd = Side::start(Target::etcd()?).await?;
    let mut ours = Side::start(Target::mainstay()?).await?;
    for chapter in STORY {
        chapter(&mut etcd)?;
        chapter(&mut ours)?;
        let (theirs, ours) = (
            std::mem::take(&mut etcd.told),
            std::mem::take(&mut ours.told),
        );
        for (theirs, ours) in theirs.iter().zip(&ours) {
            let request: String = theirs.0.chars().take(300).collect();
            assert_eq!((ours.1, &ours.2), (theirs.1, &theirs.2), "{request}");
        }
        assert_eq!(ours.len(), theirs.len());
    }
    let wanted: BTreeSet<String> = PATHS.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(ours.asked, wanted);
    assert_eq!(etcd.asked, wanted);
    Ok(())
}

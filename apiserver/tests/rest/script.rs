//! Requests in text and what answers come to: a paragraph of `cases.txt` is a request, and behind `=>` what a kube-apiserver 1.36.3
//! answered. Uids and versions are letters there.

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use regex::Regex;
use serde_json::Value;

use super::cluster::{Answer, Cluster, Protocol};

const CASES: &str = include_str!("cases.txt");

/// What all requests of the script are answered with, as text; and what they should be.
pub(crate) async fn run(cluster: &Cluster, protocol: Protocol) -> Vec<(String, String)> {
    let mut continuation = String::new();
    let mut told = Vec::new();
    for case in CASES.trim_end().split("\n\n") {
        let is_answer = |line: &&str| line.starts_with("=>") || line.starts_with("   ");
        let asked: Vec<&str> = case.lines().filter(|line| !is_answer(line)).collect();
        let request = request(&asked, &continuation);
        let answer = cluster.ask(protocol, request).await;
        if let Ok(value) = serde_json::from_slice::<Value>(&answer.body)
            && let Some(next) = value["metadata"]["continue"].as_str()
        {
            next.clone_into(&mut continuation);
        }
        let shown = format!("{}\n{}", asked.join("\n"), shown(&answer));
        told.push((case.to_owned(), shown));
    }
    told
}

fn request(lines: &[&str], continuation: &str) -> Request<Full<Bytes>> {
    let mut lines = lines.iter().filter(|line| !line.starts_with('#'));
    let (method, path) = lines.next().unwrap().split_once(' ').unwrap();
    let path = path.replace("{continue}", continuation);
    let mut builder = Request::builder().method(method).uri(path);
    let mut body = String::new();
    for line in lines {
        match line.strip_prefix('>') {
            Some(text) => text.trim_start().clone_into(&mut body),
            None => {
                let (name, value) = line.split_once(": ").unwrap();
                // Nobody's header is none.
                let value = if value == "-" { "" } else { value };
                builder = builder.header(name, value);
            }
        }
    }
    builder.body(Full::new(body.into())).unwrap()
}

fn shown(answer: &Answer) -> String {
    let header = |name: &str| {
        let value = answer.headers.get(name);
        value.map_or("-", |value| value.to_str().unwrap())
    };
    let mut lines = vec![format!("=> {} {}", answer.code, header("content-type"))];
    match serde_json::from_slice::<Value>(&answer.body) {
        Ok(value) => tell(&value, &mut lines),
        Err(_) if answer.body.starts_with(b"k8s\0") => lines.push("   protobuf".to_owned()),
        Err(_) if answer.body.is_empty() => {}
        Err(_) => {
            let text = String::from_utf8_lossy(&answer.body);
            lines.push(format!(
                "   text {}",
                text.lines().next().unwrap_or_default()
            ));
        }
    }
    for warning in answer.headers.get_all("warning") {
        lines.push(format!("   warning {}", warning.to_str().unwrap()));
    }
    let lines: Vec<String> = lines.iter().map(|line| steady(line)).collect();
    lines.join("\n")
}

fn tell(value: &Value, lines: &mut Vec<String>) {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or("-").to_owned();
    let metadata = &value["metadata"];
    if value["kind"] == "Status" {
        lines.push(format!(
            "   {}: {}",
            text(value, "reason"),
            text(value, "message")
        ));
        for cause in value["details"]["causes"].as_array().into_iter().flatten() {
            let [reason, field, message] =
                ["reason", "field", "message"].map(|part| text(cause, part));
            lines.push(format!("   cause {reason} {field}: {message}"));
        }
        return;
    }
    let items = value["items"].as_array();
    let Some(items) = items.or(value["rows"].as_array()) else {
        lines.push(format!(
            "   {} {}",
            text(value, "kind"),
            text(metadata, "name")
        ));
        return;
    };
    let mut line = format!("   {}", text(value, "kind"));
    for item in items {
        let object = item.get("object").unwrap_or(item);
        line.push_str(&format!(" {}", text(&object["metadata"], "name")));
    }
    if let Some(remaining) = metadata["remainingItemCount"].as_i64() {
        line.push_str(&format!(" remaining={remaining}"));
    }
    if metadata["continue"].is_string() {
        line.push_str(" more");
    }
    lines.push(line);
}

/// A line without what differs from run to run, and no more than one line.
fn steady(line: &str) -> String {
    let mut line = line
        .lines()
        .next()
        .unwrap_or_default()
        .trim_end()
        .to_owned();
    for (pattern, letter) in [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r"record \(\d+\)", "record (N)"),
        (r"current: \d+", "current: N"),
        (r" in scheme .*$", " in scheme"),
    ] {
        line = Regex::new(pattern)
            .unwrap()
            .replace(&line, letter)
            .into_owned();
    }
    line
}

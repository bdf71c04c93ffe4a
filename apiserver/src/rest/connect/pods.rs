//! Streams to the containers of pods, through the agent of their node.

use objects::status::Status;
use objects::{Value, meta};
use serde_json::json;

use super::super::answer::Answer;
use super::super::front::Admitted;
use super::super::objects_api::Call;
use super::super::path::encoded;
use super::{admit, find, upgrade};
use crate::registry::{flag, integer};
use crate::relay::{self, Target, unnamed};

/// The kinds of streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Exec,
    Attach,
    PortForward,
}

/// How the agent calls what a client asks for.
const FLAGS: [(&str, &str); 4] = [
    ("stdin", "input"),
    ("stdout", "output"),
    ("stderr", "error"),
    ("tty", "tty"),
];

impl Stream {
    /// The path at the agent.
    fn path(self) -> &'static str {
        match self {
            Stream::Exec => "exec",
            Stream::Attach => "attach",
            Stream::PortForward => "portForward",
        }
    }

    /// The object that admission is shown, and the query for the agent.
    fn options(self, request: &Admitted) -> Result<(Value, String), Status> {
        if self == Stream::PortForward {
            return ports(request);
        }
        let kind = match self {
            Stream::Exec => "PodExecOptions",
            _ => "PodAttachOptions",
        };
        let mut options = json!({"kind": kind, "apiVersion": "v1"});
        let mut query = Vec::new();
        for (name, own) in FLAGS {
            if flag(&request.query, name) == Some(true) {
                options[name] = true.into();
                query.push(format!("{own}=1"));
            }
        }
        let container = request.query("container");
        if !container.is_empty() {
            options["container"] = container.into();
        }
        let command = |(key, value): &(String, String)| (key == "command").then(|| value.clone());
        let command: Vec<String> = request.query.iter().filter_map(command).collect();
        if self == Stream::Exec && !command.is_empty() {
            query.extend(
                command
                    .iter()
                    .map(|word| format!("command={}", encoded(word, ""))),
            );
            options["command"] = command.into();
        }
        Ok((options, query.join("&")))
    }
}

fn ports(request: &Admitted) -> Result<(Value, String), Status> {
    let mut options = json!({"kind": "PodPortForwardOptions", "apiVersion": "v1"});
    let mut ports = Vec::new();
    for (_, text) in request.query.iter().filter(|(key, _)| key == "ports") {
        for text in text.split(',') {
            ports.push(integer::<i32>(text)?);
        }
    }
    if ports.is_empty() {
        return Ok((options, String::new()));
    }
    let told: Vec<String> = ports.iter().map(ToString::to_string).collect();
    options["ports"] = ports.into();
    Ok((options, format!("port={}", told.join("%2C"))))
}

/// Answers with the stream.
pub(super) async fn answer(
    call: &Call<'_>,
    request: Admitted,
    stream: Stream,
) -> Result<Answer, Status> {
    let (options, query) = stream.options(&request)?;
    admit(call, options).await?;
    // A websocket begins with GET, and whoever may only read may not begin one.
    if request.method != http::Method::POST {
        may_create(call)?;
    }
    let (namespace, name) = (&call.request.namespace, &call.request.name);
    let pod = find(call, "pods", namespace, name).await?;
    let mut path = format!("/{}/{namespace}/{name}", stream.path());
    if stream != Stream::PortForward {
        let container = container(&pod, request.query("container"))?;
        path.push_str(&format!("/{}", encoded(&container, "")));
    }
    if !query.is_empty() {
        path.push_str(&format!("?{query}"));
    }
    let node = meta::text(&pod, &["spec", "nodeName"]);
    if node.is_empty() {
        return Err(Status::bad_request(format!(
            "pod {name} does not have a host assigned"
        )));
    }
    let node = find(call, "nodes", "", node).await?;
    let outward = &call.front.outward;
    let place = outward.kubelets.place(&node).map_err(unnamed)?;
    let target = Target {
        tls: Some(outward.kubelets.tls(&place, true)),
        place,
        path,
    };
    let is_tunnel = stream == Stream::PortForward && relay::is_tunnel(&request.headers);
    let client = upgrade(request)?;
    if is_tunnel {
        outward.relay.tunnel(&target, client).await
    } else {
        outward.relay.upgrade(&target, client).await
    }
}

fn may_create(call: &Call<'_>) -> Result<(), Status> {
    let attributes = call.request.attributes("create");
    let decision = call.front.authorizer.authorize(&attributes);
    if decision.is_allowed() {
        return Ok(());
    }
    let name = &call.request.name;
    Err(Status::forbidden("", "pods", name, decision.reason()))
}

/// The container that is meant.
pub(super) fn container(pod: &Value, asked: &str) -> Result<String, Status> {
    let name = meta::name(pod);
    let names = |list: &str| -> Vec<String> {
        let named = |container: &Value| meta::text(container, &["name"]).to_owned();
        let containers = meta::list(pod, &["spec", list]);
        containers.iter().map(named).collect()
    };
    let all = [
        names("initContainers"),
        names("containers"),
        names("ephemeralContainers"),
    ];
    let is_known = all.iter().flatten().any(|known| known == asked);
    let why = match (asked, &all[1][..]) {
        ("", [only]) => return Ok(only.clone()),
        ("", []) => format!("a container name must be specified for pod {name}"),
        ("", _) => format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            all.concat().join(" ")
        ),
        _ if is_known => return Ok(asked.to_owned()),
        _ => format!("container {asked} is not valid for pod {name}"),
    };
    Err(Status::bad_request(why))
}

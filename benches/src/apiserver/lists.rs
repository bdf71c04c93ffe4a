//! Lists of many objects in the forms that clients ask for, and what the objects take of memory; the same over our gRPC.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use proto::api;
use serde::Deserialize;

use crate::apiserver::client::{Call, Client, PROTOBUF};
use crate::apiserver::drive::closed;
use crate::apiserver::grpc::call;
use crate::apiserver::objects::{Kind, NAMESPACE, name};
use crate::apiserver::options::Scale;
use crate::apiserver::rows::{CLIENTS, memory};
use crate::apiserver::servers::Servers;
use crate::side_by_side::figures::Figure;

/// Objects on a page, as kubectl asks for them.
const PAGE: usize = 500;
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const METADATA: &str =
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json";
const INITIAL_END: &[u8] = b"k8s.io/initial-events-end";

/// Makes the objects, lists them in every form, and starts the server again with them.
pub async fn measure(servers: &mut Servers, scale: &Scale) -> Result<Vec<Figure>> {
    let mut figures = vec![memory(servers, "memory, no objects")?];
    let count = scale.listed;
    closed(servers, "create", (count, 2 * CLIENTS), |n| {
        Kind::Pod.create(n)
    })
    .await?;
    figures.push(memory(servers, "memory, objects made")?);
    let client = Client::connect(servers.address).await?;
    let path = Kind::Pod.collection();
    let whole = Call::get(path.clone());
    let forms = [
        ("JSON", whole.clone()),
        (
            "JSON, gzip",
            Call {
                gzip: true,
                ..whole.clone()
            },
        ),
        ("protobuf", whole.clone().accept(PROTOBUF)),
        ("Table", whole.clone().accept(TABLE)),
        ("metadata", whole.accept(METADATA)),
    ];
    for (what, call) in forms {
        figures.extend(
            repeated(servers, what, scale.lists, async || {
                Ok(client.done(call.clone()).await?.len())
            })
            .await?,
        );
    }
    figures.extend(
        repeated(servers, "JSON, pages", scale.lists, async || {
            pages(&client, &path, count).await
        })
        .await?,
    );
    figures.extend(
        repeated(servers, "WatchList", scale.lists, async || {
            watch_list(&client, &path).await
        })
        .await?,
    );
    figures.push(memory(servers, "memory after lists")?);
    drop(client);
    servers.restart()?;
    let ready = servers.ready().await?;
    figures.push(Figure::new("ready again after", "s", ready.as_secs_f64()));
    figures.push(memory(servers, "memory after a restart")?);
    Ok(figures)
}

/// Time, CPU of the server and bytes of something that is done a few times. Once more than counted: a server may prepare something.
async fn repeated(
    servers: &Servers,
    what: &str,
    times: usize,
    work: impl AsyncFn() -> Result<usize>,
) -> Result<Vec<Figure>> {
    let mut bytes = work().await.with_context(|| what.to_owned())?;
    let (before, began) = (servers.usage()?, Instant::now());
    for _ in 0..times {
        bytes = work().await?;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e3 / times as f64;
    Ok(vec![
        Figure::new(format!("{what}: time"), "ms", each(began.elapsed())),
        Figure::new(
            format!("{what}: CPU"),
            "ms",
            each(servers.usage()?.cpu - before.cpu),
        ),
        Figure::new(format!("{what}: size"), "MB", bytes as f64 / 1e6),
    ])
}

#[derive(Deserialize)]
struct Page {
    metadata: PageMetadata,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(default, rename = "continue")]
    continuation: String,
}

async fn pages(client: &Client, path: &str, count: usize) -> Result<usize> {
    let (mut bytes, mut continuation) = (0, String::new());
    for _ in 0..=count / PAGE {
        let call = Call::get(format!("{path}?limit={PAGE}&continue={continuation}"));
        let body = client.done(call).await?;
        bytes += body.len();
        continuation = serde_json::from_slice::<Page>(&body)?.metadata.continuation;
        if continuation.is_empty() {
            return Ok(bytes);
        }
    }
    anyhow::bail!("the list has no end")
}

/// Opens a watch that begins with what is there, and reads that.
async fn watch_list(client: &Client, path: &str) -> Result<usize> {
    let query = "watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let answer = client.open(Call::get(format!("{path}?{query}"))).await?;
    ensure!(
        answer.status().is_success(),
        "no watch: {}",
        answer.status()
    );
    let (mut body, mut bytes) = (answer.into_body(), 0);
    // The mark may lie across two chunks.
    let mut tail = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        bytes += data.len();
        tail.extend_from_slice(&data);
        if tail
            .windows(INITIAL_END.len())
            .any(|part| part == INITIAL_END)
        {
            return Ok(bytes);
        }
        tail.drain(..tail.len().saturating_sub(INITIAL_END.len()));
    }
    anyhow::bail!("the watch ended before all objects were told")
}

/// What the rows of objects and lists do, over our gRPC.
pub async fn grpc(servers: &Servers, scale: &Scale) -> Result<Vec<Figure>> {
    let kind = Kind::ConfigMap;
    let many = (scale.objects, CLIENTS);
    let create = move |n| {
        let object = kind.create(n).body;
        call(
            "Create",
            &api::CreateRequest {
                target: target(""),
                object,
                ..Default::default()
            },
        )
    };
    let mut figures = closed(servers, "create", many, create).await?;
    let get = |n| {
        call(
            "Get",
            &api::GetRequest {
                target: target(&name(n)),
                ..Default::default()
            },
        )
    };
    figures.extend(closed(servers, "get", many, get).await?);
    let client = Client::connect(servers.address).await?;
    let list = call(
        "List",
        &api::ListRequest {
            target: target(""),
            ..Default::default()
        },
    );
    figures.extend(
        repeated(servers, "list", scale.lists, async || {
            Ok(client.done(list.clone()).await?.len())
        })
        .await?,
    );
    Ok(figures)
}

fn target(name: &str) -> Option<api::Target> {
    Some(api::Target {
        version: "v1".to_owned(),
        resource: Kind::ConfigMap.plural().to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    })
}

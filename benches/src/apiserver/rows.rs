//! The rows of the comparison between apiservers: what is done and what is read off.

use anyhow::{Result, bail};

use crate::apiserver::client::{Call, Client};
use crate::apiserver::drive::{at_rate, closed, per, percentiles};
use crate::apiserver::objects::{self, Kind};
use crate::apiserver::options::Scale;
use crate::apiserver::servers::Servers;
use crate::apiserver::{lists, watchers};
use crate::side_by_side::figures::Figure;

/// Requests at a time where many are sent.
pub const CLIENTS: usize = 16;
/// How many times fewer requests than events come at a rate: a request costs the generator more.
const SLOWER: usize = 4;
/// Of so many requests at a rate one is a write.
const WRITE_EACH: usize = 5;

/// A row of the table.
pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
    /// Whether a kube-apiserver has nothing to set beside it.
    pub ours_only: bool,
    work: Work,
}

#[derive(Clone, Copy)]
enum Work {
    Start,
    Objects(Kind),
    Rate,
    Lists,
    WatchOwn,
    WatchAll,
    Grpc,
}

const fn row(name: &'static str, title: &'static str, work: Work) -> Row {
    Row {
        name,
        title,
        ours_only: matches!(work, Work::Grpc),
        work,
    }
}

/// All rows, in the order they run.
pub const ROWS: &[Row] = &[
    row("start", "an empty cluster", Work::Start),
    row(
        "configmaps",
        "config maps, 16 at a time",
        Work::Objects(Kind::ConfigMap),
    ),
    row("pods", "pods, 16 at a time", Work::Objects(Kind::Pod)),
    row(
        "rate",
        "pods at a fixed rate, one write in five",
        Work::Rate,
    ),
    row(
        "lists",
        "many pods, listed one after the other",
        Work::Lists,
    ),
    row("watch-own", "watchers of one object each", Work::WatchOwn),
    row("watch-all", "watchers of everything", Work::WatchAll),
    row(
        "grpc",
        "config maps over our gRPC, 16 at a time",
        Work::Grpc,
    ),
];

/// The rows of these names; all without names.
pub fn select(names: &[String]) -> Result<Vec<&'static Row>> {
    if names.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| match ROWS.iter().find(|row| row.name == *name) {
        Some(row) => Ok(row),
        None => bail!("there is no row {name}; --list shows all"),
    };
    names.iter().map(find).collect()
}

impl Row {
    /// Measures the row on servers that were just started.
    pub async fn measure(&self, servers: &mut Servers, scale: &Scale) -> Result<Vec<Figure>> {
        let ready = servers.ready().await?;
        let client = Client::connect(servers.address).await?;
        client.done(objects::namespace()).await?;
        match self.work {
            Work::Start => {
                let mut figures = vec![Figure::new("ready after", "s", ready.as_secs_f64())];
                figures.extend(start(servers, &client).await?);
                Ok(figures)
            }
            Work::Objects(kind) => one_by_one(servers, kind, scale.objects).await,
            Work::Rate => rate(servers, scale).await,
            Work::Lists => lists::measure(servers, scale).await,
            Work::WatchOwn => watchers::measure(servers, scale, true).await,
            Work::WatchAll => watchers::measure(servers, scale, false).await,
            Work::Grpc => lists::grpc(servers, scale).await,
        }
    }
}

/// Memory resident in the apiserver.
pub fn memory(servers: &Servers, name: &str) -> Result<Figure> {
    let megabytes = servers.usage()?.resident_bytes as f64 / 1e6;
    Ok(Figure::new(name, "MB", megabytes))
}

async fn start(servers: &Servers, client: &Client) -> Result<Vec<Figure>> {
    let mut figures = vec![memory(servers, "memory")?];
    // What kubectl asks a server that it does not know: discovery, and OpenAPI for explain and for the checks of apply.
    for path in ["/api", "/apis", "/openapi/v2", "/openapi/v3"] {
        client.done(Call::get(path)).await?;
    }
    figures.push(memory(servers, "memory after OpenAPI")?);
    Ok(figures)
}

async fn one_by_one(servers: &Servers, kind: Kind, count: usize) -> Result<Vec<Figure>> {
    let many = (count, CLIENTS);
    let mut figures = closed(servers, "create", many, move |n| kind.create(n)).await?;
    figures.extend(closed(servers, "get", many, move |n| kind.get(n)).await?);
    figures.extend(closed(servers, "update", many, move |n| kind.update(n)).await?);
    figures.extend(closed(servers, "patch", many, move |n| kind.patch(n)).await?);
    figures.extend(closed(servers, "apply", many, move |n| kind.apply(n)).await?);
    figures.extend(closed(servers, "delete", many, move |n| kind.delete(n)).await?);
    Ok(figures)
}

async fn rate(servers: &Servers, scale: &Scale) -> Result<Vec<Figure>> {
    let (kind, count) = (Kind::Pod, scale.objects);
    closed(servers, "create", (count, CLIENTS), move |n| kind.create(n)).await?;
    let rate = scale.rate / SLOWER;
    let call = |number: usize| {
        if number.is_multiple_of(WRITE_EACH) {
            kind.update(number % count)
        } else {
            kind.get(number % count)
        }
    };
    let (times, cpu, sent) = at_rate(servers, (rate, scale.seconds), call).await?;
    let what = format!("{rate}/s");
    let mut figures = vec![per(format!("{what}: CPU"), "µs/op", cpu, sent)];
    figures.extend(percentiles(&what, &times, &[50.0, 99.0, 99.9]));
    Ok(figures)
}

//! A watcher hears of every change in order, also through cut connections and killed servers, and a store follows it.

use std::pin::pin;
use std::time::Duration;

use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{self, Store};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tokio::sync::mpsc;

use crate::Failure;
use crate::crud::config_map;
use crate::faults::{calling, code, creating, deleting, fault, faulty};

const OBJECT_COUNT: usize = 3;
const EVENTS_MAX: usize = 1024;
const EVENT_TIMEOUT: Duration = Duration::from_secs(60);

/// What the watcher told.
#[derive(Debug, PartialEq)]
struct Told {
    kind: &'static str,
    name: String,
    value: String,
    version: u64,
}

pub async fn all_of(client: &Client, namespace: &str) -> Result<(), Failure> {
    for streaming in [true, false] {
        informs(Api::namespaced(client.clone(), namespace), streaming).await?;
    }
    Ok(())
}

fn told(event: &Event<ConfigMap>) -> Told {
    let (kind, object) = match event {
        Event::Init => ("init", None),
        Event::InitDone => ("listed", None),
        Event::InitApply(object) => ("initial", Some(object)),
        Event::Apply(object) => ("applied", Some(object)),
        Event::Delete(object) => ("deleted", Some(object)),
    };
    let data = object.and_then(|object| object.data.as_ref());
    let version = object.and_then(|object| object.resource_version());
    Told {
        kind,
        name: object.map(|object| object.name_any()).unwrap_or_default(),
        value: data.map(|data| data["value"].clone()).unwrap_or_default(),
        version: version
            .and_then(|version| version.parse().ok())
            .unwrap_or_default(),
    }
}

async fn informs(maps: Api<ConfigMap>, streaming: bool) -> Result<(), Failure> {
    for number in 0..OBJECT_COUNT {
        write(&maps, &format!("first-{number}"), "0").await?;
    }
    // A watch from version 0 may begin in the past. A list of now brings the server up to it.
    let now = ListParams::default().labels("heard=yes");
    calling(async || maps.list(&now).await).await?;
    let config = watcher::Config::default().labels("heard=yes");
    let config = if streaming {
        config.streaming_lists()
    } else {
        config.page_size(2)
    };
    let (reader, writer) = reflector::store();
    let (sender, mut events) = mpsc::channel(EVENTS_MAX);
    let stream = watcher::watcher(maps.clone(), config)
        .default_backoff()
        .reflect(writer);
    let following = async move {
        let mut stream = pin!(stream);
        loop {
            // Errors are told as well; the watcher goes on by itself.
            match stream.try_next().await {
                Ok(Some(event)) if sender.send(told(&event)).await.is_err() => return,
                Ok(Some(_)) | Err(_) => {}
                Ok(None) => return,
            }
        }
    };
    let turns = turns(&maps, &mut events, &reader);
    tokio::select! {
        () = following => Err("the watcher ended".into()),
        outcome = turns => outcome,
    }
}

async fn turns(
    maps: &Api<ConfigMap>,
    events: &mut mpsc::Receiver<Told>,
    store: &Store<ConfigMap>,
) -> Result<(), Failure> {
    let mut heard = until(events, |told| told.kind == "listed").await?;
    let kinds: Vec<&str> = heard.iter().map(|told| told.kind).collect();
    assert_eq!(kinds, ["init", "initial", "initial", "initial", "listed"]);
    heard.clear();
    for (turn, what) in ["", "cut", "kill", "kill"].into_iter().enumerate() {
        if !what.is_empty() {
            fault(what)?;
        }
        let (value, extra) = ((turn + 1).to_string(), format!("turn-{turn}"));
        for number in 0..OBJECT_COUNT {
            write(maps, &format!("first-{number}"), &value).await?;
        }
        write(maps, &extra, &value).await?;
        if !faulty() {
            // A watcher that has to list anew would not hear of what came and went meanwhile.
            heard.extend(until(events, |told| told.name == extra && told.value == value).await?);
        }
        deleting(async || maps.delete(&extra, &DeleteParams::default()).await).await?;
        let gone = |told: &Told| told.name == extra && told.kind == "deleted";
        if faulty() {
            heard.extend(until(events, gone).await?);
        } else {
            heard.extend(until(events, |told| gone(told) || told.kind == "listed").await?);
        }
    }
    if faulty() {
        // Every change once, and none of them by a second list.
        let count = |kind: &str| heard.iter().filter(|told| told.kind == kind).count();
        assert_eq!(
            (count("applied"), count("deleted")),
            (4 * (OBJECT_COUNT + 1), 4),
            "{heard:?}"
        );
        assert_eq!(count("init"), 0, "{heard:?}");
        assert!(heard.is_sorted_by_key(|told| told.version), "{heard:?}");
    }
    let mut kept: Vec<String> = store.state().iter().map(|one| one.name_any()).collect();
    kept.sort();
    kept.retain(|name| name.starts_with("first-"));
    assert_eq!(kept, ["first-0", "first-1", "first-2"]);
    Ok(())
}

/// What is told up to and with what is waited for.
async fn until(
    events: &mut mpsc::Receiver<Told>,
    is_last: impl Fn(&Told) -> bool,
) -> Result<Vec<Told>, Failure> {
    let mut heard = Vec::new();
    loop {
        let next = tokio::time::timeout(EVENT_TIMEOUT, events.recv()).await;
        let next = next.map_err(|_| format!("nothing more was told after {heard:?}"))?;
        heard.push(next.ok_or("the watcher ended")?);
        if heard.last().is_some_and(&is_last) {
            return Ok(heard);
        }
    }
}

async fn write(maps: &Api<ConfigMap>, name: &str, value: &str) -> Result<(), Failure> {
    let body = config_map(name, json!({"heard": "yes"}), value);
    let post = PostParams::default();
    match calling(async || maps.replace(name, &post, &body).await).await {
        Err(error) if code(&error) == Some(404) => {
            creating(async || maps.create(&post, &body).await).await?
        }
        other => drop(other?),
    }
    Ok(())
}

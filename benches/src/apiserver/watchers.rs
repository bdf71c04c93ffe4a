//! Many watchers, and a writer that says in every object when it was sent: how late watchers are told, and what telling one costs.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::task::LocalSet;

use crate::apiserver::client::{Call, Client};
use crate::apiserver::drive::{Times, at_rate, closed, per, percentiles};
use crate::apiserver::objects::{Kind, name, stamped};
use crate::apiserver::options::Scale;
use crate::apiserver::rows::{CLIENTS, memory};
use crate::apiserver::servers::Servers;
use crate::load::processes;
use crate::side_by_side::figures::Figure;

/// Watches of one connection, as a client with many informers has them.
const WATCHES_A_CONNECTION: usize = 50;
/// Of so many watchers one reads the times: reading them all would be the generator's work and not the server's.
const READER_EACH: usize = 20;
/// How long nothing may come before what is missing counts as lost.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What all watchers saw.
struct Seen {
    began: Instant,
    delivered: usize,
    last: Instant,
    ended: usize,
    times: Times,
}

/// Watches, each of one object of its own or each of all, and events at a rate.
pub async fn measure(servers: &Servers, scale: &Scale, own: bool) -> Result<Vec<Figure>> {
    closed(servers, "create", (scale.watchers, CLIENTS), |n| {
        Kind::ConfigMap.create(n)
    })
    .await?;
    let mut bodies = Vec::new();
    let mut client = Client::connect(servers.address).await?;
    // Everything from now on, and nothing that was there before.
    let version = newest(&client).await?;
    for number in 0..scale.watchers {
        if number > 0 && number % WATCHES_A_CONNECTION == 0 {
            client = Client::connect(servers.address).await?;
        }
        let one = if own {
            format!("&fieldSelector=metadata.name%3D{}", name(number))
        } else {
            String::new()
        };
        let path = format!(
            "{}?watch=true&resourceVersion={version}{one}",
            Kind::ConfigMap.collection()
        );
        let answer = client.open(Call::get(path)).await?;
        ensure!(
            answer.status().is_success(),
            "no watch: {}",
            answer.status()
        );
        bodies.push(answer.into_body());
    }
    let open = memory(servers, "memory, watches open")?;
    let now = Instant::now();
    let seen = Rc::new(RefCell::new(Seen {
        began: now,
        delivered: 0,
        last: now,
        ended: 0,
        times: Times::new()?,
    }));
    let each = if own { 1 } else { scale.watchers };
    let local = LocalSet::new();
    for (number, body) in bodies.into_iter().enumerate() {
        local.spawn_local(read(body, number.is_multiple_of(READER_EACH), seen.clone()));
    }
    let fed = local.run_until(feed(servers, scale, each, &seen)).await?;
    let mut figures = vec![open];
    figures.extend(fed);
    Ok(figures)
}

/// The version of the newest list.
async fn newest(client: &Client) -> Result<String> {
    let call = Call::get(format!("{}?limit=1", Kind::ConfigMap.collection()));
    let list: serde_json::Value = serde_json::from_slice(&client.done(call).await?)?;
    Ok(list["metadata"]["resourceVersion"]
        .as_str()
        .unwrap_or_default()
        .to_owned())
}

async fn feed(
    servers: &Servers,
    scale: &Scale,
    each: usize,
    seen: &Rc<RefCell<Seen>>,
) -> Result<Vec<Figure>> {
    let (before, own_before) = (servers.usage()?, processes::own_cpu());
    let began = seen.borrow().began;
    // As many objects as watchers: nobody writes one while it is being written.
    let write = |number: usize| stamped(number % scale.watchers, began.elapsed().as_micros());
    let (_, _, sent) = at_rate(servers, (scale.rate, scale.seconds), write).await?;
    let wanted = sent * each;
    loop {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let seen = seen.borrow();
        if seen.delivered >= wanted || seen.last.elapsed() > SILENCE_MAX {
            break;
        }
    }
    let (cpu, own_cpu) = (
        servers.usage()?.cpu - before.cpu,
        processes::own_cpu() - own_before,
    );
    let seen = seen.borrow();
    let seconds = (seen.last - began).as_secs_f64();
    let mut figures = vec![
        Figure::new("written", "/s", sent as f64 / seconds),
        Figure::new("delivered", "events/s", seen.delivered as f64 / seconds),
        Figure::new(
            "not delivered",
            "events",
            wanted.saturating_sub(seen.delivered) as f64,
        ),
        Figure::new("watches ended", "", seen.ended as f64),
        per(
            "CPU with its write".to_owned(),
            "µs/event",
            cpu,
            seen.delivered,
        ),
    ];
    figures.extend(percentiles("delay", &seen.times, &[50.0, 99.0]));
    figures.push(per(
        "generator CPU".to_owned(),
        "µs/event",
        own_cpu,
        seen.delivered,
    ));
    figures.push(memory(servers, "memory at the end")?);
    Ok(figures)
}

/// Counts events by the lines that end them.
async fn read(mut body: Incoming, reads_times: bool, seen: Rc<RefCell<Seen>>) {
    let mut line = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let mut seen = seen.borrow_mut();
        seen.last = Instant::now();
        if !reads_times {
            seen.delivered += data.iter().filter(|byte| **byte == b'\n').count();
            continue;
        }
        line.extend_from_slice(&data);
        while let Some(end) = line.iter().position(|byte| *byte == b'\n') {
            let rest = line.split_off(end + 1);
            if let Some(sent) = stamp(&line) {
                let took = seen.began.elapsed().saturating_sub(sent);
                seen.times.add(took);
            }
            seen.delivered += 1;
            line = rest;
        }
    }
    seen.borrow_mut().ended += 1;
}

/// When the object in a line was sent.
fn stamp(line: &[u8]) -> Option<Duration> {
    const MARK: &[u8] = b"\"at\":\"";
    let start = line.windows(MARK.len()).position(|part| part == MARK)? + MARK.len();
    let digits: Vec<u8> = line[start..]
        .iter()
        .copied()
        .take_while(u8::is_ascii_digit)
        .collect();
    let micros = std::str::from_utf8(&digits).ok()?.parse().ok()?;
    Some(Duration::from_micros(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_when_its_object_was_sent() {
        let line = br#"{"type":"MODIFIED","object":{"data":{"at":"1500"}}}"#;
        assert_eq!(stamp(line), Some(Duration::from_micros(1500)));
        assert_eq!(stamp(b"{}"), None);
    }
}

//! Many requests at a time, or at a rate; how long they took and what the server used for them.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::Result;
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use crate::apiserver::client::{Call, Client};
use crate::apiserver::servers::Servers;
use crate::side_by_side::figures::Figure;

/// Times are kept to a thousandth, from a microsecond to a minute.
const DIGITS: u8 = 3;
const MICROS_MAX: u64 = 60_000_000;
/// Requests that come at a rate and were not answered; the next one waits.
const WAITING_MAX: usize = 1_000;

/// Durations of requests.
pub struct Times(Histogram<u64>);

impl Times {
    pub fn new() -> Result<Times> {
        Ok(Times(Histogram::new_with_bounds(1, MICROS_MAX, DIGITS)?))
    }

    pub fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MICROS_MAX);
        self.0.saturating_record(micros);
    }

    /// A percentile in milliseconds.
    pub fn percentile_ms(&self, percent: f64) -> f64 {
        self.0.value_at_percentile(percent) as f64 / 1_000.0
    }
}

/// Sends `count` requests, `clients` at a time over one connection: throughput, CPU of the server and latencies.
pub async fn closed(
    servers: &Servers,
    what: &str,
    (count, clients): (usize, usize),
    call: impl Fn(usize) -> Call + 'static,
) -> Result<Vec<Figure>> {
    let client = Client::connect(servers.address).await?;
    let (call, next) = (Rc::new(call), Rc::new(std::cell::Cell::new(0)));
    let (before, began) = (servers.usage()?, Instant::now());
    let local = tokio::task::LocalSet::new();
    let mut workers = JoinSet::new();
    for _ in 0..clients {
        let (client, call, next) = (client.clone(), call.clone(), next.clone());
        let work = async move {
            let mut took = Vec::new();
            while next.get() < count {
                let number = next.replace(next.get() + 1);
                let began = Instant::now();
                client.done(call(number)).await?;
                took.push(began.elapsed());
            }
            anyhow::Ok(took)
        };
        workers.spawn_local_on(work, &local);
    }
    let mut times = Times::new()?;
    local
        .run_until(async {
            while let Some(worker) = workers.join_next().await {
                worker??.into_iter().for_each(|took| times.add(took));
            }
            anyhow::Ok(())
        })
        .await?;
    let (wall, cpu) = (began.elapsed(), servers.usage()?.cpu - before.cpu);
    let mut figures = vec![
        Figure::new(
            format!("{what}: throughput"),
            "/s",
            count as f64 / wall.as_secs_f64(),
        ),
        per(format!("{what}: CPU"), "µs/op", cpu, count),
    ];
    figures.extend(percentiles(what, &times, &[50.0, 99.0]));
    Ok(figures)
}

/// Sends requests at a rate, whatever becomes of those before; their times count from when they were due.
pub async fn at_rate(
    servers: &Servers,
    (rate, seconds): (usize, f64),
    call: impl Fn(usize) -> Call,
) -> Result<(Times, Duration, usize)> {
    let client = Client::connect(servers.address).await?;
    let before = servers.usage()?;
    let count = (rate as f64 * seconds) as usize;
    let (mut times, mut waiting) = (Times::new()?, JoinSet::new());
    let began = tokio::time::Instant::now();
    for number in 0..count {
        let due = began + Duration::from_secs_f64(number as f64 / rate as f64);
        tokio::time::sleep_until(due).await;
        if waiting.len() >= WAITING_MAX
            && let Some(took) = waiting.join_next().await
        {
            times.add(took??);
        }
        let (client, call) = (client.clone(), call(number));
        waiting.spawn(async move { client.done(call).await.map(|_| due.elapsed()) });
    }
    while let Some(took) = waiting.join_next().await {
        times.add(took??);
    }
    Ok((times, servers.usage()?.cpu - before.cpu, count))
}

/// Percentiles of a set of times.
pub fn percentiles(what: &str, times: &Times, percents: &[f64]) -> Vec<Figure> {
    let figure = |percent: &f64| {
        let name = format!("{what}: p{percent}");
        Figure::new(name, "ms", times.percentile_ms(*percent))
    };
    percents.iter().map(figure).collect()
}

/// A time divided by how often something was done.
pub fn per(name: String, unit: &'static str, time: Duration, count: usize) -> Figure {
    Figure::new(name, unit, time.as_secs_f64() * 1e6 / count.max(1) as f64)
}

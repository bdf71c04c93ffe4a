//! From a command line to a report: connects, prepares keys and leases, drives the workload.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::load::cluster;
use crate::load::drive::{self, Measured, Plan, SideCall, Until};
use crate::load::engine::Engine;
use crate::load::messages;
use crate::load::options::{Kind, Load, Options, Target};
use crate::load::report::{Events, Latency, Report, ServerUse, microseconds_each};
use crate::load::watch::{Layout, WatchFanOut};
use crate::load::workload::keep_alive::KeepAlive;
use crate::load::workload::put::Put;
use crate::load::workload::range::Range;
use crate::load::workload::txn::Txn;
use crate::load::workload::{Keys, Order, Workload};

const PRELOAD_CLIENTS: usize = 256;

/// What each workload needs: an engine with open connections, and the options.
struct Session<'a> {
    engine: Engine,
    addresses: Vec<String>,
    connections: Vec<usize>,
    load: &'a Load,
    keys: Keys,
}

/// Runs what the options say.
pub fn run(options: &Options) -> Result<Report> {
    let load = &options.load;
    if load.clients == 0 || load.key_space_size == 0 || load.connections == Some(0) {
        bail!("clients, connections and key-space-size are at least 1");
    }
    if load.rate.is_some_and(|rate| rate.is_nan() || rate <= 0.0) {
        bail!("the rate is above 0");
    }
    let mut addresses = cluster::addresses(&load.endpoints)?;
    if load.target == Target::Leader {
        addresses = vec![cluster::leader(&addresses)?];
    }
    let keys = Keys::new(&load.key_prefix);
    let engine = Engine::new()?;
    let mut session = Session {
        engine,
        addresses,
        connections: Vec::new(),
        load,
        keys,
    };
    session.connections = session.connect(load.connection_count())?;
    let (measured, conflicts, events) = session.measure(&options.kind)?;
    Ok(report(options, measured, conflicts, events))
}

impl Session<'_> {
    /// Opens connections to the addresses in turn.
    fn connect(&mut self, count: usize) -> Result<Vec<usize>> {
        let addresses = self.addresses.iter().cycle().take(count);
        addresses
            .map(|address| self.engine.connect(address))
            .collect()
    }

    fn measure(&mut self, kind: &Kind) -> Result<(Measured, u64, Option<Events>)> {
        let Load {
            key_space_size,
            val_size,
            seed,
            clients,
            ..
        } = *self.load;
        let keys = self.keys.clone();
        let mut workload: Box<dyn Workload> = match *kind {
            Kind::Put => Box::new(Put::new(
                keys,
                key_space_size,
                self.load.key_order,
                val_size,
                seed,
            )),
            Kind::Range {
                width,
                serializable,
            } => {
                if width == 0 || width > key_space_size {
                    bail!("the width is at least 1 and at most key-space-size");
                }
                self.preload()?;
                Box::new(Range::new(keys, key_space_size, width, serializable, seed))
            }
            Kind::Txn => {
                let mut txn = Txn::new(keys, key_space_size, clients, val_size, seed);
                let mut request = Vec::new();
                txn.read_all(&mut request);
                txn.learn(&self.ask(messages::RANGE, &request)?)?;
                Box::new(txn)
            }
            Kind::KeepAlive { ttl } => Box::new(KeepAlive::new(self.grant_leases(ttl)?)),
            Kind::Watch { .. } => return self.watch(kind),
        };
        let plan = self.plan()?;
        let measured = drive::drive(&mut self.engine, workload.as_mut(), &plan)?;
        Ok((measured, workload.conflicts(), None))
    }

    fn plan(&mut self) -> Result<Plan> {
        let load = self.load;
        let side_call = match load.compact_after {
            Some(seconds) => Some(self.compaction(Duration::from_secs_f64(seconds))?),
            None => None,
        };
        let connections = self.connections.iter().copied().cycle();
        Ok(Plan {
            slots: connections.take(load.clients).collect(),
            until: match load.total {
                Some(total) => Until::Total(total),
                None => Until::Seconds {
                    warmup: load.warmup,
                    measured: load.duration,
                },
            },
            rate: load.rate,
            side_call,
            server_pids: load.server_pid.clone(),
            data_folder: load.data_folder.clone(),
        })
    }

    /// A compaction of all that is there now, on a connection of its own.
    fn compaction(&mut self, after: Duration) -> Result<SideCall> {
        let status = messages::member_status(&self.ask(messages::STATUS, &[])?);
        let connection = self.connect(1)?[0];
        let mut message = Vec::new();
        messages::compact(status.revision, &mut message);
        Ok(SideCall {
            after,
            connection,
            path: messages::COMPACT,
            message,
        })
    }

    fn ask(&mut self, path: &'static str, message: &[u8]) -> Result<Vec<u8>> {
        self.engine.ask(self.connections[0], path, message)
    }

    /// Writes the key space when it is not all there.
    fn preload(&mut self) -> Result<()> {
        let (mut first, mut end, mut request) = (Vec::new(), Vec::new(), Vec::new());
        self.keys.name(0, &mut first);
        self.keys.name(self.load.key_space_size, &mut end);
        messages::count(&first, &end, &mut request);
        let (_, count) = messages::range_counts(&self.ask(messages::RANGE, &request)?);
        if count.cast_unsigned() == self.load.key_space_size {
            return Ok(());
        }
        let Load {
            key_space_size,
            val_size,
            seed,
            ..
        } = *self.load;
        let mut put = Put::new(
            self.keys.clone(),
            key_space_size,
            Order::Sequential,
            val_size,
            seed,
        );
        let connections = self.connections.iter().copied().cycle();
        let plan = Plan {
            slots: connections.take(PRELOAD_CLIENTS).collect(),
            until: Until::Total(key_space_size),
            rate: None,
            side_call: None,
            server_pids: Vec::new(),
            data_folder: None,
        };
        let measured = drive::drive(&mut self.engine, &mut put, &plan)?;
        if let Some((what, count)) = measured.errors.first_key_value() {
            bail!("{count} puts failed while the keys were written: {what}");
        }
        Ok(())
    }

    fn grant_leases(&mut self, ttl_seconds: i64) -> Result<Vec<i64>> {
        let mut request = Vec::new();
        messages::lease_grant(ttl_seconds, &mut request);
        let mut leases = Vec::with_capacity(self.load.clients);
        for _ in 0..self.load.clients {
            let answer = self.ask(messages::LEASE_GRANT, &request)?;
            leases.push(messages::lease_id_and_ttl(&answer).0);
        }
        Ok(leases)
    }

    fn watch(&mut self, kind: &Kind) -> Result<(Measured, u64, Option<Events>)> {
        let Kind::Watch {
            watchers,
            streams,
            watch_connections,
            watch_keys,
            prev_kv,
        } = *kind
        else {
            bail!("no watch workload");
        };
        if watchers == 0 || watch_connections == 0 || watch_keys == 0 || streams == Some(0) {
            bail!("watchers, streams, watch-connections and watch-keys are at least 1");
        }
        let streams = streams.unwrap_or(watch_connections).min(watchers);
        let value_bytes = self.load.val_size;
        let layout = Layout {
            watchers,
            streams,
            keys: watch_keys,
            prev_kv,
            value_bytes,
        };
        let slots = self.load.clients;
        let mut fan_out = WatchFanOut::new(self.keys.clone(), layout, slots, self.load.seed);
        let watch_connections = self.connect(watch_connections)?;
        fan_out.create(&mut self.engine, &watch_connections)?;
        let plan = self.plan()?;
        let measured = drive::drive(&mut self.engine, &mut fan_out, &plan)?;
        let server_cpu: Duration = measured.servers.iter().map(|(_, usage)| usage.cpu).sum();
        let events = Events {
            delivered: fan_out.events,
            per_second: fan_out.events as f64 / measured.elapsed.as_secs_f64(),
            missing: fan_out.missing(),
            server_cpu_us_per_event: microseconds_each(server_cpu, fan_out.events),
            own_cpu_us_per_event: microseconds_each(measured.own_cpu, fan_out.events),
            delay: Latency::of(&fan_out.delay),
        };
        Ok((measured, 0, Some(events)))
    }
}

fn report(options: &Options, measured: Measured, conflicts: u64, events: Option<Events>) -> Report {
    let load = &options.load;
    let Measured {
        operations,
        elapsed,
        latency,
        mut errors,
        own_cpu,
        servers,
        ..
    } = measured;
    let (device_written_bytes, side_call) = (measured.device_written, measured.side_call);
    if let Some(events) = &events
        && events.missing > 0
    {
        errors.insert("event never delivered".to_owned(), events.missing);
    }
    let servers: Vec<ServerUse> = servers
        .into_iter()
        .map(|(pid, usage)| ServerUse {
            pid,
            cpu_seconds: usage.cpu.as_secs_f64(),
            cpu_us_per_operation: microseconds_each(usage.cpu, operations),
            resident_bytes: usage.resident_bytes,
            written_bytes: usage.written_bytes,
        })
        .collect();
    Report {
        workload: options.kind.name(),
        clients: load.clients,
        connections: load.connection_count(),
        rate: load.rate,
        seed: load.seed,
        seconds: elapsed.as_secs_f64(),
        operations,
        operations_per_second: operations as f64 / elapsed.as_secs_f64(),
        latency: Latency::of(&latency),
        conflicts,
        errors,
        own_cpu_us_per_operation: microseconds_each(own_cpu, operations),
        server_cpu_us_per_operation: servers
            .iter()
            .map(|server| server.cpu_us_per_operation)
            .sum(),
        servers,
        device_written_bytes,
        events,
        side_call_ms: side_call.map(|took| took.as_secs_f64() * 1e3),
    }
}

/// Runs a command line such as `put --clients 100`.
pub fn run_line(line: &[String]) -> Result<Report> {
    let words = std::iter::once("mainstay-bench".to_owned()).chain(line.iter().cloned());
    let options = clap::Parser::try_parse_from(words).context("not a command line")?;
    run(&options)
}

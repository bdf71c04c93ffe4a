//! Rates, times and what the processes used, from what was seen.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::control_plane::plane::{Plane, ROLES, Role};
use crate::load::processes::{Usage, machine_cpu};
use crate::side_by_side::figures::Figure;

const WINDOW: Duration = Duration::from_secs(1);

/// Things that were done since a moment.
pub struct Phase {
    pub began: Instant,
    pub ends: Vec<Instant>,
}

impl Phase {
    /// How many a second, from the moment on to the last.
    pub fn rate(&self) -> f64 {
        let last = self.ends.iter().max().copied().unwrap_or(self.began);
        let seconds = last.duration_since(self.began).as_secs_f64();
        self.ends.len() as f64 / seconds.max(f64::EPSILON)
    }

    /// How many a second in the middle one of all whole windows from the first to the last. The whole rate if there is none.
    pub fn median(&self) -> f64 {
        let (Some(first), Some(last)) = (self.ends.iter().min(), self.ends.iter().max()) else {
            return 0.0;
        };
        let whole = last.duration_since(*first).as_secs() / WINDOW.as_secs();
        let mut windows = vec![0_usize; usize::try_from(whole).unwrap_or(0)];
        for end in &self.ends {
            let at = end.duration_since(*first).as_secs() / WINDOW.as_secs();
            if let Some(count) = usize::try_from(at).ok().and_then(|at| windows.get_mut(at)) {
                *count += 1;
            }
        }
        windows.sort_unstable();
        match windows.get(windows.len() / 2) {
            Some(count) => *count as f64 / WINDOW.as_secs_f64(),
            None => self.rate(),
        }
    }
}

/// The rate in the middle and in all.
pub fn rates(what: &str, phase: &Phase) -> Vec<Figure> {
    vec![
        Figure::new(format!("{what}, median window"), "/s", phase.median()),
        Figure::new(format!("{what}, overall"), "/s", phase.rate()),
    ]
}

/// The middle and the slowest but one in a hundred of spans from one moment to another.
pub fn latencies(what: &str, spans: &[(Instant, Instant)]) -> Vec<Figure> {
    let mut took: Vec<Duration> = spans
        .iter()
        .map(|(from, to)| to.duration_since(*from))
        .collect();
    took.sort_unstable();
    let figure = |percent: usize| {
        let at = (took.len() * percent / 100).min(took.len().saturating_sub(1));
        let millis = took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3);
        Figure::new(format!("{what}: p{percent}"), "ms", millis)
    };
    vec![figure(50), figure(99)]
}

/// What the processes use from a moment on.
pub struct Meter {
    began: Instant,
    before: [Usage; ROLES.len()],
    machine: Duration,
}

/// What they used until another moment.
pub struct Used {
    pub began: Instant,
    wall: Duration,
    cpu: [Duration; ROLES.len()],
    machine: Duration,
    things: usize,
}

impl Meter {
    pub fn start(plane: &Plane) -> Result<Meter> {
        Ok(Meter {
            began: Instant::now(),
            before: plane.usage()?,
            machine: machine_cpu()?,
        })
    }

    /// What was used for so many things.
    pub fn stop(self, plane: &Plane, things: usize) -> Result<Used> {
        let mut cpu = [Duration::ZERO; ROLES.len()];
        for (at, used) in plane.usage()?.into_iter().enumerate() {
            cpu[at] = used.cpu.saturating_sub(self.before[at].cpu);
        }
        Ok(Used {
            began: self.began,
            wall: self.began.elapsed(),
            cpu,
            machine: machine_cpu()?.saturating_sub(self.machine),
            things,
        })
    }
}

impl Used {
    /// Processor time for each thing by role, and how many cores were busy with all of it, and with what is not ours.
    pub fn figures(&self, roles: &[Role]) -> Vec<Figure> {
        let micros = |role: &Role| {
            let seconds = self.cpu[*role as usize].as_secs_f64();
            let each = seconds * 1e6 / self.things.max(1) as f64;
            Figure::new(format!("CPU {}", role.label()), "µs/pod", each)
        };
        let mut figures: Vec<Figure> = roles.iter().map(micros).collect();
        let all: Duration = self.cpu.iter().sum();
        let cores = |name: &str, busy: Duration| {
            let cores = busy.as_secs_f64() / self.wall.as_secs_f64().max(f64::EPSILON);
            Figure::new(name, "cores", cores)
        };
        figures.push(cores("busy", all));
        figures.push(cores("others busy", self.machine.saturating_sub(all)));
        figures
    }

    /// Share of a core that each role took.
    pub fn shares(&self, roles: &[Role]) -> Vec<Figure> {
        let share = |role: &Role| {
            let seconds = self.cpu[*role as usize].as_secs_f64();
            let share = seconds / self.wall.as_secs_f64().max(f64::EPSILON);
            Figure::new(
                format!("CPU {}", role.label()),
                "% of a core",
                share * 100.0,
            )
        };
        roles.iter().map(share).collect()
    }
}

/// Memory that each role holds now.
pub fn memory(plane: &Plane, roles: &[Role]) -> Result<Vec<Figure>> {
    let used = plane.usage()?;
    let megabytes = |role: &Role| {
        let bytes = used[*role as usize].resident_bytes as f64;
        Figure::new(format!("memory {}", role.label()), "MB", bytes / 1e6)
    };
    Ok(roles.iter().map(megabytes).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_count_whole_windows_and_all_time() {
        let began = Instant::now();
        let at = |millis| began + Duration::from_millis(millis);
        let phase = Phase {
            began,
            ends: vec![at(1000), at(1500), at(1600), at(2500), at(3400), at(4000)],
        };
        // From the first on: three, one and one in whole seconds.
        assert!((phase.median() - 1.0).abs() < 1e-9);
        assert!((phase.rate() - 1.5).abs() < 1e-9);
        let short = Phase {
            began,
            ends: vec![at(100), at(500)],
        };
        assert!((short.median() - 4.0).abs() < 1e-9);
    }

    #[test]
    fn percentiles_are_those_of_sorted_spans() {
        let began = Instant::now();
        let spans: Vec<_> = (1..=100)
            .rev()
            .map(|millis| (began, began + Duration::from_millis(millis)))
            .collect();
        let found = latencies("x", &spans);
        assert!((found[0].value - 51.0).abs() < 1e-9);
        assert!((found[1].value - 100.0).abs() < 1e-9);
        assert!(latencies("x", &[])[1].value.abs() < 1e-9);
    }
}

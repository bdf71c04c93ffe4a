//! One run as a picture: throughput, latency, who led, how each member was, and what was done to them.

use std::fmt::Write;

use super::escape;
use crate::nemesis::Injected;
use crate::summary::Summary;
use crate::timeline::{BUCKET_MS, Bucket};

/// Most columns of a picture; more buckets are put together.
const COLUMNS_MAX: usize = 1_000;
const LEFT: f64 = 92.0;
const WIDTH: f64 = 1_000.0;
const RIGHT: f64 = 12.0;
const LABELS: f64 = 62.0;
const RATE_HEIGHT: f64 = 120.0;
const LATENCY_HEIGHT: f64 = 90.0;
const LANE_HEIGHT: f64 = 16.0;
const GAP: f64 = 18.0;
/// Lines on which labels of faults are put, so that neighbours do not cover one another.
const LABEL_LINES: usize = 4;
/// Width of a letter of a label, generously.
const LETTER: f64 = 6.6;

/// Some buckets as one column.
#[derive(Debug, Clone, Copy, Default)]
struct Column {
    ok_a_second: f64,
    writes_a_second: f64,
    p50_us: u64,
    p99_us: u64,
    unknown: u64,
}

/// Places on the picture.
struct Scale {
    end_ms: f64,
}

impl Scale {
    fn x(&self, at_ms: u64) -> f64 {
        LEFT + (at_ms as f64 / self.end_ms).min(1.0) * (WIDTH - LEFT - RIGHT)
    }
}

/// The picture of one run, and its numbers for whoever points at it.
pub(super) fn render(summary: &Summary) -> String {
    let end_ms = summary.end_ms.max(1);
    let scale = Scale {
        end_ms: end_ms as f64,
    };
    let (columns, column_ms) = columns(&summary.timeline.buckets);
    let members = summary.looks.first().map_or(0, |look| look.answered.len());
    let rate_top = LABELS;
    let latency_top = rate_top + RATE_HEIGHT + GAP;
    let lanes_top = latency_top + LATENCY_HEIGHT + GAP;
    let bottom = lanes_top + (members + 1) as f64 * (LANE_HEIGHT + 4.0);
    let height = bottom + 22.0;
    let mut svg = format!(
        "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"timeline of {}\" data-left=\"{LEFT}\" data-right=\"{RIGHT}\" data-width=\"{WIDTH}\" data-end=\"{end_ms}\" data-column=\"{column_ms}\" data-values=\"{}\">",
        escape(&summary.scenario),
        values(&columns)
    );
    bands(&mut svg, &summary.injected, &scale, bottom);
    rate(&mut svg, &columns, (rate_top, column_ms), &scale);
    windows(&mut svg, summary, &scale, rate_top + RATE_HEIGHT);
    latency(&mut svg, &columns, (latency_top, column_ms), &scale);
    lanes(&mut svg, summary, &scale, lanes_top);
    axis(&mut svg, &scale, bottom);
    let _ = write!(
        svg,
        "<line class=\"cross\" x1=\"0\" x2=\"0\" y1=\"{LABELS}\" y2=\"{bottom:.1}\"/></svg>"
    );
    svg
}

fn columns(buckets: &[Bucket]) -> (Vec<Column>, u64) {
    let together = buckets.len().div_ceil(COLUMNS_MAX).max(1);
    let seconds = together as f64 * BUCKET_MS as f64 / 1e3;
    let columns = buckets.chunks(together).map(|chunk| {
        let sum = |of: fn(&Bucket) -> u64| chunk.iter().map(of).sum::<u64>();
        Column {
            ok_a_second: sum(|b| b.ok) as f64 / seconds,
            writes_a_second: sum(|b| b.writes) as f64 / seconds,
            // Of several buckets the worst: a mean would hide it.
            p50_us: chunk.iter().map(|b| b.p50_us).max().unwrap_or(0),
            p99_us: chunk.iter().map(|b| b.p99_us).max().unwrap_or(0),
            unknown: sum(|b| b.unknown),
        }
    });
    (columns.collect(), together as u64 * BUCKET_MS)
}

/// The numbers behind the picture, as short as they can be told.
fn values(columns: &[Column]) -> String {
    let of = |column: &Column| {
        format!(
            "{:.0},{:.0},{},{},{}",
            column.ok_a_second,
            column.writes_a_second,
            column.p50_us,
            column.p99_us,
            column.unknown
        )
    };
    columns.iter().map(of).collect::<Vec<String>>().join(";")
}

/// Which colour a fault has.
fn family(fault: &str) -> &'static str {
    match fault {
        "pause" => "pause",
        "rolling restart" | "move leader" => "planned",
        "damage" | "disk full" | "slow disk" | "sync error" => "damage",
        "crash loop" | "long away" => "kill",
        fault if fault.starts_with("clock") => "clock",
        fault if fault.starts_with("kill") || fault.starts_with("power") => "kill",
        _ => "net",
    }
}

/// Which line has room for a label, if any has; what is covered on each line is kept in `covered`.
fn free_line(covered: &mut [f64; LABEL_LINES], (from, to): (f64, f64)) -> Option<usize> {
    let line = covered.iter().position(|end| *end <= from)?;
    covered[line] = to;
    Some(line)
}

fn bands(svg: &mut String, injected: &[Injected], scale: &Scale, bottom: f64) {
    let mut covered = [0.0; LABEL_LINES];
    for one in injected {
        let x = scale.x(one.start_ms);
        let width = (scale.x(one.end_ms) - x).max(1.5);
        let role = one.role.map(|role| format!(" {role}")).unwrap_or_default();
        let whom = match one.members.as_slice() {
            [member] => format!("{role} m{member}"),
            _ => String::new(),
        };
        let label = escape(&format!("{}{whom}", one.fault));
        let room = label.chars().count() as f64 * LETTER;
        let at = x.min(WIDTH - RIGHT - room);
        // A label without room is left out: the band still has it for whoever points at it.
        let text = match free_line(&mut covered, (at, at + room)) {
            Some(line) => {
                let y = 12.0 + line as f64 * 13.0;
                format!(
                    "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{LABELS}\"/><text x=\"{at:.1}\" y=\"{y:.1}\">{label}</text>",
                    y + 3.0
                )
            }
            None => String::new(),
        };
        let fired = if one.fired { "" } else { " unfired" };
        let _ = write!(
            svg,
            "<g class=\"band {}{fired}\"><title>{label}: {}</title><rect x=\"{x:.1}\" y=\"{LABELS}\" width=\"{width:.1}\" height=\"{:.1}\"/>{text}</g>",
            family(&one.fault),
            escape(&one.evidence),
            bottom - LABELS
        );
    }
}

/// A path through the values of all columns; without any height there is nothing to draw.
fn path(
    columns: &[Column],
    column_ms: u64,
    scale: &Scale,
    y: impl Fn(&Column) -> Option<f64>,
) -> String {
    let mut path = String::new();
    let mut pen_down = false;
    for (index, column) in columns.iter().enumerate() {
        let x = scale.x(index as u64 * column_ms + column_ms / 2);
        match y(column) {
            Some(y) => {
                let _ = write!(path, "{}{x:.1},{y:.1}", if pen_down { "L" } else { "M" });
                pen_down = true;
            }
            None => pen_down = false,
        }
    }
    path
}

fn rate(svg: &mut String, columns: &[Column], (top, column_ms): (f64, u64), scale: &Scale) {
    let most = columns.iter().map(|c| c.ok_a_second).fold(1.0, f64::max);
    let bottom = top + RATE_HEIGHT;
    let y = |value: f64| bottom - value / most * RATE_HEIGHT;
    frame(
        svg,
        (top, RATE_HEIGHT),
        "answers/s",
        &[(y(most), format!("{most:.0}")), (bottom, "0".to_owned())],
    );
    if columns.is_empty() {
        return;
    }
    let all = path(columns, column_ms, scale, |c| Some(y(c.ok_a_second)));
    let first = scale.x(column_ms / 2);
    let last = scale.x((columns.len() as u64 - 1) * column_ms + column_ms / 2);
    let _ = write!(
        svg,
        "<path class=\"area\" d=\"M{first:.1},{bottom:.1}L{}L{last:.1},{bottom:.1}Z\"/><path class=\"all\" d=\"{all}\"/>",
        &all[1..]
    );
    let writes = path(columns, column_ms, scale, |c| Some(y(c.writes_a_second)));
    let _ = write!(svg, "<path class=\"writes\" d=\"{writes}\"/>");
}

/// Times without an acknowledged write, as bars on the floor of the throughput.
fn windows(svg: &mut String, summary: &Summary, scale: &Scale, floor: f64) {
    for window in &summary.timeline.windows {
        let x = scale.x(window.start_ms);
        let width = (scale.x(window.end_ms) - x).max(1.0);
        let _ = write!(
            svg,
            "<g class=\"window\"><title>{} ms without an acknowledged write</title><rect x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"7\"/></g>",
            window.length_ms(),
            floor - 7.0
        );
    }
}

fn latency(svg: &mut String, columns: &[Column], (top, column_ms): (f64, u64), scale: &Scale) {
    // From 100 us to 10 s, by powers of ten.
    let (low, high) = (2.0, 7.0);
    let bottom = top + LATENCY_HEIGHT;
    let y = |us: u64| {
        let level = (us.max(1) as f64).log10().clamp(low, high);
        (us > 0).then(|| bottom - (level - low) / (high - low) * LATENCY_HEIGHT)
    };
    let mark = |us: u64, words: &str| (y(us).unwrap_or(bottom), words.to_owned());
    let marks = [
        mark(1_000, "1 ms"),
        mark(100_000, "100 ms"),
        mark(10_000_000, "10 s"),
    ];
    frame(svg, (top, LATENCY_HEIGHT), "latency", &marks);
    let p99 = path(columns, column_ms, scale, |c| y(c.p99_us));
    let p50 = path(columns, column_ms, scale, |c| y(c.p50_us));
    let _ = write!(
        svg,
        "<path class=\"p99\" d=\"{p99}\"/><path class=\"p50\" d=\"{p50}\"/>"
    );
}

fn frame(svg: &mut String, (top, height): (f64, f64), name: &str, marks: &[(f64, String)]) {
    let right = WIDTH - RIGHT;
    let _ = write!(
        svg,
        "<text class=\"lane\" x=\"2\" y=\"{:.1}\">{name}</text>",
        top + height / 2.0 + 4.0
    );
    for (y, words) in marks {
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"mark\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>",
            LEFT - 6.0,
            y + 3.0
        );
    }
}

/// Who led, and which member answered.
fn lanes(svg: &mut String, summary: &Summary, scale: &Scale, top: f64) {
    let _ = write!(
        svg,
        "<text class=\"lane\" x=\"2\" y=\"{:.1}\">leader</text>",
        top + LANE_HEIGHT - 4.0
    );
    let members = summary.looks.first().map_or(0, |look| look.answered.len());
    for (from, to, led) in runs(summary, |look| {
        look.leader.map(|leader| (leader, look.term))
    }) {
        let Some((leader, term)) = led else {
            continue;
        };
        let class = format!("member m{}", leader % 6);
        let place = (scale.x(from), scale.x(to), top);
        block(
            svg,
            &class,
            place,
            &format!("member {leader} leads, term {term}"),
        );
        if place.1 - place.0 > 44.0 {
            let _ = write!(
                svg,
                "<text class=\"in\" x=\"{:.1}\" y=\"{:.1}\">m{leader} · {term}</text>",
                place.0 + 5.0,
                top + LANE_HEIGHT - 4.5
            );
        }
    }
    for member in 0..members {
        let y = top + (member + 1) as f64 * (LANE_HEIGHT + 4.0);
        let _ = write!(
            svg,
            "<text class=\"lane\" x=\"2\" y=\"{:.1}\">member {member}</text>",
            y + LANE_HEIGHT - 4.0
        );
        for (from, to, up) in runs(summary, |look| Some(look.answered[member])) {
            let (class, words) = match up {
                Some(true) => (format!("member m{} pale", member % 6), "answers"),
                _ => ("silent".to_owned(), "does not answer"),
            };
            let words = format!("member {member} {words}");
            block(svg, &class, (scale.x(from), scale.x(to), y), &words);
        }
        let own = summary
            .injected
            .iter()
            .filter(|one| one.members.contains(&member));
        for one in own {
            let place = (scale.x(one.start_ms), scale.x(one.end_ms), y);
            block(
                svg,
                &format!("state {}", family(&one.fault)),
                place,
                &one.fault,
            );
        }
    }
}

fn block(svg: &mut String, class: &str, (from, to, y): (f64, f64, f64), words: &str) {
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{LANE_HEIGHT}\" rx=\"2\"><title>{}</title></rect>",
        (to - from).max(1.0),
        escape(words)
    );
}

/// Neighbouring looks that show the same, as one stretch.
fn runs<T: PartialEq + Copy>(
    summary: &Summary,
    of: impl Fn(&crate::observe::Look) -> Option<T>,
) -> Vec<(u64, u64, Option<T>)> {
    let mut runs: Vec<(u64, u64, Option<T>)> = Vec::new();
    for look in &summary.looks {
        let value = of(look);
        match runs.last_mut() {
            Some(last) if last.2 == value => last.1 = look.at_ms,
            Some(last) => {
                last.1 = look.at_ms;
                runs.push((look.at_ms, look.at_ms, value));
            }
            None => runs.push((look.at_ms, look.at_ms, value)),
        }
    }
    runs
}

fn axis(svg: &mut String, scale: &Scale, bottom: f64) {
    let seconds = scale.end_ms / 1e3;
    let steps = [
        1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3_600.0, 21_600.0,
    ];
    let step = steps
        .into_iter()
        .find(|step| seconds / step <= 16.0)
        .unwrap_or(86_400.0);
    let mut at = 0.0;
    while at <= seconds {
        let x = scale.x((at * 1e3) as u64);
        let _ = write!(
            svg,
            "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom:.1}\" y2=\"{:.1}\"/><text class=\"mark\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at:.0} s</text>",
            bottom + 4.0,
            bottom + 16.0
        );
        at += step;
    }
}

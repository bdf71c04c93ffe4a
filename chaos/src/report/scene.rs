//! A violation as a picture: each operation a bar from its call to its return, those that show it in red.

use std::fmt::Write;

use super::escape;
use crate::scene::{Scene, Shown};

const WIDTH: f64 = 1_000.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 12.0;
const ROW: f64 = 18.0;
const BAR: f64 = 10.0;
const HEAD: f64 = 6.0;

pub(super) fn render(scene: &Scene) -> String {
    let starts = scene.operations.iter().map(|one| one.call_ns);
    let start = starts.min().unwrap_or(0);
    let end = scene.operations.iter().map(end_ns).max().unwrap_or(0);
    let span = end.saturating_sub(start).max(1) as f64;
    let x = |at_ns: u64| LEFT + (at_ns - start) as f64 / span * (WIDTH - LEFT - RIGHT);
    let bottom = HEAD + scene.operations.len() as f64 * ROW;
    let mut svg = format!(
        "<svg class=\"chart scene\" viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{}\">",
        bottom + 20.0,
        escape(&scene.words)
    );
    for (row, one) in scene.operations.iter().enumerate() {
        let top = HEAD + row as f64 * ROW;
        let (from, to) = (x(one.call_ns), x(end_ns(one)));
        let class = if one.involved { "op involved" } else { "op" };
        // Words stand where there is room: behind a bar on the left, before one on the right.
        let (at, anchor) = if from.midpoint(to) < LEFT + (WIDTH - LEFT) * 0.5 {
            (to + 6.0, "start")
        } else {
            (from - 6.0, "end")
        };
        let _ = write!(
            svg,
            "<g class=\"{class}\"><text class=\"lane\" x=\"2\" y=\"{:.1}\">client {} → member {}</text><rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text></g>",
            top + 12.0,
            one.client,
            one.member,
            top + (ROW - BAR) / 2.0,
            (to - from).max(2.0),
            top + 12.5,
            escape(&one.words)
        );
    }
    let _ = write!(
        svg,
        "<text class=\"mark\" x=\"{LEFT}\" y=\"{0:.1}\">{1:.3} s</text><text class=\"mark\" x=\"{2}\" y=\"{0:.1}\" text-anchor=\"end\">{3:.3} s</text></svg>",
        bottom + 14.0,
        start as f64 / 1e9,
        WIDTH - RIGHT,
        end as f64 / 1e9
    );
    svg
}

/// One that never returned is a dot at its call.
fn end_ns(one: &Shown) -> u64 {
    one.return_ns.unwrap_or(one.call_ns)
}

//! Useful answers a second and their p99 over time, of both pools, as an SVG. Lines are told apart by dashes and by the
//! words beside them, not by colour.

use std::fmt::Write as _;
use std::time::Duration;

use selvage_pool::Class;

use crate::USEFUL;
use crate::figures::Sorted;
use crate::load::{CAPACITY, Call, Shape};

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 560.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 844.0;
const TELLS: &str = "Two panels over time. During the surge ours gives useful answers at its capacity, and the plain pool \
                     soon none; ours' answers take about a second at most, the plain pool's five.";
const STYLE: &str = "text{font:14px system-ui,'Segoe UI',sans-serif;fill:#24211d}.m{text-anchor:middle}.e{text-anchor:end}\
                     .t{font-weight:600}.r{fill:#a33b20}path{fill:none;stroke:#24211d;stroke-width:2}.o{stroke:#a33b20}\
                     .g{stroke:#d8d4cc;stroke-width:1}.dash{stroke-dasharray:9 5}.dots{stroke-dasharray:2 4}";

/// A line, and the words beside it.
struct Line {
    words: &'static str,
    /// At which second they stand, and how far below the line; above it, where negative.
    at: f64,
    below: f64,
    /// How the line is drawn and how the words are, in the style's classes.
    drawn: &'static str,
    written: &'static str,
    /// By second and value.
    points: Vec<(f64, f64)>,
}

/// One diagram.
struct Panel {
    title: &'static str,
    top: f64,
    bottom: f64,
    /// The values at the bottom and at the top.
    range: (f64, f64),
    /// Equal steps up are equal factors.
    is_logarithmic: bool,
    marks: &'static [(f64, &'static str)],
    lines: [Line; 3],
}

/// The picture of a run.
pub(crate) fn draw(shape: &Shape, plain: &[Call], ours: &[Call]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\" aria-label=\"{TELLS}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for panel in [answers(shape, plain, ours), latency(shape, plain, ours)] {
        panel.draw(&mut svg, shape);
    }
    let middle = f64::midpoint(LEFT, RIGHT);
    put(&mut svg, middle, HEIGHT - 8.0, "m", "seconds since the surge began");
    svg.push_str("</svg>\n");
    svg
}

fn answers(shape: &Shape, plain: &[Call], ours: &[Call]) -> Panel {
    let rate = |calls: &[Call]| {
        let useful = seconds(shape, calls, |call| call.answered_in().is_some_and(|took| took <= USEFUL));
        useful.map(|(second, answers)| (second, answers.len() as f64)).collect()
    };
    let ((from, to), capacity) = (range(shape), f64::from(CAPACITY));
    Panel {
        title: "Answers within 2 s",
        top: 34.0,
        bottom: 240.0,
        range: (0.0, 50.0),
        is_logarithmic: false,
        marks: &[(0.0, "0/s"), (10.0, "10/s"), (20.0, "20/s"), (30.0, "30/s"), (40.0, "40/s")],
        lines: [
            Line {
                words: "capacity",
                at: to - 3.0,
                below: -8.0,
                drawn: "dots",
                written: "m",
                points: vec![(from, capacity), (to, capacity)],
            },
            Line {
                words: "plain SeaORM pool",
                at: middle(shape),
                below: -10.0,
                drawn: "dash",
                written: "m",
                points: rate(plain),
            },
            Line { words: "ours", at: middle(shape), below: 24.0, drawn: "o", written: "m r", points: rate(ours) },
        ],
    }
}

fn latency(shape: &Shape, plain: &[Call], ours: &[Call]) -> Panel {
    let p99 = |calls: &[Call], wanted: fn(&Call) -> bool| {
        let answered = seconds(shape, calls, |call| call.answered_in().is_some() && wanted(call));
        let p99 = answered.map(|(second, calls)| {
            (second, Sorted::new(calls.into_iter().filter_map(Call::answered_in)).percentile(99))
        });
        p99.filter_map(|(second, p99)| Some((second, p99?.as_secs_f64()))).collect()
    };
    // Beside the word for the surge there is no room.
    let (at, later) = (middle(shape), middle(shape) * 1.4);
    Panel {
        title: "How long the slowest of a hundred answers took (p99)",
        top: 298.0,
        bottom: 510.0,
        range: (0.02, 20.0),
        is_logarithmic: true,
        marks: &[(0.05, "50 ms"), (0.2, "200 ms"), (1.0, "1 s"), (5.0, "5 s")],
        lines: [
            Line {
                words: "plain SeaORM pool",
                at: later,
                below: -10.0,
                drawn: "dash",
                written: "m",
                points: p99(plain, |_| true),
            },
            Line { words: "ours", at, below: -10.0, drawn: "o", written: "m r", points: p99(ours, |_| true) },
            Line {
                words: "ours, critical callers",
                at,
                below: 22.0,
                drawn: "o dots",
                written: "m r",
                points: p99(ours, |call| call.class == Class::Critical),
            },
        ],
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, shape: &Shape) {
        let (from, to) = range(shape);
        let x = |second: f64| LEFT + (second - from) / (to - from) * (RIGHT - LEFT);
        let scaled = |value: f64| if self.is_logarithmic { value.ln() } else { value };
        let (low, high) = (scaled(self.range.0), scaled(self.range.1));
        let y = |value: f64| self.bottom - (scaled(value) - low) / (high - low) * (self.bottom - self.top);

        let (begin, end) = shape.surge();
        let (begins, wide) = (x(0.0), x((end - begin).as_secs_f64()) - x(0.0));
        let (top, bottom, high) = (self.top, self.bottom, self.bottom - self.top);
        let _ = writeln!(
            svg,
            "<rect x=\"{begins:.1}\" y=\"{top}\" width=\"{wide:.1}\" height=\"{high}\" fill=\"#f3f0ea\"/>"
        );
        put(svg, LEFT, top - 12.0, "t", self.title);
        put(svg, begins + 6.0, top + 17.0, "", "surge: 5 × capacity");
        for (value, words) in self.marks {
            let _ = writeln!(svg, "<path class=\"g\" d=\"M{LEFT} {:.1}H{RIGHT}\"/>", y(*value));
            put(svg, LEFT - 8.0, y(*value) + 5.0, "e", words);
        }
        let _ = writeln!(svg, "<path style=\"stroke-width:1\" d=\"M{LEFT} {bottom}H{RIGHT}\"/>");
        for second in (-1..).map(|five| f64::from(five) * 5.0).take_while(|second| *second <= to) {
            put(svg, x(second), bottom + 18.0, "m", &format!("{second}"));
        }
        for line in &self.lines {
            let points: Vec<_> =
                line.points.iter().map(|(second, value)| format!("{:.1} {:.1}", x(*second), y(*value))).collect();
            let _ = writeln!(svg, "<path class=\"{}\" d=\"M{}\"/>", line.drawn, points.join("L"));
            let distance = |point: &&(f64, f64)| (point.0 - line.at).abs();
            if let Some((_, value)) = line.points.iter().min_by(|a, b| distance(a).total_cmp(&distance(b))) {
                put(svg, x(line.at), y(*value) + line.below, line.written, line.words);
            }
        }
    }
}

fn put(svg: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{words}</text>");
}

/// The calls of each second by when they ended, and the second's middle.
fn seconds<'a>(
    shape: &Shape,
    calls: &'a [Call],
    wanted: impl Fn(&Call) -> bool,
) -> impl Iterator<Item = (f64, Vec<&'a Call>)> {
    let (begin, _) = shape.surge();
    (0..shape.end().as_secs()).map(move |second| {
        let during = Duration::from_secs(second)..Duration::from_secs(second + 1);
        let these = calls.iter().filter(|call| during.contains(&call.ended) && wanted(call)).collect();
        (second as f64 + 0.5 - begin.as_secs_f64(), these)
    })
}

/// The picture's first and last second; 0 is the surge's begin.
fn range(shape: &Shape) -> (f64, f64) {
    let (begin, _) = shape.surge();
    (-begin.as_secs_f64(), (shape.end() - begin).as_secs_f64())
}

fn middle(shape: &Shape) -> f64 {
    let (begin, end) = shape.surge();
    (end - begin).as_secs_f64() / 2.0
}

//! Useful answers a second over time, as an SVG. Lines are told apart by dashes and by the words beside them, not by colour.

use std::fmt::Write as _;

use super::shape::Shape;
use super::table::Row;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 590.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 844.0;
const TELLS: &str = "Two panels over time. In a flash sale Selvage and the KPA give all answers after about eleven seconds, \
                     the HPA on waiters after forty, the HPA on CPU after seventy. With a slow database Selvage soon gives what the \
                     database can; whoever adds replicas gives ever less.";
const STYLE: &str = "text{font:14px system-ui,'Segoe UI',sans-serif;fill:#24211d}.m{text-anchor:middle}.e{text-anchor:end}\
                     .t{font-weight:600}.r{fill:#a33b20}path{fill:none;stroke:#24211d;stroke-width:1.6}.o{stroke:#a33b20;\
                     stroke-width:2.4}.g{stroke:#d8d4cc;stroke-width:1}.dash{stroke-dasharray:9 5}.dots{stroke-dasharray:2 4}\
                     .long{stroke-dasharray:16 5 3 5}";
/// Seconds over which a point is the mean.
const MEAN: usize = 3;

/// A policy's line, and the words beside it.
struct Line {
    policy: &'static str,
    words: &'static str,
    /// At which second they stand, and how far below the line; above it, where negative.
    at: usize,
    below: f64,
    drawn: &'static str,
    written: &'static str,
}

struct Panel {
    title: &'static str,
    shape: Shape,
    top: f64,
    bottom: f64,
    /// The first and the last second, and when it lasts.
    seconds: (usize, usize),
    lasts: (f64, f64),
    most: f64,
    step: f64,
    lines: &'static [Line],
}

const PANELS: [Panel; 2] = [
    Panel {
        title: "Useful answers a second in a flash sale of 20×",
        shape: Shape::FlashSale,
        top: 34.0,
        bottom: 260.0,
        seconds: (40, 160),
        lasts: (60.0, 160.0),
        most: 25_000.0,
        step: 5_000.0,
        lines: &[
            Line {
                policy: "HPA on CPU, 20 a pod",
                words: "HPA on CPU, 20 a pod",
                at: 107,
                below: 22.0,
                drawn: "dots",
                written: "m",
            },
            Line {
                policy: "HPA on waiters, 20 a pod",
                words: "HPA on waiters, 20 a pod",
                at: 91,
                below: -8.0,
                drawn: "dash",
                written: "m",
            },
            Line { policy: "KPA, 20 a pod", words: "KPA, 20 a pod", at: 72, below: 106.0, drawn: "long", written: "" },
            Line { policy: "Selvage", words: "Selvage", at: 82, below: -10.0, drawn: "o", written: "m r" },
        ],
    },
    Panel {
        title: "The same with a slow database, which can do three quarters of what is asked for",
        shape: Shape::SlowDatabase,
        top: 314.0,
        bottom: 540.0,
        seconds: (40, 400),
        lasts: (60.0, 360.0),
        most: 2_500.0,
        step: 500.0,
        lines: &[
            Line {
                policy: "HPA on CPU, 10 a pod",
                words: "HPA on CPU, 10 a pod",
                at: 300,
                below: 20.0,
                drawn: "dots",
                written: "m",
            },
            Line {
                policy: "HPA on waiters, 20 a pod",
                words: "HPA on waiters, 20 a pod",
                at: 300,
                below: 22.0,
                drawn: "dash",
                written: "m",
            },
            Line { policy: "KPA, 20 a pod", words: "KPA, 20 a pod", at: 110, below: 22.0, drawn: "long", written: "m" },
            Line { policy: "Selvage", words: "Selvage", at: 200, below: -14.0, drawn: "o", written: "m r" },
        ],
    },
];

/// The picture of some of the runs.
pub(crate) fn draw(runs: &[(Shape, Vec<Row>)]) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\" aria-label=\"{TELLS}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    for panel in PANELS {
        let rows = runs.iter().find(|(shape, _)| *shape == panel.shape).map(|(_, rows)| rows.as_slice());
        panel.draw(&mut svg, rows.expect("it was run"));
    }
    put(&mut svg, f64::midpoint(LEFT, RIGHT), HEIGHT - 8.0, "m", "seconds");
    svg.push_str("</svg>\n");
    svg
}

impl Panel {
    fn draw(&self, svg: &mut String, rows: &[Row]) {
        let (from, to) = (self.seconds.0 as f64, self.seconds.1 as f64);
        let x = |second: f64| LEFT + (second - from) / (to - from) * (RIGHT - LEFT);
        let y = |value: f64| self.bottom - value / self.most * (self.bottom - self.top);
        let (begins, wide) = (x(self.lasts.0), x(self.lasts.1) - x(self.lasts.0));
        let (top, bottom, high) = (self.top, self.bottom, self.bottom - self.top);
        let _ = writeln!(
            svg,
            "<rect x=\"{begins:.1}\" y=\"{top}\" width=\"{wide:.1}\" height=\"{high}\" fill=\"#f3f0ea\"/>"
        );
        put(svg, LEFT, top - 12.0, "t", self.title);
        for mark in (0..).map(|mark| f64::from(mark) * self.step).take_while(|mark| *mark <= self.most) {
            let _ = writeln!(svg, "<path class=\"g\" d=\"M{LEFT} {:.1}H{RIGHT}\"/>", y(mark));
            put(svg, LEFT - 8.0, y(mark) + 5.0, "e", &format!("{mark}/s"));
        }
        let _ = writeln!(svg, "<path style=\"stroke-width:1\" d=\"M{LEFT} {bottom}H{RIGHT}\"/>");
        let apart = (self.seconds.1 - self.seconds.0) / 6;
        for second in (self.seconds.0..=self.seconds.1).step_by(apart) {
            put(svg, x(second as f64), bottom + 18.0, "m", &format!("{second}"));
        }
        for line in self.lines {
            let row = rows.iter().find(|row| row.policy == line.policy).expect("it was run");
            let value = |second: usize| row.answers[second + 1 - MEAN..=second].iter().sum::<f64>() / MEAN as f64;
            let points: Vec<_> = (self.seconds.0..self.seconds.1)
                .map(|second| format!("{:.1} {:.1}", x(second as f64), y(value(second))))
                .collect();
            let _ = writeln!(svg, "<path class=\"{}\" d=\"M{}\"/>", line.drawn, points.join("L"));
            put(svg, x(line.at as f64), y(value(line.at)) + line.below, line.written, line.words);
        }
    }
}

fn put(svg: &mut String, x: f64, y: f64, class: &str, words: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{words}</text>");
}

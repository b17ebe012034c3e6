//! Pictures where people would rather look than read. Colours are the style sheet's.

use std::fmt::Write as _;

/// Places drawn one by one; of more, groups are.
const MAX_PLACES: u32 = 40;
/// Those who wait, drawn one by one.
const MAX_WAITING: u32 = 12;
/// Seconds that are shown.
pub(crate) const SECONDS: usize = 60;
/// A curve's own size; the style sheet stretches it.
const WIDTH: usize = 118;
const HEIGHT: usize = 40;

/// A pool's connections as places: taken, idle, not made yet; and behind them who waits.
pub(crate) fn places(in_use: u32, idle: u32, limit: u32, waiting: u32) -> String {
    let all = limit.max(in_use);
    let each = all.div_ceil(MAX_PLACES).max(1);
    let mut svg = String::new();
    let drawn = all.div_ceil(each);
    let shown_waiting = waiting.min(MAX_WAITING);
    let width = drawn * 16 + if shown_waiting > 0 { 8 + shown_waiting * 10 } else { 0 };
    let label = format!("{in_use} of {limit} in use, {waiting} waiting");
    let _ = write!(
        svg,
        r#"<svg class="places" viewBox="0 0 {width} 18" width="{width}" height="18" role="img" aria-label="{label}">"#
    );
    for place in 0..drawn {
        let (x, first) = (place * 16 + 1, place * each);
        let state = match first {
            first if first < in_use && first >= limit => "beyond",
            first if first < in_use => "used",
            first if first < in_use + idle => "idle",
            _ => "free",
        };
        let _ = write!(svg, r#"<rect class="{state}" x="{x}" y="2" width="13" height="14" rx="2"/>"#);
    }
    for who in 0..shown_waiting {
        let x = drawn * 16 + 8 + who * 10 + 4;
        let _ = write!(svg, r#"<circle class="waiting" cx="{x}" cy="9" r="4"/>"#);
    }
    svg.push_str("</svg>");
    svg
}

/// A minute of a figure, as an area, its newest value at the right. The highest is `top`, or what there is if that is more.
/// `line` is another figure above it, such as a limit.
pub(crate) fn minute(class: &str, area: &[u64], line: &[u64], top: u64, label: &str) -> String {
    let top = area.iter().chain(line).copied().max().unwrap_or(0).max(top).max(1);
    let y = |value: u64| {
        let height = HEIGHT as u64 - 2;
        2 + height - height * value / top
    };
    let mut svg = format!(
        r#"<svg class="minute {class}" viewBox="0 0 {WIDTH} {}" preserveAspectRatio="none" role="img" aria-label="{label}">"#,
        HEIGHT + 2
    );
    if let Some(first) = points(area, y).first() {
        let bottom = HEIGHT;
        let _ = write!(svg, r#"<path class="area" d="M{} {bottom}"#, first.0);
        for (x, y) in points(area, y) {
            let _ = write!(svg, "L{x} {y}");
        }
        let _ = write!(svg, r#"L{WIDTH} {bottom}Z"/>"#);
    }
    for (class, values) in [("edge", area), ("bound", line)] {
        let points = points(values, y);
        if points.len() > 1 {
            let path: Vec<_> = points.iter().map(|(x, y)| format!("{x} {y}")).collect();
            let _ = write!(svg, r#"<path class="{class}" d="M{}"/>"#, path.join("L"));
        }
    }
    svg.push_str("</svg>");
    svg
}

/// The last minute's, aligned at the right: two units a second.
fn points(values: &[u64], y: impl Fn(u64) -> u64) -> Vec<(usize, u64)> {
    let shown = &values[values.len().saturating_sub(SECONDS)..];
    let first = SECONDS - shown.len();
    shown.iter().enumerate().map(|(at, value)| ((first + at) * WIDTH / (SECONDS - 1), y(*value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_connection_has_its_place_and_who_waits_stands_behind() {
        let svg = places(3, 1, 6, 2);
        let count = |class: &str| svg.matches(&format!(r#"class="{class}""#)).count();
        assert_eq!((count("used"), count("idle"), count("free"), count("waiting")), (3, 1, 2, 2));
        assert!(svg.contains(r#"aria-label="3 of 6 in use, 2 waiting""#));
        assert_eq!(places(5, 0, 3, 0).matches("beyond").count(), 2, "the limit was lowered");
        assert_eq!(places(500, 0, 1_000, 99).matches("<rect").count(), 40);
        assert!(places(u32::MAX / 64, 0, 0, u32::MAX).len() < 8_000);
        assert!(places(0, 0, 0, 0).starts_with("<svg"));
    }

    #[test]
    fn a_minute_ends_at_the_right_and_stays_within_its_picture() {
        let svg = minute("use", &[0, 4], &[4, 4], 4, "in use");
        assert!(svg.contains("M116 40L118 2\""), "{svg}");
        assert!(svg.contains("M116 2L118 2\""), "{svg}");
        assert!(minute("use", &[], &[], 0, "nothing yet").contains("</svg>"));
        assert!(!minute("use", &[9], &[], 4, "x").contains("edge"), "one value is no curve");
        let long: Vec<u64> = (0..500).collect();
        assert!(minute("use", &long, &[], 0, "x").starts_with("<svg class=\"minute use\""));
    }
}

//! Outlines: paths built on one side of the axis and mirrored, and the torso and sleeves most garments share.

use std::fmt::Write as _;

use super::Cut;

/// A point; x is the distance from the garment's axis.
pub(super) type Point = (f64, f64);

/// A coordinate or width as short as can be: a decimal only below ten, where it is seen.
pub(super) fn short(value: f64) -> String {
    let text = if value.abs() < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0".into() } else { text.into() }
}

/// A path of cubic curves.
#[derive(Clone)]
pub(super) struct Outline {
    start: Point,
    curves: Vec<[Point; 3]>,
}

impl Outline {
    pub(super) fn from(x: f64, y: f64) -> Self {
        Self { start: (x, y), curves: Vec::new() }
    }

    fn end(&self) -> Point {
        self.curves.last().map_or(self.start, |curve| curve[2])
    }

    /// A cubic curve to the last point, drawn towards the first two.
    pub(super) fn curve(mut self, first: Point, second: Point, to: Point) -> Self {
        self.curves.push([first, second, to]);
        self
    }

    /// A straight line.
    pub(super) fn line(self, x: f64, y: f64) -> Self {
        let from = self.end();
        self.curve(from, (x, y), (x, y))
    }

    /// The open path.
    pub(super) fn open(&self) -> String {
        let mut path = format!("M{} {}", short(self.start.0), short(self.start.1));
        let mut from = self.start;
        for &[first, second, to] in &self.curves {
            if first == from && second == to {
                let _ = write!(path, "L{} {}", short(to.0), short(to.1));
            } else {
                let _ = write!(path, "C");
                for (place, (x, y)) in [first, second, to].into_iter().enumerate() {
                    let gap = if place == 0 { "" } else { " " };
                    let _ = write!(path, "{gap}{} {}", short(x), short(y));
                }
            }
            from = to;
        }
        path
    }

    /// The closed path.
    pub(super) fn closed(&self) -> String {
        self.open() + "Z"
    }

    /// This half and its mirror image in one open path, from the axis round to the axis.
    pub(super) fn mirrored(&self) -> String {
        let flip = |(x, y): Point| (-x, y);
        let mut whole = self.clone();
        let starts = std::iter::once(self.start).chain(self.curves.iter().map(|curve| curve[2]));
        let back: Vec<_> = starts
            .zip(&self.curves)
            .map(|(from, &[first, second, _])| [flip(second), flip(first), flip(from)])
            .collect();
        whole.curves.extend(back.into_iter().rev());
        whole.closed()
    }
}

/// The front neckline.
#[derive(Clone, Copy)]
pub(super) enum Neckline {
    /// Round, down to this y.
    Round(f64),
    /// Pointed, down to this y.
    Vee(f64),
}

/// The measures of a garment's upper body.
#[derive(Clone, Copy)]
pub(super) struct Torso {
    pub(super) neckline: Neckline,
    /// Where neck and shoulder meet.
    pub(super) neck: Point,
    pub(super) shoulder: Point,
    pub(super) armpit: Point,
    pub(super) hem: Point,
    /// How far the hem dips in the middle; shirt-tails rise at the sides.
    pub(super) dip: f64,
    /// Half the sleeve's width at the cuff.
    pub(super) cuff: f64,
}

impl Torso {
    /// A torso in the given cut; garments adjust it from here.
    pub(super) fn of(cut: Cut) -> Self {
        let (width, drop, hem, cuff) = match cut {
            Cut::Regular => (140.0, 0.0, 572.0, 29.0),
            Cut::Relaxed => (158.0, 15.0, 582.0, 34.0),
            Cut::Slim => (124.0, -6.0, 566.0, 25.0),
            Cut::Cropped => (146.0, 6.0, 476.0, 31.0),
            Cut::Long => (138.0, 2.0, 662.0, 29.0),
        };
        Self {
            neckline: Neckline::Round(178.0),
            neck: (52.0, 128.0),
            shoulder: (width - 6.0 + drop * 0.6, 166.0 + drop * 0.8),
            armpit: (width, 296.0 + drop),
            hem: (width + 1.0, hem),
            dip: 7.0,
            cuff,
        }
    }

    /// The front's outline.
    pub(super) fn body(&self) -> String {
        self.half().mirrored()
    }

    fn half(&self) -> Outline {
        let (nx, ny) = self.neck;
        let (sx, sy) = self.shoulder;
        let (ax, ay) = self.armpit;
        let (hx, hy) = self.hem;
        let neckline = match self.neckline {
            Neckline::Round(y) => Outline::from(0.0, y).curve((nx * 0.66, y), (nx, ny + (y - ny) * 0.55), self.neck),
            Neckline::Vee(y) => {
                Outline::from(0.0, y).curve((nx * 0.35, y - (y - ny) * 0.4), (nx * 0.85, ny + 22.0), self.neck)
            }
        };
        neckline
            .curve((nx + 25.0, ny + 8.0), (sx - 30.0, sy - 14.0), self.shoulder)
            .curve((sx - 5.0, sy + 44.0), (ax - 26.0, ay - 40.0), self.armpit)
            .curve((ax - 8.0, ay + (hy - ay) * 0.35), (hx - 6.0, hy - (hy - ay) * 0.3), self.hem)
            .curve((hx * 0.62, hy + self.dip), (hx * 0.3, hy + self.dip), (0.0, hy + self.dip))
    }

    /// The seen inside of the back, between the back's neckline and the front's.
    pub(super) fn inside(&self) -> String {
        let (nx, ny) = self.neck;
        let (Neckline::Round(y) | Neckline::Vee(y)) = self.neckline;
        Outline::from(0.0, ny + 13.0)
            .curve((nx * 0.5, ny + 13.0), (nx * 0.85, ny + 6.0), (nx, ny - 1.0))
            .line(nx + 16.0, ny + 14.0)
            .line(nx * 0.8, y + 6.0)
            .line(0.0, y + 10.0)
            .mirrored()
    }

    /// The back's neckline as an open path.
    pub(super) fn back_neck(&self) -> String {
        let (nx, ny) = self.neck;
        format!("M{0} {1}Q0 {2} {3} {1}", short(-nx), short(ny + 1.0), short(ny + 26.0), short(nx))
    }

    /// The front's neckline as an open path.
    pub(super) fn front_neck(&self) -> String {
        let (nx, ny) = self.neck;
        match self.neckline {
            Neckline::Round(y) => {
                let shoulder = ny + (y - ny) * 0.55;
                Outline::from(-nx, ny)
                    .curve((-nx, shoulder), (-nx * 0.66, y), (0.0, y))
                    .curve((nx * 0.66, y), (nx, shoulder), (nx, ny))
                    .open()
            }
            Neckline::Vee(y) => {
                let (low, high) = ((nx * 0.35, y - (y - ny) * 0.4), (nx * 0.85, ny + 22.0));
                Outline::from(-nx, ny)
                    .curve((-high.0, high.1), (-low.0, low.1), (0.0, y))
                    .curve(low, high, (nx, ny))
                    .open()
            }
        }
    }

    /// The right sleeve down to the wrist; `fullness` widens its lower half (a bishop sleeve).
    pub(super) fn long_sleeve(&self, fullness: f64) -> Sleeve {
        let length = 366.0 - (self.shoulder.1 - 166.0);
        self.sleeve(15.0, length, self.cuff, fullness)
    }

    /// The right sleeve down to above the elbow.
    pub(super) fn short_sleeve(&self) -> Sleeve {
        self.sleeve(36.0, 118.0, self.cuff + 22.0, 0.0)
    }

    fn sleeve(&self, degrees: f64, length: f64, half_width: f64, fullness: f64) -> Sleeve {
        let (sx, sy) = self.shoulder;
        let (ax, ay) = self.armpit;
        let (sin, cos) = degrees.to_radians().sin_cos();
        // The sleeve's axis starts in the middle of the armhole.
        let from = ((sx + ax) / 2.0 - 6.0, (sy + ay) / 2.0 - 34.0);
        let at = |along: f64, out: f64| (from.0 + sin * along + cos * out, from.1 + cos * along - sin * out);
        let (outer, inner) = (at(length, half_width), at(length, -half_width));
        let bulge = half_width + 16.0 + fullness;
        let outline = if length > 200.0 {
            Outline::from(sx - 24.0, sy - 4.0)
                .line(sx, sy)
                .curve((sx + 34.0, sy + 22.0), at(length * 0.45, bulge + 6.0), at(length * 0.62, bulge))
                .curve(at(length * 0.8, bulge), at(length * 0.93, half_width + fullness), outer)
                .line(inner.0, inner.1)
                .curve(
                    at(length * 0.92, -half_width - fullness * 0.9),
                    at(length * 0.6, -half_width - 8.0 - fullness * 0.5),
                    (ax + 3.0, ay + 12.0),
                )
                .line(ax - 34.0, ay - 40.0)
        } else {
            Outline::from(sx - 24.0, sy - 4.0)
                .line(sx, sy)
                .curve((sx + 24.0, sy + 12.0), at(length * 0.6, half_width + 2.0), outer)
                .line(inner.0, inner.1)
                .curve(at(length * 0.92, -half_width), at(length * 0.86, -half_width), (ax, ay))
                .line(ax - 34.0, ay - 40.0)
        };
        Sleeve { outline: outline.closed(), degrees: -degrees, end: at(length, 0.0), half_width, axis: (sin, cos) }
    }
}

/// A sleeve hanging from the right shoulder.
pub(super) struct Sleeve {
    pub(super) outline: String,
    /// How the weave turns to follow the arm.
    pub(super) degrees: f64,
    /// The middle of its end.
    end: Point,
    half_width: f64,
    axis: Point,
}

impl Sleeve {
    /// The point `along` beyond the sleeve's end (negative: before it) and `out` from its axis.
    pub(super) fn at(&self, along: f64, out: f64) -> Point {
        let (sin, cos) = self.axis;
        (self.end.0 + sin * along + cos * out, self.end.1 + cos * along - sin * out)
    }

    /// How far from the garment's axis the sleeve reaches, with a cuff.
    pub(super) fn reach(&self) -> f64 {
        self.at(0.0, self.half_width).0 + if self.degrees > -25.0 { 14.0 } else { 2.0 }
    }

    /// A cuff of this length at the end, narrower than the sleeve by `gather`.
    pub(super) fn cuff(&self, length: f64, gather: f64) -> String {
        let half = self.half_width;
        let corners = [
            self.at(-2.0, half + 1.0 - gather * 0.4),
            self.at(length, half - gather),
            self.at(length, -half + gather),
            self.at(-2.0, -half - 1.0 + gather * 0.4),
        ];
        let [a, b, c, d] = corners;
        Outline::from(a.0, a.1)
            .curve(self.at(length * 0.4, half + 1.0 - gather * 0.4), self.at(length * 0.8, half - gather), b)
            .curve(self.at(length + 3.0, half * 0.4), self.at(length + 3.0, -half * 0.4), c)
            .curve(self.at(length * 0.8, -half + gather), self.at(length * 0.4, -half - 1.0 + gather * 0.4), d)
            .closed()
    }

    /// A line across the sleeve, `along` from its end.
    pub(super) fn across(&self, along: f64) -> String {
        let (a, b) = (self.at(along, self.half_width + 1.0), self.at(along, -self.half_width - 1.0));
        Outline::from(a.0, a.1).line(b.0, b.1).open()
    }

    /// Creases at the elbow and towards the armpit, as open paths: dark and light.
    pub(super) fn folds(&self) -> (String, String) {
        let half = self.half_width;
        let line = |from: Point, bend: Point, to: Point| Outline::from(from.0, from.1).curve(bend, bend, to).open();
        let dark = line(self.at(-190.0, -half), self.at(-205.0, 0.0), self.at(-250.0, half * 0.7))
            + &line(self.at(-120.0, -half), self.at(-140.0, -4.0), self.at(-150.0, half * 0.4))
            + &line(self.at(-20.0, half * 0.2), self.at(-60.0, half * 0.3), self.at(-100.0, 0.0));
        let light = line(self.at(-30.0, half * 0.65), self.at(-150.0, half), self.at(-270.0, half * 1.1))
            + &line(self.at(-170.0, -half), self.at(-185.0, 0.0), self.at(-225.0, half * 0.4));
        (dark, light)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            (short(-0.04), short(12.0), short(1.25), short(-3.5)),
            ("0".into(), "12".into(), "1.2".into(), "-3.5".into())
        );
    }

    #[test]
    fn a_mirrored_outline_comes_back_to_its_start() {
        let half = Outline::from(0.0, 0.0).line(10.0, 0.0).curve((12.0, 4.0), (12.0, 6.0), (10.0, 9.0)).line(0.0, 9.0);
        assert_eq!(half.mirrored(), "M0 0L10 0C12 4 12 6 10 9L0 9L-10 9C-12 6 -12 4 -10 0L0 0Z");
    }
}

//! Colours and the shades derived from them, in OKLab so that equal steps look equal for every hue.

use std::{fmt, str::FromStr};

use super::KeyError;

/// An opaque sRGB colour, written as six lower-case hexadecimal digits without `#`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Colour {
    red: u8,
    green: u8,
    blue: u8,
}

impl Colour {
    /// The colour of these sRGB components.
    pub const fn new(red: u8, green: u8, blue: u8) -> Self {
        Self { red, green, blue }
    }

    /// Lightness as seen, 0 (black) to 1 (white).
    pub(super) fn lightness(self) -> f64 {
        Lab::of(self).l
    }

    /// This colour moved by `step` in lightness (-1 to 1), keeping hue and chroma as far as sRGB can show them.
    pub(super) fn lighter(self, step: f64) -> Self {
        let lab = Lab::of(self);
        Lab { l: (lab.l + step).clamp(0.0, 1.0), ..lab }.colour()
    }

    /// A blend: `share` 0 is this colour, 1 is `other`.
    pub(super) fn mixed(self, other: Self, share: f64) -> Self {
        let (p, q) = (Lab::of(self), Lab::of(other));
        let at = |from: f64, to: f64| from + (to - from) * share;
        Lab { l: at(p.l, q.l), a: at(p.a, q.a), b: at(p.b, q.b) }.colour()
    }

    /// A colour of this hue with the given lightness and chroma; greys take the hue of warm sand.
    pub(super) fn tint(self, lightness: f64, chroma: f64) -> Self {
        let lab = Lab::of(self);
        let own = lab.a.hypot(lab.b);
        // Sand (about 75 degrees) pulls every hue a little towards warm, and wholly so when there is no hue to keep.
        let sand = 75f64.to_radians();
        let weight = (own / 0.05).min(1.0) * 0.44;
        let (hue_a, hue_b) = if own > 1e-4 { (lab.a / own, lab.b / own) } else { (0.0, 0.0) };
        let a = hue_a * weight + sand.cos() * (1.0 - weight);
        let b = hue_b * weight + sand.sin() * (1.0 - weight);
        let length = a.hypot(b).max(0.35);
        Lab { l: lightness, a: a / length * chroma, b: b / length * chroma }.colour()
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}{:02x}{:02x}", self.red, self.green, self.blue)
    }
}

impl FromStr for Colour {
    type Err = KeyError;

    /// Only the canonical form parses, so that a picture has one key.
    fn from_str(text: &str) -> Result<Self, KeyError> {
        if text.len() != 6 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(KeyError::Colour);
        }
        let part = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| KeyError::Colour);
        Ok(Self::new(part(0)?, part(2)?, part(4)?))
    }
}

/// OKLab (Björn Ottosson, 2020).
#[derive(Clone, Copy)]
struct Lab {
    l: f64,
    a: f64,
    b: f64,
}

impl Lab {
    fn of(colour: Colour) -> Self {
        let linear = |part: u8| {
            let value = f64::from(part) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let (r, g, b) = (linear(colour.red), linear(colour.green), linear(colour.blue));
        let l = (0.412_221_470_8 * r + 0.536_332_536_3 * g + 0.051_445_992_9 * b).cbrt();
        let m = (0.211_903_498_2 * r + 0.680_699_545_1 * g + 0.107_396_956_6 * b).cbrt();
        let s = (0.088_302_461_9 * r + 0.281_718_837_6 * g + 0.629_978_700_5 * b).cbrt();
        Self {
            l: 0.210_454_255_3 * l + 0.793_617_785_0 * m - 0.004_072_046_8 * s,
            a: 1.977_998_495_1 * l - 2.428_592_205_0 * m + 0.450_593_709_9 * s,
            b: 0.025_904_037_1 * l + 0.782_771_766_2 * m - 0.808_675_766_0 * s,
        }
    }

    fn colour(self) -> Colour {
        let l = (self.l + 0.396_337_777_4 * self.a + 0.215_803_757_3 * self.b).powi(3);
        let m = (self.l - 0.105_561_345_8 * self.a - 0.063_854_172_8 * self.b).powi(3);
        let s = (self.l - 0.089_484_177_5 * self.a - 1.291_485_548_0 * self.b).powi(3);
        let part = |value: f64| {
            let value = value.clamp(0.0, 1.0);
            let shown = if value <= 0.003_130_8 { value * 12.92 } else { 1.055 * value.powf(1.0 / 2.4) - 0.055 };
            // Clamped to 0..=1 above, so it rounds into a byte.
            (shown * 255.0).round() as u8
        };
        Colour::new(
            part(4.076_741_662_1 * l - 3.307_711_591_3 * m + 0.230_969_929_2 * s),
            part(-1.268_438_004_6 * l + 2.609_757_401_1 * m - 0.341_319_396_5 * s),
            part(-0.004_196_086_3 * l - 0.703_418_614_7 * m + 1.707_614_701_0 * s),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oklab_round_trips_every_grey_and_the_corners() {
        for value in 0..=255 {
            for colour in [Colour::new(value, value, value), Colour::new(value, 0, 255), Colour::new(255, value, 0)] {
                assert_eq!(Lab::of(colour).colour(), colour);
            }
        }
    }

    #[test]
    fn a_step_lighter_is_lighter_and_stays_a_colour() {
        let navy = Colour::new(0x2f, 0x4b, 0x6e);
        assert!(navy.lighter(0.1).lightness() > navy.lightness());
        assert_eq!(Colour::new(90, 90, 90).lighter(2.0), Colour::new(255, 255, 255));
        assert_eq!(navy.mixed(navy, 0.5), navy);
    }

    #[test]
    fn only_six_lower_case_digits_are_a_colour() {
        assert_eq!("f2ede4".parse(), Ok(Colour::new(0xf2, 0xed, 0xe4)));
        for wrong in ["", "f2ede", "f2ede45", "F2EDE4", "+12345", "éabcd", "gggggg"] {
            assert_eq!(wrong.parse::<Colour>(), Err(KeyError::Colour), "{wrong}");
        }
    }
}

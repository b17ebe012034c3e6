//! The plain words for a colour. A shade may be called Ink or Oat; people search for navy and beige.

/// What people call the colour of these six hexadecimal digits: two words at the most, none if they aren't digits.
///
/// The bounds are on hue, saturation and lightness (HSL), set so that the shop's own shades fall where people see them.
pub fn words(hex: &str) -> &'static [&'static str] {
    let part = |at: usize| hex.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).map(f64::from);
    let (Some(red), Some(green), Some(blue)) = (part(0), part(2), part(4)) else { return &[] };
    let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
    let (lightness, chroma) = ((most + least) / 510.0, (most - least) / 255.0);
    let saturation = if chroma == 0.0 { 0.0 } else { chroma / (1.0 - (2.0 * lightness - 1.0).abs()) };
    let turn = match () {
        () if chroma == 0.0 => 0.0,
        () if most == red => ((green - blue) / (most - least)).rem_euclid(6.0),
        () if most == green => (blue - red) / (most - least) + 2.0,
        () => (red - green) / (most - least) + 4.0,
    };
    let hue = 60.0 * turn;
    match () {
        () if lightness < 0.19 && chroma < 0.06 => &["black"],
        () if chroma < 0.08 && lightness > 0.88 => &["white", "cream"],
        () if chroma < 0.08 || saturation < 0.1 => &["grey"],
        () if lightness > 0.88 && (25.0..70.0).contains(&hue) => &["white", "cream"],
        () if (25.0..70.0).contains(&hue) && lightness > 0.6 && saturation < 0.55 => &["beige", "cream"],
        () if (15.0..45.0).contains(&hue) && lightness > 0.4 && saturation > 0.75 => &["orange"],
        () if !(12.0..345.0).contains(&hue) && lightness > 0.7 => &["pink"],
        () if !(12.0..330.0).contains(&hue) && lightness < 0.4 => &["red", "burgundy"],
        () if !(17.0..345.0).contains(&hue) && lightness < 0.58 => &["red", "rust"],
        () if !(25.0..345.0).contains(&hue) && lightness > 0.72 => &["pink"],
        () if !(25.0..345.0).contains(&hue) && lightness > 0.58 => &["orange", "pink"],
        () if !(36.0..345.0).contains(&hue) => {
            if lightness < 0.6 {
                &["brown", "tan"]
            } else {
                &["orange"]
            }
        }
        () if hue < 66.0 => {
            if saturation < 0.3 && lightness < 0.45 {
                &["green", "olive"]
            } else {
                &["yellow"]
            }
        }
        () if hue < 165.0 => &["green"],
        () if hue < 190.0 => &["green", "turquoise"],
        () if hue < 250.0 && saturation < 0.2 => &["blue", "grey"],
        () if hue < 250.0 => {
            if lightness < 0.28 {
                &["blue", "navy"]
            } else {
                &["blue"]
            }
        }
        () if hue < 300.0 => &["purple", "lilac"],
        () => &["pink", "purple"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shades_have_the_names_that_people_give_them() {
        for (hex, called) in [
            ("26324a", "navy"),
            ("1f2740", "navy"),
            ("28385a", "navy"),
            ("2f5b8a", "blue"),
            ("9db8d2", "blue"),
            ("8aa9c6", "blue"),
            ("e4d8c2", "beige"),
            ("cdb893", "beige"),
            ("f3efe6", "white"),
            ("f4eddc", "white"),
            ("3b3d42", "grey"),
            ("c3c6c5", "grey"),
            ("222225", "black"),
            ("242322", "black"),
            ("2a2a2d", "black"),
            ("a8543b", "rust"),
            ("a65340", "red"),
            ("8a3347", "red"),
            ("5e2529", "burgundy"),
            ("6d3049", "burgundy"),
            ("d6806a", "orange"),
            ("e3bfb2", "pink"),
            ("cf9a3c", "yellow"),
            ("efdca4", "yellow"),
            ("9a5b34", "brown"),
            ("6b4028", "brown"),
            ("b98552", "brown"),
            ("5c6b47", "green"),
            ("2f4a40", "green"),
            ("98a58a", "green"),
            ("5a5a3c", "green"),
            ("b6a8c6", "lilac"),
            ("ffffff", "white"),
            ("000000", "black"),
            ("808080", "grey"),
            ("ff0000", "red"),
            ("00ff00", "green"),
            ("0000ff", "blue"),
            ("ffff00", "yellow"),
            ("ff8000", "orange"),
        ] {
            assert!(words(hex).contains(&called), "{hex} is {called}, not {:?}", words(hex));
        }
        assert!(words("").is_empty() && words("12345g").is_empty() && words("ääh").is_empty());
    }

    #[test]
    fn every_colour_has_a_word() {
        for step in 0..4096_u32 {
            let hex = format!("{:02x}{:02x}{:02x}", (step >> 8) * 17, (step >> 4 & 15) * 17, (step & 15) * 17);
            assert!((1..=2).contains(&words(&hex).len()), "{hex}");
        }
    }
}

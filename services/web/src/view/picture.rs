//! Which picture stands for a product.

use selvage_proto::catalogue::v1 as api;

use crate::drawn;

/// The drawing that stands in for a key which the drawing vocabulary doesn't know.
const FALLBACK: &str = "tshirt.regular.plain.8f8a80.f2ede4";
/// Longer addresses of photographs, in bytes, aren't put into pages.
const MAX_ADDRESS: usize = 2_000;

/// A drawn picture and, over it, a photograph if there is one. Where the photograph fails to load, the drawing is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// The drawing's address.
    pub drawn: String,
    /// An https address; empty if there is none.
    pub photo: String,
    /// What is seen, in words.
    pub alt: String,
}

impl Picture {
    /// Of the product `picture` in the colour `hex`.
    pub fn new(picture: Option<&api::Picture>, hex: &str, photo: &str, alt: impl Into<String>) -> Self {
        let key = picture.map(|picture| {
            let api::Picture { garment, cut, pattern, accent } = picture;
            format!("{garment}.{cut}.{pattern}.{hex}.{accent}")
        });
        Self::of_key(&key.unwrap_or_default(), photo, alt)
    }

    /// Of a key as lines of bags and orders have it.
    pub fn of_key(key: &str, photo: &str, alt: impl Into<String>) -> Self {
        let known = key.parse::<selvage_drawing::Picture>().is_ok();
        let photo = if photo.starts_with("https://") && photo.len() <= MAX_ADDRESS { photo } else { "" };
        Self { drawn: drawn::address(if known { key } else { FALLBACK }), photo: photo.to_owned(), alt: alt.into() }
    }
}

/// A colour as SVG takes it; a neutral one where the catalogue's isn't six digits.
pub fn fill(hex: &str) -> String {
    let right = hex.len() == 6 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    format!("#{}", if right { hex } else { "8f8a80" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_is_of_the_colour_and_the_photograph_over_it() {
        let shirt = api::Picture {
            garment: "shirt".into(),
            cut: "relaxed".into(),
            pattern: "stripe".into(),
            accent: "f2ede4".into(),
        };
        let picture = Picture::new(Some(&shirt), "2f4b6e", "https://example.com/a.jpg", "A shirt");
        assert!(picture.drawn.starts_with("/drawn/shirt.relaxed.stripe.2f4b6e.f2ede4.svg?v="));
        assert_eq!(picture.photo, "https://example.com/a.jpg");
    }

    #[test]
    fn what_cant_be_drawn_or_trusted_is_replaced() {
        assert!(FALLBACK.parse::<selvage_drawing::Picture>().is_ok());
        let picture = Picture::of_key("\"><script>", "http://example.com/a.jpg", "");
        assert!(picture.drawn.starts_with(&format!("/drawn/{FALLBACK}.svg")));
        assert_eq!(picture.photo, "");
        assert_eq!(fill("red\" onload=\"x"), "#8f8a80");
    }
}

//! Drawn pictures, by their keys.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use selvage_drawing::{Colour, Cut, Garment, Pattern, Picture, draw};

use crate::assets::IMMUTABLE;
use crate::mac::content_hash;

/// A hash over one picture of each garment and each pattern. It stands in the addresses of pictures, so that browsers fetch
/// them again when the way in which they are drawn changes.
static EDITION: LazyLock<String> = LazyLock::new(|| {
    let colour = |hex: &str| hex.parse::<Colour>().expect("six digits");
    let picture = |garment, pattern| {
        let (colour, accent) = (colour("2f4b6e"), colour("f2ede4"));
        draw(&Picture { garment, cut: Cut::Regular, pattern, colour, accent })
    };
    let garments = Garment::ALL.iter().map(|garment| picture(*garment, Pattern::Plain));
    let patterns = Pattern::ALL.iter().map(|pattern| picture(Garment::Shirt, *pattern));
    let drawn: Vec<_> = garments.chain(patterns).collect();
    content_hash(drawn.iter().map(String::as_bytes))
});

/// The address of the picture `key`.
pub(crate) fn address(key: &str) -> String {
    format!("/drawn/{key}.svg?v={}", *EDITION)
}

/// `GET /drawn/{key}.svg`. Drawing takes well under a millisecond, less than a cache would be worth.
pub(crate) async fn get(Path(file): Path<String>) -> Response {
    match file.strip_suffix(".svg").and_then(|key| key.parse::<Picture>().ok()) {
        Some(picture) => {
            let headers = [(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, IMMUTABLE)];
            (headers, draw(&picture)).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

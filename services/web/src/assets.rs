//! Style sheets and scripts, built into the program, under addresses that change with their content.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use crate::mac::content_hash;

struct Asset {
    name: &'static str,
    content_type: &'static str,
    content: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static ASSETS: [Asset; 6] = [
    Asset { name: "base.css", content_type: CSS, content: include_bytes!("../assets/base.css") },
    Asset { name: "shop.css", content_type: CSS, content: include_bytes!("../assets/shop.css") },
    Asset { name: "shop.js", content_type: SCRIPT, content: include_bytes!("../assets/shop.js") },
    Asset { name: "ops.css", content_type: CSS, content: include_bytes!("../assets/ops.css") },
    Asset { name: "ops.js", content_type: SCRIPT, content: include_bytes!("../assets/ops.js") },
    Asset { name: "favicon.svg", content_type: SVG, content: include_bytes!("../assets/favicon.svg") },
];

/// One hash over all assets: they are small and change together.
static HASH: LazyLock<String> = LazyLock::new(|| content_hash(ASSETS.iter().map(|asset| asset.content)));

/// The `Cache-Control` of what never changes under its address: browsers keep it for a year.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// The address of the asset `name`.
pub(crate) fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *HASH)
}

/// `GET /assets/{hash}/{name}`
pub(crate) async fn get(Path((hash, name)): Path<(String, String)>) -> Response {
    let found = ASSETS.iter().find(|asset| asset.name == name);
    match found.filter(|_| hash == *HASH) {
        Some(asset) => {
            ([(header::CONTENT_TYPE, asset.content_type), (header::CACHE_CONTROL, IMMUTABLE)], asset.content)
                .into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `GET /favicon.svg`, which has no hash in its address.
pub(crate) async fn favicon() -> Response {
    let icon = include_bytes!("../assets/favicon.svg").as_slice();
    ([(header::CONTENT_TYPE, SVG), (header::CACHE_CONTROL, "public, max-age=86400")], icon).into_response()
}

/// `GET /robots.txt`: search engines may list products, but no bags, orders or searches.
pub(crate) async fn robots() -> Response {
    const TEXT: &str =
        "User-agent: *\nDisallow: /bag\nDisallow: /checkout\nDisallow: /ops\nDisallow: /orders\nDisallow: /search\n";
    ([(header::CACHE_CONTROL, "public, max-age=86400")], TEXT).into_response()
}

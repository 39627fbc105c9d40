//! Style sheet and script, part of the program. Their addresses hold a hash of their content, so browsers may keep them
//! for good and never show an old one.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;

use super::Web;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Files;

struct Asset {
    name: &'static str,
    kind: &'static str,
    hash: String,
    content: Vec<u8>,
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    let kinds = [
        ("style.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ];
    kinds
        .into_iter()
        .filter_map(|(name, kind)| {
            let file = Files::get(name)?;
            let hash = file.metadata.sha256_hash();
            let hash = hash[..8].iter().fold(String::new(), |mut hex, byte| {
                // Writing into a string cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            Some(Asset {
                name,
                kind,
                hash,
                content: file.data.into_owned(),
            })
        })
        .collect()
});

fn url(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset.map_or_else(String::new, |asset| format!("/assets/{}/{name}", asset.hash))
}

pub(super) fn style() -> String {
    url("style.css")
}

pub(super) fn script() -> String {
    url("page.js")
}

pub(super) fn icon() -> String {
    url("icon.svg")
}

/// An asset's text, for the report, which stands alone.
pub(super) fn text(name: &str) -> String {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    asset.map_or_else(String::new, |asset| {
        String::from_utf8_lossy(&asset.content).into_owned()
    })
}

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/assets/{hash}/{name}", get(asset))
        .route("/favicon.ico", get(|| async { StatusCode::NO_CONTENT }))
}

async fn asset(Path((hash, name)): Path<(String, String)>) -> Response {
    let found = ASSETS
        .iter()
        .find(|asset| asset.name == name && asset.hash == hash);
    match found {
        Some(asset) => {
            let headers = [
                (header::CONTENT_TYPE, asset.kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, asset.content.clone()).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_pages_name_is_there() {
        for url in [style(), script(), icon()] {
            assert!(url.starts_with("/assets/") && url.len() > 26, "{url}");
        }
    }

    /// Nothing may be loaded from elsewhere: the page must work on a machine without a network.
    #[test]
    fn assets_name_no_other_place() {
        for asset in ASSETS.iter() {
            let text = String::from_utf8_lossy(&asset.content).replace("http://www.w3.org/2000/svg", "");
            for word in ["http:", "https:", "//cdn", "@import"] {
                assert!(!text.contains(word), "{} has {word}", asset.name);
            }
        }
    }
}

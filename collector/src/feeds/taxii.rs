//! TAXII 2.1 (OASIS, §5.4): the objects of a collection, page by page.

use std::io::Read;

use anyhow::{Context, bail};
use serde_json::Value;
use ureq::Agent;

use super::fetch::{Fetched, later};

const MEDIA_TYPE: &str = "application/taxii+json;version=2.1";
/// Pages of one fetch; a server that always has one more must not hold us.
const MAX_PAGES: usize = 10_000;

/// Fetches all pages and hands their objects on as JSON Lines.
pub(super) fn fetch(
    agent: &Agent,
    url: &str,
    authorization: Option<&str>,
    limit: u64,
    keep: impl FnOnce(&[u8]) -> anyhow::Result<()>,
) -> anyhow::Result<Fetched> {
    let mut lines: Vec<u8> = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MAX_PAGES {
        let mut request = agent
            .get(url)
            .header("accept", MEDIA_TYPE)
            .query("match[type]", "indicator");
        if let Some(next) = &next {
            request = request.query("next", next);
        }
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let mut response = request.call().with_context(|| format!("cannot fetch {url}"))?;
        let status = response.status().as_u16();
        if let Some(later) = later(status, response.headers()) {
            return Ok(later);
        }
        if status != 200 {
            bail!("{url} answers {status}");
        }
        let mut body = Vec::new();
        let room = limit.saturating_sub(lines.len() as u64);
        response
            .body_mut()
            .as_reader()
            .take(room + 1)
            .read_to_end(&mut body)?;
        if body.len() as u64 > room {
            bail!("{url}: the collection is longer than the feed's max_mib");
        }
        let mut page: Value =
            serde_json::from_slice(&body).with_context(|| format!("{url}: no TAXII envelope"))?;
        if let Some(objects) = page.get_mut("objects").and_then(Value::as_array_mut) {
            for object in objects.drain(..) {
                serde_json::to_writer(&mut lines, &object)?;
                lines.push(b'\n');
            }
        }
        let more = page.get("more").and_then(Value::as_bool).unwrap_or(false);
        next = page.get("next").and_then(Value::as_str).map(str::to_owned);
        if !more || next.is_none() {
            keep(&lines)?;
            return Ok(Fetched::New);
        }
    }
    bail!("{url}: more than {MAX_PAGES} pages")
}

//! Fetching a feed over HTTP: conditional requests, bounded bodies, `Retry-After`.

use std::io::Read;
use std::time::Duration;

use anyhow::{Context, bail};
use ureq::Agent;
use ureq::http::header::{ETAG, HeaderMap, HeaderName, LAST_MODIFIED, RETRY_AFTER};

use super::cache::{Cache, Stamp};
use super::{FeedConfig, taxii};

/// Whole request, body included.
const TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT: Duration = Duration::from_secs(20);
/// The longest wait that a server may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(86_400);

/// What a fetch came to.
#[derive(Debug)]
pub(super) enum Fetched {
    New,
    /// The copy is still the newest.
    Same,
    /// The server asks to come later.
    Later {
        status: u16,
        wait: Option<Duration>,
    },
}

pub(super) fn agent(tls: Option<ureq::tls::TlsConfig>) -> Agent {
    let mut config = Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .timeout_connect(Some(CONNECT))
        .http_status_as_error(false)
        .max_redirects(5)
        .user_agent(concat!("lynceus/", env!("CARGO_PKG_VERSION")));
    if let Some(tls) = tls {
        config = config.tls_config(tls);
    }
    config.build().into()
}

/// Asks whether there is something newer than the copy and replaces the copy if so.
pub(super) fn fetch(agent: &Agent, feed: &FeedConfig, cache: &Cache, now: i64) -> anyhow::Result<Fetched> {
    let url = feed.url.as_deref().unwrap_or_default();
    let authorization = authorization(feed)?;
    let known = cache.get(&feed.name, url).map(|(_, stamp)| stamp);
    let limit = feed.max_mib << 20;
    if feed.taxii {
        let stamp = Stamp {
            url: url.to_owned(),
            fetched: now,
            ..Stamp::default()
        };
        return taxii::fetch(agent, url, authorization.as_deref(), limit, |body| {
            cache
                .put(&feed.name, body, limit, &stamp)
                .context("cannot keep the copy")
        });
    }
    let mut request = agent.get(url);
    if let Some(value) = &authorization {
        request = request.header("authorization", value);
    }
    if let Some(stamp) = &known {
        if let Some(etag) = &stamp.etag {
            request = request.header("if-none-match", etag);
        }
        if let Some(date) = &stamp.last_modified {
            request = request.header("if-modified-since", date);
        }
    }
    let mut response = request.call().with_context(|| format!("cannot fetch {url}"))?;
    let status = response.status().as_u16();
    if let (304, Some(stamp)) = (status, known) {
        let stamp = Stamp {
            fetched: now,
            ..stamp
        };
        cache
            .touch(&feed.name, &stamp)
            .context("cannot note that the copy is new")?;
        return Ok(Fetched::Same);
    }
    if let Some(later) = later(status, response.headers()) {
        return Ok(later);
    }
    if status != 200 {
        bail!("{url} answers {status}");
    }
    let stamp = Stamp {
        url: url.to_owned(),
        fetched: now,
        etag: header(response.headers(), ETAG),
        last_modified: header(response.headers(), LAST_MODIFIED),
    };
    let body: &mut dyn Read = &mut response.body_mut().as_reader();
    cache
        .put(&feed.name, body, limit, &stamp)
        .with_context(|| format!("cannot keep {url}"))?;
    Ok(Fetched::New)
}

/// 429 and 503 are no errors of ours.
pub(super) fn later(status: u16, headers: &HeaderMap) -> Option<Fetched> {
    let seconds = || header(headers, RETRY_AFTER)?.parse().ok();
    matches!(status, 429 | 503).then(|| Fetched::Later {
        status,
        wait: seconds().map(|seconds| Duration::from_secs(seconds).min(MAX_RETRY_AFTER)),
    })
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn authorization(feed: &FeedConfig) -> anyhow::Result<Option<String>> {
    let Some(path) = &feed.authorization_file else {
        return Ok(None);
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("feeds.{}.authorization_file: {}", feed.name, path.display()))?;
    Ok(text.lines().next().map(|line| line.trim().to_owned()))
}

//! HTTP with bounded bodies, short patience, and redirects that are logged and lose their credentials.

use std::io::Read;
use std::time::Duration;

use ureq::Agent;
use ureq::http::header::{HeaderMap, LOCATION, RETRY_AFTER};

use crate::provider::Fault;

/// The longest that a server may make us wait.
pub(super) const MAX_RETRY_AFTER: Duration = Duration::from_secs(300);
/// Whole request, body included.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

/// Clients; connections are kept and used again.
pub struct Agents {
    /// While nobody has answered yet.
    first: Agent,
    usual: Agent,
}

#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub url: &'a str,
    pub headers: Vec<(&'static str, String)>,
    /// Media type and content, sent with POST; `None`: GET.
    pub body: Option<(&'static str, String)>,
    /// Redirects that are followed. To another host only without the headers.
    pub redirects: u8,
    /// Bytes of the body, unpacked; more is refused.
    pub max_bytes: u64,
}

impl<'a> Request<'a> {
    /// A GET for a document of at most 4 MiB, no redirects.
    #[must_use]
    pub const fn get(url: &'a str) -> Self {
        Self {
            url,
            headers: Vec::new(),
            body: None,
            redirects: 0,
            max_bytes: 4 << 20,
        }
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    /// At most [`MAX_RETRY_AFTER`].
    pub retry_after: Option<Duration>,
}

impl Response {
    /// The body of a 200; `None` for 404. All else by the usual meaning of the status.
    ///
    /// # Errors
    /// 401, 403: denied. 429: limited. 408, 5xx: the server fails. Others: malformed.
    pub fn body_or_not_found(self) -> Result<Option<Vec<u8>>, Fault> {
        let status = format!("HTTP {}", self.status);
        match self.status {
            200..=299 => Ok(Some(self.body)),
            404 => Ok(None),
            401 | 403 => Err(Fault::Denied(status)),
            429 => Err(Fault::Limited(status, self.retry_after)),
            408 | 500..=599 => Err(Fault::Server(status, self.retry_after)),
            _ => Err(Fault::Malformed(status)),
        }
    }
}

impl Agents {
    pub(super) fn new(first: Duration, roots: Option<ureq::tls::TlsConfig>) -> Self {
        let agent = |wait: Duration| -> Agent {
            let mut config = Agent::config_builder()
                .timeout_global(Some(TIMEOUT))
                .timeout_resolve(Some(wait))
                .timeout_connect(Some(wait))
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .user_agent(concat!("lynceus/", env!("CARGO_PKG_VERSION")));
            if let Some(tls) = &roots {
                config = config.tls_config(tls.clone());
            }
            config.build().into()
        };
        Self {
            first: agent(first),
            usual: agent(CONNECT),
        }
    }

    /// `note` is called with method and URL before each request, redirects included.
    pub(super) fn send(
        &self,
        request: Request<'_>,
        online: bool,
        note: &dyn Fn(&str, &str) -> Result<(), Fault>,
    ) -> Result<Response, Fault> {
        let agent = if online { &self.usual } else { &self.first };
        let mut url = request.url.to_owned();
        let mut headers = request.headers;
        for left in (0..=request.redirects).rev() {
            let unreachable = |error: ureq::Error| Fault::Unreachable(format!("{}: {error}", host(&url)));
            let mut response = match &request.body {
                None => {
                    note("GET", &url)?;
                    let mut call = agent.get(&url);
                    for (name, value) in &headers {
                        call = call.header(*name, value);
                    }
                    call.call()
                }
                Some((kind, body)) => {
                    note("POST", &url)?;
                    let mut call = agent.post(&url).header("content-type", *kind);
                    for (name, value) in &headers {
                        call = call.header(*name, value);
                    }
                    call.send(body)
                }
            }
            .map_err(unreachable)?;
            let status = response.status().as_u16();
            if left > 0 && matches!(status, 301 | 302 | 303 | 307 | 308) && request.body.is_none() {
                let next = header(response.headers(), LOCATION)
                    .and_then(|to| follow(&url, &to))
                    .ok_or_else(|| Fault::Malformed("a redirect without a usable place".to_owned()))?;
                if host(&next) != host(&url) {
                    headers.retain(|(name, _)| *name == "accept");
                }
                url = next;
                continue;
            }
            let retry_after = header(response.headers(), RETRY_AFTER).and_then(|text| wait(&text, now()));
            let mut body = Vec::new();
            let read = response
                .body_mut()
                .with_config()
                .limit(request.max_bytes + 1)
                .reader()
                .take(request.max_bytes + 1)
                .read_to_end(&mut body);
            read.map_err(|error| Fault::Unreachable(format!("{}: {error}", host(&url))))?;
            if body.len() as u64 > request.max_bytes {
                return Err(Fault::Malformed(format!(
                    "{}: the answer is longer than {} bytes",
                    host(&url),
                    request.max_bytes
                )));
            }
            return Ok(Response {
                status,
                body,
                retry_after,
            });
        }
        Err(Fault::Malformed("too many redirects".to_owned()))
    }
}

fn header(headers: &HeaderMap, name: ureq::http::HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Where a redirect leads: absolute, or a path on the same host. From https never back to http.
fn follow(from: &str, to: &str) -> Option<String> {
    if let Some(path) = to.strip_prefix('/').filter(|rest| !rest.starts_with('/')) {
        let begin = from.find("://")? + 3;
        let end = from[begin..].find('/').map_or(from.len(), |at| begin + at);
        return Some(format!("{}/{path}", &from[..end]));
    }
    let safe = to.starts_with("https://") || (to.starts_with("http://") && from.starts_with("http://"));
    safe.then(|| to.to_owned())
}

/// Host and port of a URL.
pub(super) fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}

/// Path of a URL without its query, which may hold a key or an account.
pub(super) fn shown(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split('?').next().unwrap_or(path)
}

/// `Retry-After` (RFC 9110, 10.2.3): seconds, or a date.
fn wait(text: &str, now: i64) -> Option<Duration> {
    let seconds = match text.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim());
            u64::try_from(date.ok()?.as_second().saturating_sub(now)).unwrap_or(0)
        }
    };
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_capped() {
        assert_eq!(wait("7", 0), Some(Duration::from_secs(7)));
        assert_eq!(wait("86400", 0), Some(MAX_RETRY_AFTER));
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        assert_eq!(wait(date, 784_111_777 - 30), Some(Duration::from_secs(30)));
        assert_eq!(wait(date, 784_111_777 + 30), Some(Duration::ZERO));
        assert_eq!(wait("soon", 0), None);
        assert_eq!(wait("-1", 0), None);
    }

    #[test]
    fn redirects_do_not_lose_tls_and_queries_are_not_shown() {
        let from = "https://a.example/x?key=1";
        assert_eq!(follow(from, "/y"), Some("https://a.example/y".to_owned()));
        assert_eq!(
            follow(from, "https://b.example/"),
            Some("https://b.example/".to_owned())
        );
        assert_eq!(follow(from, "http://b.example/"), None);
        assert_eq!(follow(from, "//b.example/"), None);
        assert_eq!(shown(from), "/x");
        assert_eq!(host(from), "a.example");
    }
}

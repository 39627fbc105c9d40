//! What every request passes: the right host name, not too many at once, somebody who may, and a form that is ours. And
//! what every answer carries.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use super::Web;
use super::auth::{Account, Role, bearer};
use super::error::Refusal;
use super::link;

/// Nothing from elsewhere, nothing inline, no frame around us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Requests by the second and at once, of one client address. A page is one request and three assets the first time.
const REQUESTS: (f64, f64) = (50.0, 200.0);
/// Tries of a login: one each 5 s, 10 at once. Tokens cannot be guessed; this keeps the log short.
const LOGINS: (f64, f64) = (0.2, 10.0);
/// Client addresses that are remembered; when there are more, the ones with full buckets are forgotten, and if none is,
/// newcomers share one bucket.
const CLIENTS: usize = 4096;

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn refilled(self, (rate, most): (f64, f64), now: Instant) -> f64 {
        (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * rate).min(most)
    }
}

/// Token buckets by client.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<(Option<IpAddr>, bool), Bucket>>);

impl Limits {
    /// Whether a client may go on.
    fn takes(&self, client: IpAddr, login: bool, now: Instant) -> bool {
        let limit = if login { LOGINS } else { REQUESTS };
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (Some(client), login);
        if !buckets.contains_key(&key) && buckets.len() >= CLIENTS {
            buckets.retain(|(_, login), bucket| {
                let limit = if *login { LOGINS } else { REQUESTS };
                bucket.refilled(limit, now) < limit.1
            });
            if buckets.len() >= CLIENTS {
                key = (None, login);
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            tokens: limit.1,
            at: now,
        });
        let tokens = bucket.refilled(limit, now);
        *bucket = Bucket {
            tokens: (tokens - 1.0).max(0.0),
            at: now,
        };
        tokens >= 1.0
    }
}

/// The layer around all routes.
pub(super) async fn guard(State(web): State<Web>, mut request: Request<Body>, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut response = match admitted(&web, &mut request) {
        Ok(()) => next.run(request).await,
        Err(response) => {
            read_away(request.into_body()).await;
            *response
        }
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if web.0.options.secure {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000"),
        );
    }
    if !path.starts_with("/assets/") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// A body that nobody read makes the system reset the connection, and the reset may overtake the
/// refusal; whoever sends more than a form, or slowly, loses only the words.
async fn read_away(body: Body) {
    const FORM: usize = 64 << 10;
    const PATIENCE: Duration = Duration::from_secs(2);
    let _ = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, FORM)).await;
}

fn admitted(web: &Web, request: &mut Request<Body>) -> Result<(), Box<Response>> {
    let path = request.uri().path().to_owned();
    let refuse = |request: &Request<Body>, status, message: &str| {
        Box::new(Refusal::new(status, message).for_reader(&path, request.headers()))
    };
    if !host_is_ours(web, request.headers()) {
        return Err(refuse(
            request,
            StatusCode::MISDIRECTED_REQUEST,
            "this server has another name",
        ));
    }
    let client = request
        .extensions()
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let login = path == "/login" && request.method() == Method::POST;
    if let Some(client) = client
        && !web.0.limits.takes(client, login, Instant::now())
    {
        let mut response = refuse(
            request,
            StatusCode::TOO_MANY_REQUESTS,
            "too many requests; wait a little",
        );
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        return Err(response);
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && !origin_is_ours(request.headers()) {
        return Err(refuse(
            request,
            StatusCode::FORBIDDEN,
            "the request comes from another site",
        ));
    }
    if path == "/login" || path.starts_with("/assets/") || path == "/favicon.ico" {
        return Ok(());
    }
    let Some(account) = web.0.auth.account(request.headers()) else {
        if path.starts_with("/api/") || !safe {
            let mut response = refuse(
                request,
                StatusCode::UNAUTHORIZED,
                "log in, or send a token as bearer",
            );
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            return Err(response);
        }
        let next = request.uri().path_and_query().map_or("/", |path| path.as_str());
        return Err(Box::new(
            Redirect::to(&format!("/login?next={}", link::encoded(next))).into_response(),
        ));
    };
    request.extensions_mut().insert(Arc::new(account));
    Ok(())
}

/// A site that makes its own name point to this machine must not read us (DNS rebinding).
fn host_is_ours(web: &Web, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        // HTTP/1.0 and HTTP/2 without it: no browser does that.
        return true;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    // An address is no name that anybody could point elsewhere.
    name == "localhost"
        || name.parse::<IpAddr>().is_ok()
        || web
            .0
            .options
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}

/// Browsers say from where a form comes; what says nothing is no browser.
fn origin_is_ours(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    if let Some(site) = headers
        .get("sec-fetch-site")
        .and_then(|value| value.to_str().ok())
        && !matches!(site, "same-origin" | "none")
    {
        return false;
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (None, _) => true,
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, place)| place == host),
        (Some(_), None) => false,
    }
}

/// Whether somebody may, and whether the form is ours. `csrf`: what it brought.
pub(super) fn may(account: &Account, headers: &HeaderMap, role: Role, csrf: &str) -> Result<(), Refusal> {
    if account.role < role {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            format!(
                "{} has the role {}; this needs {}",
                account.name,
                account.role.name(),
                role.name()
            ),
        ));
    }
    // Both are random text of fixed length, and one try costs a request: the time of the comparison tells nothing.
    let ours = !account.csrf.is_empty() && csrf == account.csrf;
    if ours || (account.csrf.is_empty() && bearer(headers).is_some()) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::FORBIDDEN,
        "the token of the form is missing or old; load the page again (`x-csrf-token` in scripts)",
    ))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_client_is_slowed_down_and_others_are_not() {
        let limits = Limits::default();
        let now = Instant::now();
        let [a, b] = ["10.0.0.1", "10.0.0.2"].map(|ip| ip.parse().unwrap());
        assert_eq!((0..300).filter(|_| limits.takes(a, false, now)).count(), 200);
        assert!(limits.takes(b, false, now));
        assert!(limits.takes(a, false, now + Duration::from_secs(1)));
        assert_eq!((0..30).filter(|_| limits.takes(a, true, now)).count(), 10);
    }

    #[test]
    fn clients_are_bounded() {
        let limits = Limits::default();
        let now = Instant::now();
        for n in 0..10_000_u32 {
            limits.takes(IpAddr::from(n.to_be_bytes()), false, now);
        }
        assert!(limits.0.lock().unwrap().len() <= CLIENTS + 1);
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
            pairs
                .iter()
                .map(|(name, value)| (header::HeaderName::from_static(name), value.parse().unwrap()))
                .collect()
        };
        assert!(origin_is_ours(&headers(&[("host", "127.0.0.1:7444")])));
        assert!(origin_is_ours(&headers(&[
            ("host", "a:1"),
            ("origin", "http://a:1")
        ])));
        assert!(!origin_is_ours(&headers(&[
            ("host", "a:1"),
            ("origin", "http://b:1")
        ])));
        assert!(!origin_is_ours(&headers(&[("host", "a:1"), ("origin", "null")])));
        assert!(!origin_is_ours(&headers(&[
            ("host", "a:1"),
            ("sec-fetch-site", "cross-site")
        ])));
    }
}

//! Who may do what: tokens of the configuration, sessions of browsers, roles.
//!
//! Only hashes are kept. A token has 256 random bits, so one round of SHA-256 is enough: there is nothing to guess. Without
//! any token everybody who can connect may do everything, which the configuration allows on loopback only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Extension, Form, Router};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Web, assets};

/// What somebody may do; each may what those before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Look.
    Read,
    /// Also try blocks that drop nothing (dry runs).
    Analyst,
    /// Also block and unblock.
    Admin,
}

impl Role {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Analyst => "analyst",
            Self::Admin => "admin",
        }
    }
}

/// A token as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenConfig {
    /// Of the person or program, for the log.
    pub name: String,
    pub role: Role,
    /// SHA-256 of the token, 64 hexadecimal digits. `lynceus-collector --new-token` prints both.
    pub sha256: String,
}

/// Sessions at the same time; the one that ends first makes room.
const SESSIONS: usize = 1024;
/// How long a session is good: a working day.
const LASTS: Duration = Duration::from_secs(12 * 3600);
const COOKIE: &str = "lynceus_session";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) role: Role,
    /// What a form must bring; empty where a bearer token speaks, which no other site can make a browser send.
    pub(super) csrf: String,
    /// There is something to log out of.
    pub(super) session: bool,
}

type Hash = [u8; 32];

struct Session {
    name: String,
    role: Role,
    csrf: String,
    until: Instant,
}

pub(super) struct Auth {
    tokens: Vec<(Hash, String, Role)>,
    sessions: Mutex<BTreeMap<Hash, Session>>,
    /// For forms where nobody logs in.
    csrf: String,
}

impl Auth {
    pub(super) fn new(tokens: &[TokenConfig]) -> anyhow::Result<Self> {
        let read = |token: &TokenConfig| {
            let hash = hex(&token.sha256)
                .with_context(|| format!("token {:?}: sha256 must be 64 hexadecimal digits", token.name))?;
            ensure!(
                !token.name.is_empty() && token.name.len() <= 64,
                "a token's name has 1 to 64 characters"
            );
            Ok((hash, token.name.clone(), token.role))
        };
        Ok(Self {
            tokens: tokens.iter().map(read).collect::<anyhow::Result<_>>()?,
            sessions: Mutex::default(),
            csrf: random()?,
        })
    }

    /// Nobody needs to log in.
    pub(super) const fn is_open(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The account behind a request; `None`: it must log in.
    pub(super) fn account(&self, headers: &HeaderMap) -> Option<Account> {
        if self.is_open() {
            return Some(Account {
                name: "this machine".to_owned(),
                role: Role::Admin,
                csrf: self.csrf.clone(),
                session: false,
            });
        }
        if let Some(bearer) = bearer(headers) {
            let (name, role) = self.token(bearer)?;
            return Some(Account {
                name,
                role,
                csrf: String::new(),
                session: false,
            });
        }
        let id = digest(cookie(headers, COOKIE)?);
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let session = sessions
            .get(&id)
            .filter(|session| Instant::now() < session.until)?;
        Some(Account {
            name: session.name.clone(),
            role: session.role,
            csrf: session.csrf.clone(),
            session: true,
        })
    }

    /// Hashes are compared, so how long it takes tells nothing about a token.
    fn token(&self, token: &str) -> Option<(String, Role)> {
        let hash = digest(token);
        let found = self.tokens.iter().find(|(known, ..)| *known == hash)?;
        Some((found.1.clone(), found.2))
    }

    /// Opens a session; its secret goes to the browser.
    fn open(&self, name: String, role: Role) -> anyhow::Result<String> {
        let secret = random()?;
        let session = Session {
            name,
            role,
            csrf: random()?,
            until: Instant::now() + LASTS,
        };
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        sessions.retain(|_, session| now < session.until);
        if sessions.len() >= SESSIONS {
            let first = sessions
                .iter()
                .min_by_key(|(_, session)| session.until)
                .map(|(id, _)| *id);
            if let Some(first) = first {
                sessions.remove(&first);
            }
        }
        sessions.insert(digest(&secret), session);
        Ok(secret)
    }

    fn close(&self, headers: &HeaderMap) {
        if let Some(secret) = cookie(headers, COOKIE) {
            let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
            sessions.remove(&digest(secret));
        }
    }
}

/// A new token and its line of the configuration.
///
/// # Errors
/// The machine has no randomness.
pub fn new_token(name: &str, role: Role) -> anyhow::Result<(String, TokenConfig)> {
    let token = random()?;
    let sha256 = digest(&token).iter().fold(String::new(), |mut hex, byte| {
        // Writing into a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let config = TokenConfig {
        name: name.to_owned(),
        role,
        sha256,
    };
    Ok((token, config))
}

pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

/// The value of a cookie.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn digest(text: &str) -> Hash {
    Sha256::digest(text.as_bytes()).into()
}

/// 256 bits as hexadecimal digits.
fn random() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.map_err(|_| anyhow::anyhow!("the machine has no randomness"))?;
    Ok(super::link::token(&bytes))
}

fn hex(text: &str) -> Option<Hash> {
    super::link::page(text)?.try_into().ok()
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    style: String,
    wrong: bool,
    next: String,
}

#[derive(Deserialize)]
struct LoginForm {
    token: String,
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Next {
    #[serde(default)]
    next: String,
}

pub(super) fn routes() -> Router<Web> {
    Router::new()
        .route("/login", get(show))
        .route("/login", post(login))
        .route("/logout", post(logout))
}

async fn show(axum::extract::Query(next): axum::extract::Query<Next>) -> Response {
    page(false, &next.next)
}

fn page(wrong: bool, next: &str) -> Response {
    let page = LoginPage {
        style: assets::style(),
        wrong,
        next: own_path(next),
    };
    let status = if wrong {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::OK
    };
    (status, Html(page.render().unwrap_or_default())).into_response()
}

/// Only paths of this server: nobody can be sent elsewhere after a login.
fn own_path(next: &str) -> String {
    let own = next.starts_with('/') && !next.starts_with("//") && !next.contains(['\\', '\r', '\n']);
    if own { next.to_owned() } else { "/".to_owned() }
}

async fn login(State(web): State<Web>, Form(form): Form<LoginForm>) -> Response {
    let Some((name, role)) = web.0.auth.token(form.token.trim()) else {
        tracing::warn!("a wrong token at the login");
        return page(true, &form.next);
    };
    let Ok(secret) = web.0.auth.open(name.clone(), role) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    tracing::info!(name, role = role.name(), "logged in");
    let secure = if web.0.options.secure { "; Secure" } else { "" };
    let cookie = format!(
        "{COOKIE}={secret}; Path=/; HttpOnly; SameSite=Strict; Max-Age={}{secure}",
        LASTS.as_secs()
    );
    (
        [(header::SET_COOKIE, cookie)],
        Redirect::to(&own_path(&form.next)),
    )
        .into_response()
}

async fn logout(State(web): State<Web>, headers: HeaderMap, _account: Extension<Arc<Account>>) -> Response {
    web.0.auth.close(&headers);
    let cookie = format!("{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0");
    ([(header::SET_COOKIE, cookie)], Redirect::to("/login")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(header::HeaderName, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.clone(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn a_token_opens_as_bearer_and_as_session_and_nothing_else_does() {
        let (token, config) = new_token("ana", Role::Analyst).unwrap();
        let auth = Auth::new(&[config]).unwrap();
        assert!(auth.account(&HeaderMap::new()).is_none());
        let bearer = headers(&[(header::AUTHORIZATION, &format!("Bearer {token}"))]);
        assert_eq!(auth.account(&bearer).unwrap().role, Role::Analyst);
        let wrong = headers(&[(header::AUTHORIZATION, "Bearer 00")]);
        assert!(auth.account(&wrong).is_none());

        let secret = auth.open("ana".into(), Role::Analyst).unwrap();
        let with = headers(&[(header::COOKIE, &format!("theme=dark; {COOKIE}={secret}"))]);
        let account = auth.account(&with).unwrap();
        assert!(account.session && account.csrf.len() == 64);
        // The token is no session, and the session is no token.
        let swapped = headers(&[(header::COOKIE, &format!("{COOKIE}={token}"))]);
        assert!(auth.account(&swapped).is_none());
        auth.close(&with);
        assert!(auth.account(&with).is_none());
    }

    #[test]
    fn sessions_are_bounded() {
        let (_, config) = new_token("ana", Role::Read).unwrap();
        let auth = Auth::new(&[config]).unwrap();
        for _ in 0..SESSIONS + 10 {
            auth.open("ana".into(), Role::Read).unwrap();
        }
        assert_eq!(auth.sessions.lock().unwrap().len(), SESSIONS);
    }

    #[test]
    fn a_login_leads_to_this_server_only() {
        for (next, expected) in [
            ("/profiles?q=1", "/profiles?q=1"),
            ("//evil.example/", "/"),
            ("/\\evil.example", "/"),
            ("https://evil.example", "/"),
            ("", "/"),
        ] {
            assert_eq!(own_path(next), expected);
        }
    }
}

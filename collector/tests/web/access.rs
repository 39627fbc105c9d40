//! Nobody gets more than he may: roles, tokens, forms, foreign names.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use lynceus_collector::web::{Role, new_token};

use crate::site::{Site, ask, get};

#[tokio::test(flavor = "multi_thread")]
async fn roles_tokens_and_forms_are_held_to() {
    let site = Site::new();
    let [(reader, a), (analyst, b), (admin, c)] =
        [("r", Role::Read), ("an", Role::Analyst), ("ad", Role::Admin)]
            .map(|(name, role)| new_token(name, role).unwrap());
    let router = site.router(vec![a, b, c]);
    // Nobody: people are led to the login, scripts are told.
    let page = get(&router, "/profiles?q=1").await;
    assert_eq!(page.headers[header::LOCATION], "/login?next=%2Fprofiles%3Fq%3D1");
    let page = get(&router, "/api/v1/status").await;
    assert_eq!(
        (
            page.status,
            page.headers[header::WWW_AUTHENTICATE].to_str().unwrap()
        ),
        (StatusCode::UNAUTHORIZED, "Bearer")
    );
    let post = |path: &str, cookie: &str, body: String| {
        Request::post(path)
            .header(header::HOST, "127.0.0.1:7444")
            .header(header::ORIGIN, "http://127.0.0.1:7444")
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap()
    };
    let page = ask(&router, post("/login", "", "token=wrong".into())).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(!page.headers.contains_key(header::SET_COOKIE));
    let mut outcomes = Vec::new();
    for token in [&reader, &analyst, &admin] {
        let page = ask(
            &router,
            post("/login", "", format!("token={token}&next=%2Fblocks")),
        )
        .await;
        assert_eq!(
            (page.status, &page.headers[header::LOCATION]),
            (StatusCode::SEE_OTHER, &"/blocks".parse().unwrap())
        );
        let cookie = page.headers[header::SET_COOKIE].to_str().unwrap().to_owned();
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let with = |path: &str| {
            Request::get(path)
                .header(header::HOST, "127.0.0.1:7444")
                .header(header::COOKIE, &cookie)
                .body(Body::empty())
                .unwrap()
        };
        let blocks = ask(&router, with("/blocks")).await.body;
        let csrf = blocks
            .split("name=\"csrf\" value=\"")
            .nth(1)
            .and_then(|part| part.split('"').next());
        let csrf = csrf.unwrap_or("").to_owned();
        for mode in ["dry", "drop"] {
            let form =
                |csrf: &str| format!("csrf={csrf}&network=203.0.113.7&minutes=5&mode={mode}&reason=test");
            let forged = ask(&router, post("/blocks", &cookie, form("0"))).await;
            assert_eq!(forged.status, StatusCode::FORBIDDEN, "{}", forged.body);
            outcomes.push(
                ask(&router, post("/blocks", &cookie, form(&csrf)))
                    .await
                    .status
                    .as_u16(),
            );
        }
        let out = ask(&router, post("/logout", &cookie, String::new())).await;
        assert_eq!(out.status, StatusCode::SEE_OTHER);
        assert_eq!(ask(&router, with("/blocks")).await.status, StatusCode::SEE_OTHER);
    }
    assert_eq!(outcomes, [403, 403, 303, 403, 303, 303]);
    let bearer = Request::get("/api/v1/blocks").header(header::AUTHORIZATION, format!("Bearer {reader}"));
    let blocks = ask(&router, bearer.body(Body::empty()).unwrap()).await.json();
    assert_eq!(blocks["items"][0]["network"], "203.0.113.7/32");
    assert_eq!(blocks["items"][0]["reason"], "ad on the page: test");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_sites_neither_read_nor_write() {
    let site = Site::new();
    let router = site.router(Vec::new());
    for (host, status) in [
        ("127.0.0.1:7444", 200),
        ("localhost:7444", 200),
        ("[::1]:7444", 200),
        ("lynceus.example", 200),
        // A name of somebody else that points to this machine.
        ("evil.example:7444", 421),
    ] {
        let request = Request::get("/")
            .header(header::HOST, host)
            .body(Body::empty())
            .unwrap();
        assert_eq!(ask(&router, request).await.status.as_u16(), status, "{host}");
    }
    let request = Request::post("/unblock")
        .header(header::HOST, "127.0.0.1:7444")
        .header(header::ORIGIN, "http://evil.example")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    let page = ask(
        &router,
        request.body(Body::from("csrf=&network=10.0.0.1")).unwrap(),
    )
    .await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
}

//! Every answer of the API is as its description says, and lists are whole.

use axum::http::StatusCode;
use serde_json::Value;

use crate::site::{Site, get};

/// What the description names.
fn paths(description: &Value) -> Vec<String> {
    description["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_the_api_is_as_described() {
    let site = Site::new();
    let router = site.router(Vec::new());
    let description = get(&router, "/api/v1/openapi.json").await.json();
    let evidence = get(&router, "/api/v1/evidence?limit=3").await.json();
    assert_eq!(evidence["items"].as_array().unwrap().len(), 3);
    let one = &evidence["items"][0];
    let alert = &get(&router, "/api/v1/alerts").await.json()["items"][0];
    assert_eq!(alert["profile"], "10.0.0.66");
    let all = get(&router, "/api/v1/alerts").await.json();
    let all = all["items"].as_array().unwrap();
    let first = all.iter().filter(|alert| alert["id"] == alert["group"]);
    assert!(all.len() > 1 && first.count() == 1, "{all:?}");
    assert!(
        all.iter().all(|other| other["group"] == alert["group"]),
        "{all:?}"
    );
    for path in paths(&description) {
        let id = if path.contains("alerts") {
            &alert["id"]
        } else {
            &one["id"]
        };
        let start = if path.contains("alerts") {
            &alert["window_start"]
        } else {
            &one["window_start"]
        };
        let asked = path
            .replace("{ip}", "10.0.0.66")
            .replace("{start}", &start.to_string())
            .replace("{id}", id.as_str().unwrap());
        let page = get(&router, &asked).await;
        assert_eq!(page.status, StatusCode::OK, "{asked}: {}", page.body);
        let mut schema =
            description["paths"][&path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
                .clone();
        schema["components"] = description["components"].clone();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let answer = page.json();
        let errors: Vec<String> = validator
            .iter_errors(&answer)
            .map(|error| format!("{} {error}", error.instance_path))
            .collect();
        assert!(errors.is_empty(), "{asked}: {errors:?}");
        if let Some(items) = answer.get("items").and_then(Value::as_array) {
            let may_be_empty = path.ends_with("blocks");
            assert!(may_be_empty || !items.is_empty(), "{asked}");
        }
    }
    // Pages put together are the whole, each item once.
    let all = get(&router, "/api/v1/evidence?limit=1000").await.json();
    let all: Vec<&Value> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| &item["id"])
        .collect();
    let (mut pieces, mut next) = (Vec::new(), String::new());
    loop {
        let page = get(
            &router,
            &format!("/api/v1/evidence?limit=2&q=10.0.0.66&page={next}"),
        )
        .await
        .json();
        pieces.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].clone()),
        );
        match page["next"].as_str() {
            Some(token) => next = token.to_owned(),
            None => break,
        }
    }
    assert_eq!(pieces.iter().collect::<Vec<_>>(), all);
    for (path, status) in [
        ("/api/v1/evidence?limit=0", 400),
        ("/api/v1/evidence?page=zz", 400),
        ("/api/v1/evidence?q=colour:red", 400),
        ("/api/v1/profiles/nowhere", 400),
        ("/api/v1/profiles/10.9.9.9", 404),
        ("/api/v1/nothing", 404),
    ] {
        let page = get(&router, path).await;
        assert_eq!(page.status.as_u16(), status, "{path}: {}", page.body);
        assert_eq!(page.json()["status"], status);
    }
}

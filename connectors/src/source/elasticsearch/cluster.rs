//! What clients ask before they send: what this is, its licence, its health, and whether templates are there.
//!
//! Tarn needs no templates, policies, pipelines or indices: they are never there, and adding them is acknowledged, so
//! that clients go on.

use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The version of Elasticsearch whose bulk API is spoken: clients refuse older ones, and newer major ones.
const VERSION: &str = "8.17.0";
/// Shippers want some identity.
const UUID: &str = "7461726e-0000-4000-8000-000000000001";

/// `GET /`.
pub async fn info() -> Json<Value> {
    Json(json!({
        "name": "tarn",
        "cluster_name": "tarn",
        "cluster_uuid": UUID,
        "version": {
            "number": VERSION,
            "build_flavor": "default",
            "build_type": "tar",
            "build_snapshot": false,
            "lucene_version": "9.12.0",
            "minimum_wire_compatibility_version": "7.17.0",
            "minimum_index_compatibility_version": "7.0.0",
        },
        "tagline": "You Know, for Search",
    }))
}

/// `GET /_license`.
pub async fn license() -> Json<Value> {
    Json(
        json!({ "license": { "status": "active", "uid": UUID, "type": "basic", "mode": "basic", "issued_to": "tarn" } }),
    )
}

/// `GET /_xpack`.
pub async fn features() -> Json<Value> {
    let there = json!({ "available": true, "enabled": true });
    Json(json!({
        "license": { "uid": UUID, "type": "basic", "mode": "basic", "status": "active" },
        "features": { "ilm": there, "data_streams": there },
    }))
}

/// `GET /_cluster/health`.
pub async fn health() -> Json<Value> {
    Json(json!({
        "cluster_name": "tarn",
        "status": "green",
        "timed_out": false,
        "number_of_nodes": 1,
        "number_of_data_nodes": 1,
        "active_primary_shards": 1,
        "active_shards": 1,
        "unassigned_shards": 0,
    }))
}

/// Templates, policies, pipelines, data streams and indices: there is none, and adding one changes nothing.
pub async fn setting(method: Method, uri: Uri, name: Option<Path<String>>) -> Response {
    if method == Method::PUT || method == Method::POST {
        let name = name.map(|Path(name)| name);
        return Json(json!({ "acknowledged": true, "shards_acknowledged": true, "index": name })).into_response();
    }
    let reason = format!("{} is not there: events need none", uri.path());
    let error = json!({ "error": { "type": "resource_not_found_exception", "reason": reason }, "status": 404 });
    (StatusCode::NOT_FOUND, Json(error)).into_response()
}

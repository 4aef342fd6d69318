//! An object store on this machine, as far as a log asks S3: objects by name, written only where, or as, they are not there.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// Its objects, by bucket and name, with the number of the write that made each.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<Objects>>);

#[derive(Default)]
struct Objects {
    writes: u64,
    all: BTreeMap<String, (u64, Bytes)>,
}

impl Store {
    /// Listens until the process ends.
    pub fn listen(&self) -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (address, store) = (listener.local_addr().unwrap(), self.clone());
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().fallback(answer).with_state(store)).await.unwrap();
            });
        });
        address
    }

    /// What a daemon has to be told to find it.
    pub fn variables(address: SocketAddr) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://{address}")),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().all.keys().cloned().collect()
    }
}

async fn answer(State(store): State<Store>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let (name, query) = (parts.uri.path().trim_start_matches('/').to_owned(), parts.uri.query().unwrap_or_default());
    let mut objects = store.0.lock().unwrap();
    match parts.method {
        Method::GET if query.contains("list-type=2") => list(&objects, &name, query),
        Method::GET | Method::HEAD => match objects.all.get(&name) {
            Some((write, bytes)) => {
                let date = "Thu, 01 Jan 2026 00:00:00 GMT".to_owned();
                let headers = [("ETag", etag(*write)), ("Last-Modified", date)];
                (headers, bytes.clone()).into_response()
            }
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Method::PUT => put(&mut objects, name, &parts.headers, body),
        Method::POST if query.contains("delete") => {
            let text = String::from_utf8(body.to_vec()).unwrap();
            let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split_once("</Key>"));
            let deleted = keys.map(|(key, _)| {
                objects.all.remove(&format!("{}/{key}", name.trim_end_matches('/')));
                format!("<Deleted><Key>{key}</Key></Deleted>")
            });
            format!("<DeleteResult>{}</DeleteResult>", deleted.collect::<String>()).into_response()
        }
        Method::DELETE => {
            objects.all.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

fn etag(write: u64) -> String {
    format!("\"{write}\"")
}

fn put(objects: &mut Objects, name: String, headers: &HeaderMap, body: Bytes) -> Response {
    let there = objects.all.get(&name).map(|(write, _)| etag(*write));
    let of = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    if of("if-none-match").is_some() && there.is_some() || of("if-match").is_some_and(|wanted| Some(wanted) != there) {
        return StatusCode::PRECONDITION_FAILED.into_response();
    }
    objects.writes += 1;
    let write = objects.writes;
    objects.all.insert(name, (write, body));
    [("ETag", etag(write))].into_response()
}

/// All names of a folder on one page.
fn list(objects: &Objects, bucket: &str, query: &str) -> Response {
    let bucket = format!("{}/", bucket.trim_end_matches('/'));
    let prefix = url::form_urlencoded::parse(query.as_bytes()).find(|(key, _)| key == "prefix").map(|(_, value)| value);
    let prefix = prefix.unwrap_or_default();
    let names = objects.all.iter().filter_map(|(name, (write, bytes))| {
        let name = name.strip_prefix(&bucket)?;
        let rest = name.strip_prefix(&*prefix)?;
        (!rest.contains('/')).then(|| {
            format!(
                "<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                 <ETag>&quot;{write}&quot;</ETag><Size>{}</Size></Contents>",
                bytes.len()
            )
        })
    });
    let names: String = names.collect();
    format!("<ListBucketResult><IsTruncated>false</IsTruncated>{names}</ListBucketResult>").into_response()
}

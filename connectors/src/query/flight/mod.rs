//! SQL over Arrow Flight SQL: ADBC, JDBC and every Flight client ask, and browse the tables.
//!
//! All calls that the specification has for a server that reads: statements, prepared statements with values, catalogs,
//! schemas, tables, types, keys (of which there are none), what the server is, cancel. A ticket holds its statement, so
//! the server keeps nothing for it; prepared statements are kept, so many for each identity. Writing, transactions and
//! Substrait are refused. **Source**: <https://arrow.apache.org/docs/format/FlightSql.html>.

mod calls;
mod failure;
mod info;
mod prepared;
mod service;
mod values;

use super::Queries;
use crate::access::{Denied, Scope};
use crate::body::credentials;
use arrow_flight::flight_service_server::FlightServiceServer;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use calls::FlightSql;
use service::Service;
use tonic::Status;
use tonic::service::Routes;

/// The largest message that is taken, beside the statement: values of parameters.
const MESSAGE_EXTRA: usize = 1 << 20;

/// The service over these queries. Every call shows its credentials.
pub fn router(queries: Queries) -> Router {
    let bytes_max = queries.limits().sql_bytes_max.saturating_mul(2).saturating_add(MESSAGE_EXTRA);
    let flight =
        FlightServiceServer::new(Service(FlightSql::new(queries.clone()))).max_decoding_message_size(bytes_max);
    Routes::new(flight).into_axum_router().layer(from_fn_with_state(queries, admit))
}

/// Lets a call on with who makes it.
async fn admit(queries: axum::extract::State<Queries>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match queries.access().check(&credentials(&parts), Scope::Query) {
        Ok(identity) => {
            parts.extensions.insert(identity);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(denied @ Denied::Unauthenticated) => Status::unauthenticated(denied.to_string()).into_http::<Body>(),
        Err(denied @ Denied::Forbidden) => Status::permission_denied(denied.to_string()).into_http::<Body>(),
    }
}

//! The calls of Flight SQL.

use super::failure::internal;
use super::info;
use super::prepared::{Prepared, Statement};
use super::values;
use crate::access::Identity;
use crate::body::token_of;
use crate::query::postgres::{DATABASE, SCHEMA};
use crate::query::{Ask, Queries, QueryError, QueryId, Running, Shape, TableInfo};
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::server::{FlightSqlService, PeekableFlightDataStream};
use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, CommandGetCatalogs,
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandPreparedStatementQuery, CommandStatementQuery, CommandStatementUpdate, DoPutPreparedStatementResult,
    ProstMessageExt, SqlInfo, TicketStatementQuery,
};
use arrow_flight::{
    Action, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest, HandshakeResponse, IpcMessage,
    SchemaAsIpc, Ticket,
};
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt, TryStreamExt};
use prost::Message;
use std::pin::Pin;
use std::sync::Arc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

/// What a table is.
const TABLE_TYPE: &str = "TABLE";
/// Bytes of a query's name at the beginning of a ticket.
const ID_BYTES: usize = 36;

type Answer = Result<Response<<FlightSql as FlightService>::DoGetStream>, Status>;
type Info = Result<Response<FlightInfo>, Status>;

/// The service.
#[derive(Debug)]
pub struct FlightSql {
    queries: Queries,
    prepared: Prepared,
}

impl FlightSql {
    /// Over these queries.
    pub fn new(queries: Queries) -> Self {
        Self { queries, prepared: Prepared::default() }
    }

    /// What a statement would answer, with its parameters. **Errors**: what is wrong with it.
    pub async fn shape(&self, sql: &str) -> Result<Shape, Status> {
        self.queries.check_length(sql)?;
        Ok(self.queries.open().await?.describe(sql.to_owned()).await?)
    }

    /// The statement of a handle of this identity's.
    pub fn statement(&self, identity: &Identity, handle: &Bytes) -> Result<Statement, Status> {
        let found = self.prepared.get(identity, handle);
        found.ok_or_else(|| Status::not_found("no such prepared statement; it may have made room for newer ones"))
    }

    async fn run(&self, identity: &Identity, ask: Ask) -> Answer {
        let running = self.queries.start(identity, ask).await?;
        let schema = Arc::clone(&running.schema);
        let rows = stream::try_unfold(running, |mut running: Running| async move {
            let next = running.next_or_rows().await.map_err(|error| FlightError::from(Status::from(error)))?;
            Ok(next.map(|batch| (batch, running)))
        });
        Ok(encoded(schema, rows.boxed()))
    }

    async fn tables(&self) -> Result<Arc<[TableInfo]>, Status> {
        Ok(Arc::clone(self.queries.open().await?.tables()))
    }
}

/// Who makes a call.
pub fn identity<T>(request: &Request<T>) -> Result<Identity, Status> {
    let known = request.extensions().get::<Identity>().cloned();
    known.ok_or_else(|| Status::unauthenticated("credentials are missing or wrong"))
}

fn encoded(schema: SchemaRef, rows: BoxStream<'static, Result<RecordBatch, FlightError>>) -> Response<Flights> {
    let data = FlightDataEncoderBuilder::new().with_schema(schema).build(rows);
    Response::new(Box::pin(data.map_err(Status::from)))
}

type Flights = Pin<Box<dyn Stream<Item = Result<FlightData, Status>> + Send>>;

fn one(schema: SchemaRef, batch: Result<RecordBatch, impl Into<FlightError> + Send + 'static>) -> Answer {
    let batch = batch.map_err(Into::into).map_err(Status::from)?;
    Ok(encoded(schema, stream::once(async { Ok(batch) }).boxed()))
}

/// Where the answer to a command is: here, with the command as its ticket.
fn here(descriptor: FlightDescriptor, schema: &Schema, ticket: Bytes) -> Info {
    let endpoint = FlightEndpoint::new().with_ticket(Ticket { ticket });
    let info = FlightInfo::new().try_with_schema(schema).map_err(internal)?;
    Ok(Response::new(info.with_endpoint(endpoint).with_descriptor(descriptor)))
}

fn command(of: &impl ProstMessageExt) -> Bytes {
    of.as_any().encode_to_vec().into()
}

/// A schema as a message of Arrow's IPC.
fn ipc(schema: &Schema) -> Result<Bytes, Status> {
    let message: IpcMessage = SchemaAsIpc::new(schema, &Default::default()).try_into().map_err(internal)?;
    Ok(message.0)
}

/// A ticket's query and statement.
fn ticket(handle: &Bytes) -> Result<(QueryId, String), Status> {
    let text = std::str::from_utf8(handle).ok();
    let parts = text.and_then(|text| text.split_at_checked(ID_BYTES));
    let known = parts.and_then(|(id, sql)| Some((id.parse().ok()?, sql.to_owned())));
    known.ok_or_else(|| Status::invalid_argument("this ticket is not one of this server's"))
}

/// A table of keys without rows ("GetPrimaryKeys" and the like in FlightSql.proto).
fn no_keys(pair: bool) -> RecordBatch {
    let text = |name: &str, null| Field::new(name, DataType::Utf8, null);
    let fields = if pair {
        ["pk", "fk"]
            .iter()
            .flat_map(|side| {
                [("catalog_name", true), ("db_schema_name", true), ("table_name", false), ("column_name", false)]
                    .map(|(name, null)| text(&format!("{side}_{name}"), null))
            })
            .chain([
                Field::new("key_sequence", DataType::Int32, false),
                text("fk_key_name", true),
                text("pk_key_name", true),
                Field::new("update_rule", DataType::UInt8, false),
                Field::new("delete_rule", DataType::UInt8, false),
            ])
            .collect::<Vec<_>>()
    } else {
        vec![
            text("catalog_name", true),
            text("db_schema_name", true),
            text("table_name", false),
            text("column_name", false),
            Field::new("key_sequence", DataType::Int32, false),
            text("key_name", true),
        ]
    };
    RecordBatch::new_empty(Arc::new(Schema::new(fields)))
}

fn keys(pair: bool) -> Answer {
    let none = no_keys(pair);
    one(none.schema(), Ok::<_, FlightError>(none))
}

#[tonic::async_trait]
impl FlightSqlService for FlightSql {
    type FlightService = Self;

    /// The credentials were checked already; a client that sent a password gets its token to go on with.
    async fn do_handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Pin<Box<dyn Stream<Item = Result<HandshakeResponse, Status>> + Send>>>, Status> {
        let shown = request.metadata().get("authorization").and_then(|shown| shown.to_str().ok());
        let token = shown.and_then(token_of).unwrap_or_default();
        let payload = Bytes::from(token.clone());
        let answer = HandshakeResponse { protocol_version: 0, payload };
        let mut response = Response::new(Box::pin(stream::once(async { Ok(answer) })) as Pin<Box<_>>);
        if let Ok(bearer) = MetadataValue::try_from(format!("Bearer {token}")) {
            response.metadata_mut().insert("authorization", bearer);
        }
        Ok(response)
    }

    async fn get_flight_info_statement(
        &self,
        query: CommandStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let shape = self.shape(&query.query).await?;
        let handle = format!("{}{}", QueryId::random(), query.query).into();
        here(request.into_inner(), &shape.schema, command(&TicketStatementQuery { statement_handle: handle }))
    }

    async fn do_get_statement(&self, query: TicketStatementQuery, request: Request<Ticket>) -> Answer {
        let (id, sql) = ticket(&query.statement_handle)?;
        self.run(&identity(&request)?, Ask { sql, id: Some(id), ..Ask::default() }).await
    }

    async fn do_action_create_prepared_statement(
        &self,
        query: ActionCreatePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<ActionCreatePreparedStatementResult, Status> {
        let shape = self.shape(&query.query).await?;
        let (dataset_schema, parameter_schema) = (ipc(&shape.schema)?, ipc(&values::columns(&shape))?);
        let statement = Statement { sql: query.query, shape, values: Vec::new() };
        let prepared_statement_handle = self.prepared.add(&identity(&request)?, statement);
        Ok(ActionCreatePreparedStatementResult { prepared_statement_handle, dataset_schema, parameter_schema })
    }

    async fn do_action_close_prepared_statement(
        &self,
        query: ActionClosePreparedStatementRequest,
        request: Request<Action>,
    ) -> Result<(), Status> {
        self.prepared.close(&identity(&request)?, &query.prepared_statement_handle);
        Ok(())
    }

    async fn do_put_prepared_statement_query(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<PeekableFlightDataStream>,
    ) -> Result<DoPutPreparedStatementResult, Status> {
        let identity = identity(&request)?;
        let handle = query.prepared_statement_handle;
        let statement = self.statement(&identity, &handle)?;
        let values = values::read(&statement.shape, request.into_inner()).await?;
        if !self.prepared.bind(&identity, &handle, values) {
            return Err(Status::not_found("no such prepared statement"));
        }
        Ok(DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) })
    }

    async fn get_flight_info_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let statement = self.statement(&identity(&request)?, &query.prepared_statement_handle)?;
        here(request.into_inner(), &statement.shape.schema, command(&query))
    }

    async fn do_get_prepared_statement(
        &self,
        query: CommandPreparedStatementQuery,
        request: Request<Ticket>,
    ) -> Answer {
        let identity = identity(&request)?;
        let Statement { sql, values, .. } = self.statement(&identity, &query.prepared_statement_handle)?;
        self.run(&identity, Ask { sql, parameters: values, ..Ask::default() }).await
    }

    async fn do_action_cancel_query(
        &self,
        query: ActionCancelQueryRequest,
        request: Request<Action>,
    ) -> Result<ActionCancelQueryResult, Status> {
        let info = FlightInfo::decode(query.info).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let cancelled = self.cancel(&identity(&request)?, &info);
        // "CancelResult" in FlightSql.proto: cancelled, or not cancellable.
        Ok(ActionCancelQueryResult { result: if cancelled { 1 } else { 3 } })
    }

    async fn get_flight_info_catalogs(&self, query: CommandGetCatalogs, request: Request<FlightDescriptor>) -> Info {
        here(request.into_inner(), &query.into_builder().schema(), command(&query))
    }

    async fn do_get_catalogs(&self, query: CommandGetCatalogs, _: Request<Ticket>) -> Answer {
        let mut all = query.into_builder();
        all.append(DATABASE);
        one(all.schema(), all.build())
    }

    async fn get_flight_info_schemas(&self, query: CommandGetDbSchemas, request: Request<FlightDescriptor>) -> Info {
        here(request.into_inner(), &query.clone().into_builder().schema(), command(&query))
    }

    async fn do_get_schemas(&self, query: CommandGetDbSchemas, _: Request<Ticket>) -> Answer {
        let mut all = query.into_builder();
        all.append(DATABASE, SCHEMA);
        one(all.schema(), all.build())
    }

    async fn get_flight_info_tables(&self, query: CommandGetTables, request: Request<FlightDescriptor>) -> Info {
        here(request.into_inner(), &query.clone().into_builder().schema(), command(&query))
    }

    async fn do_get_tables(&self, query: CommandGetTables, _: Request<Ticket>) -> Answer {
        let mut all = query.into_builder();
        for table in self.tables().await?.iter() {
            all.append(DATABASE, SCHEMA, &table.name, TABLE_TYPE, &table.schema).map_err(Status::from)?;
        }
        one(all.schema(), all.build())
    }

    async fn get_flight_info_table_types(
        &self,
        query: CommandGetTableTypes,
        request: Request<FlightDescriptor>,
    ) -> Info {
        here(request.into_inner(), &query.into_builder().schema(), command(&query))
    }

    async fn do_get_table_types(&self, query: CommandGetTableTypes, _: Request<Ticket>) -> Answer {
        let mut all = query.into_builder();
        all.append(TABLE_TYPE);
        one(all.schema(), all.build())
    }

    async fn get_flight_info_sql_info(&self, query: CommandGetSqlInfo, request: Request<FlightDescriptor>) -> Info {
        let server = info::server().map_err(internal)?;
        here(request.into_inner(), &query.clone().into_builder(&server).schema(), command(&query))
    }

    async fn do_get_sql_info(&self, query: CommandGetSqlInfo, _: Request<Ticket>) -> Answer {
        let server = info::server().map_err(internal)?;
        let all = query.into_builder(&server);
        one(all.schema(), all.build())
    }

    async fn get_flight_info_xdbc_type_info(
        &self,
        query: CommandGetXdbcTypeInfo,
        request: Request<FlightDescriptor>,
    ) -> Info {
        let types = info::types().map_err(internal)?;
        here(request.into_inner(), &query.into_builder(&types).schema(), command(&query))
    }

    async fn do_get_xdbc_type_info(&self, query: CommandGetXdbcTypeInfo, _: Request<Ticket>) -> Answer {
        let types = info::types().map_err(internal)?;
        let all = query.into_builder(&types);
        one(all.schema(), all.build())
    }

    async fn get_flight_info_primary_keys(
        &self,
        query: CommandGetPrimaryKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        here(request.into_inner(), no_keys(false).schema_ref(), command(&query))
    }

    async fn do_get_primary_keys(&self, _: CommandGetPrimaryKeys, _: Request<Ticket>) -> Answer {
        keys(false)
    }

    async fn get_flight_info_exported_keys(
        &self,
        query: CommandGetExportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        here(request.into_inner(), no_keys(true).schema_ref(), command(&query))
    }

    async fn do_get_exported_keys(&self, _: CommandGetExportedKeys, _: Request<Ticket>) -> Answer {
        keys(true)
    }

    async fn get_flight_info_imported_keys(
        &self,
        query: CommandGetImportedKeys,
        request: Request<FlightDescriptor>,
    ) -> Info {
        here(request.into_inner(), no_keys(true).schema_ref(), command(&query))
    }

    async fn do_get_imported_keys(&self, _: CommandGetImportedKeys, _: Request<Ticket>) -> Answer {
        keys(true)
    }

    async fn get_flight_info_cross_reference(
        &self,
        query: CommandGetCrossReference,
        request: Request<FlightDescriptor>,
    ) -> Info {
        here(request.into_inner(), no_keys(true).schema_ref(), command(&query))
    }

    async fn do_get_cross_reference(&self, _: CommandGetCrossReference, _: Request<Ticket>) -> Answer {
        keys(true)
    }

    async fn do_put_statement_update(
        &self,
        update: CommandStatementUpdate,
        _: Request<PeekableFlightDataStream>,
    ) -> Result<i64, Status> {
        self.shape(&update.query).await?;
        let message = "this server only reads: send queries as queries".to_owned();
        Err(QueryError::ReadOnly { message }.into())
    }

    async fn register_sql_info(&self, _: i32, _: &SqlInfo) {}
}

impl FlightSql {
    /// Ends the query of a ticket, if this identity has it running.
    pub fn cancel(&self, identity: &Identity, info: &FlightInfo) -> bool {
        let tickets = info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref());
        let mut cancelled = false;
        for one in tickets {
            let any = arrow_flight::sql::Any::decode(&*one.ticket).ok();
            let query = any.and_then(|any| any.unpack::<TicketStatementQuery>().ok().flatten());
            if let Some(Ok((id, _))) = query.map(|query| ticket(&query.statement_handle)) {
                cancelled |= self.queries.cancel(id, identity);
            }
        }
        cancelled
    }
}

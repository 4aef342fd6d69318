//! A connection's messages in turn: simple queries, and prepared statements and portals ("Message Flow", section 55.2).

use super::cancel::{Current, Opened};
use super::message::{Frontend, MessageError, Target};
use super::parameter::Parameter;
use super::rows::{SLICE_ROWS, Writing};
use super::settings::{REPORTED, Settings};
use super::startup::{Client, Messages};
use super::statement::{About, Statement, statements};
use super::{Postgres, fatal};
use crate::access::Identity;
use crate::query::{Ask, QueryError, QueryId, Running, Session, Shape};
use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use pgwire::error::ErrorInfo;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{DataRow, NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use pgwire::messages::startup::{Authentication, BackendKeyData, ParameterStatus, SecretKey};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};
use tokio_util::sync::CancellationToken;

/// Prepared statements of a connection, and the bytes of their texts; its portals.
const STATEMENTS_MAX: usize = 1000;
const STATEMENT_BYTES_MAX: usize = 16 << 20;
const PORTALS_MAX: usize = 64;
/// Messages that are read while rows are written, so that a client's going away is seen.
const WAITING_MAX: usize = 16;

/// Why a message is not answered as it wishes.
enum Failed {
    /// An error, which the client is told.
    Error(Box<ErrorInfo>),
    /// The connection is of no more use.
    Gone,
}

impl From<QueryError> for Failed {
    fn from(error: QueryError) -> Self {
        let mut info = ErrorInfo::new("ERROR".into(), error.sqlstate().into(), error.to_string());
        info.position = error.position().map(|position| position.0.to_string());
        Self::Error(Box::new(info))
    }
}

impl From<std::io::Error> for Failed {
    fn from(_: std::io::Error) -> Self {
        Self::Gone
    }
}

fn error(code: &str, message: impl Into<String>) -> Failed {
    Failed::Error(Box::new(ErrorInfo::new("ERROR".into(), code.into(), message.into())))
}

type Done = Result<(), Failed>;

/// A statement that was prepared; none for an empty text.
#[derive(Debug)]
struct Prepared {
    statement: Option<Statement>,
    parameters: Vec<Parameter>,
    /// The columns of its rows, where it has rows.
    schema: Option<Arc<Schema>>,
    bytes: usize,
}

/// A statement with values, and its rows as far as they were read.
struct Portal {
    prepared: Arc<Prepared>,
    values: Vec<ArrayRef>,
    formats: Vec<i16>,
    rows: Option<Rows>,
}

struct Rows {
    running: Option<Running>,
    writing: Writing,
    ahead: VecDeque<DataRow>,
}

/// Between `BEGIN` and the end.
enum Transaction {
    None,
    /// All of it sees one moment: that of its first query.
    Open(Option<Session>),
    /// After an error, until `ROLLBACK`.
    Failed,
}

struct Connection {
    messages: Messages,
    server: Postgres,
    identity: Identity,
    settings: Settings,
    current: Current,
    _opened: Opened,
    statements: HashMap<String, Arc<Prepared>>,
    portals: HashMap<String, Portal>,
    transaction: Transaction,
    waiting: VecDeque<Frontend>,
    /// After an error in an extended query: until `Sync`.
    skipping: bool,
}

/// Answers a client until it goes, or until `stop`.
pub async fn run(client: Client, server: Postgres, stop: CancellationToken) {
    let Client { messages, identity, settings } = client;
    let current = Current::default();
    let opened = server.connections.open(identity.clone(), Arc::clone(&current));
    let key = opened.key;
    let mut connection = Connection {
        messages,
        server,
        identity,
        settings,
        current,
        _opened: opened,
        statements: HashMap::new(),
        portals: HashMap::new(),
        transaction: Transaction::None,
        waiting: VecDeque::new(),
        skipping: false,
    };
    if connection.greet(key).await.is_err() {
        return;
    }
    loop {
        let message = match connection.next(&stop).await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(last_words) => {
                let _ = connection.messages.send(last_words).await;
                return;
            }
        };
        if connection.handle(message).await.is_err() {
            return;
        }
    }
}

impl Connection {
    async fn greet(&mut self, (pid, secret): (i32, i32)) -> Done {
        self.messages.feed(Backend::Authentication(Authentication::Ok)).await?;
        for name in REPORTED {
            let value = self.settings.get(name).unwrap_or_default().to_owned();
            self.messages.feed(Backend::ParameterStatus(ParameterStatus::new(name.into(), value))).await?;
        }
        let key = BackendKeyData::new(pid, SecretKey::I32(secret));
        self.messages.feed(Backend::BackendKeyData(key)).await?;
        self.ready().await
    }

    /// The next message; `None` when the client went away. **Errors**: what it is told before the end.
    async fn next(&mut self, stop: &CancellationToken) -> Result<Option<Frontend>, Backend> {
        if let Some(message) = self.waiting.pop_front() {
            return Ok(Some(message));
        }
        tokio::select! {
            biased;
            message = self.messages.next() => match message {
                Some(Ok(message)) => Ok(Some(message)),
                None | Some(Err(MessageError::Io(_))) => Ok(None),
                Some(Err(error)) => Err(fatal("08P01", &error.to_string())),
            },
            () = stop.cancelled() => Err(fatal("57P01", "the server is stopping")),
        }
    }

    /// **Errors**: the connection ends.
    async fn handle(&mut self, message: Frontend) -> Result<(), ()> {
        let extended = !matches!(message, Frontend::Query(_));
        let done = match message {
            Frontend::Terminate => return Err(()),
            Frontend::Sync => {
                self.skipping = false;
                if !matches!(self.transaction, Transaction::Open(_)) {
                    self.portals.clear();
                }
                self.ready().await
            }
            _ if self.skipping => Ok(()),
            Frontend::Query(sql) => self.simple(&sql).await,
            Frontend::Parse { name, sql, types } => self.parse(name, &sql, &types).await,
            Frontend::Bind { portal, statement, formats, values, results } => {
                self.bind(portal, &statement, &formats, &values, results).await
            }
            Frontend::Describe(target, name) => self.describe(target, &name).await,
            Frontend::Execute { portal, rows_max } => self.execute(&portal, rows_max).await,
            Frontend::Close(target, name) => self.close(target, &name).await,
            Frontend::Flush => self.messages.flush().await.map_err(Failed::from),
            Frontend::Other(kind) => Err(error("0A000", format!("messages of type {kind:?} are not understood"))),
            Frontend::Ssl
            | Frontend::Gss
            | Frontend::Cancel { .. }
            | Frontend::Startup { .. }
            | Frontend::Password(_) => Err(error("08P01", "this message belongs to the start of a connection")),
        };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let told = match done {
            Ok(()) => Ok(()),
            Err(Failed::Gone) => Err(Failed::Gone),
            Err(Failed::Error(info)) => self.failed(*info, extended).await,
        };
        told.map_err(|_| ())
    }

    async fn failed(&mut self, info: ErrorInfo, extended: bool) -> Done {
        if !matches!(self.transaction, Transaction::None) {
            self.transaction = Transaction::Failed;
        }
        self.messages.feed(Backend::ErrorResponse(info.into())).await?;
        if extended {
            self.skipping = true;
            return Ok(self.messages.flush().await?);
        }
        self.ready().await
    }

    async fn ready(&mut self) -> Done {
        let status = match self.transaction {
            Transaction::None => TransactionStatus::Idle,
            Transaction::Open(_) => TransactionStatus::Transaction,
            Transaction::Failed => TransactionStatus::Error,
        };
        Ok(self.messages.send(Backend::ReadyForQuery(ReadyForQuery::new(status))).await?)
    }

    async fn complete(&mut self, tag: impl Into<String>) -> Done {
        Ok(self.messages.feed(Backend::CommandComplete(CommandComplete::new(tag.into()))).await?)
    }

    async fn simple(&mut self, sql: &str) -> Done {
        self.server.queries.check_length(sql)?;
        self.portals.remove("");
        let all = statements(sql)?;
        if all.is_empty() {
            self.messages.feed(Backend::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for statement in all {
            match statement {
                Statement::Query { sql, about } => {
                    let running = self.start(&sql, about, Vec::new()).await?;
                    let writing = Writing::new(&running.schema, &[])?;
                    self.messages.feed(Backend::RowDescription(writing.description())).await?;
                    let mut rows = Rows { running: Some(running), writing, ahead: VecDeque::new() };
                    self.write(&mut rows, None).await?;
                }
                Statement::Show { name } => {
                    let (batch, writing) = self.show(&name, &[])?;
                    self.messages.feed(Backend::RowDescription(writing.description())).await?;
                    self.shown(&batch, &writing).await?;
                }
                other => self.change(other).await?,
            }
        }
        self.ready().await
    }

    async fn parse(&mut self, name: String, sql: &str, types: &[u32]) -> Done {
        self.server.queries.check_length(sql)?;
        let others = self.statements.iter().filter(|(other, _)| **other != name);
        let (count, bytes) = others.fold((0, sql.len()), |(count, sum), (_, one)| (count + 1, sum + one.bytes));
        if count >= STATEMENTS_MAX || bytes > STATEMENT_BYTES_MAX {
            return Err(error("54000", "too many prepared statements; close some"));
        }
        let mut all = statements(sql)?;
        if all.len() > 1 {
            return Err(error("42601", "a prepared statement is one statement"));
        }
        let mut prepared = Prepared { statement: None, parameters: Vec::new(), schema: None, bytes: sql.len() };
        match all.pop() {
            None => {}
            Some(Statement::Query { sql, about }) => {
                let (shape, about) = self.shape(&sql, about).await?;
                prepared.parameters = Parameter::all(&shape, types);
                prepared.schema = Some(shape.schema);
                prepared.statement = Some(Statement::Query { sql, about });
            }
            Some(Statement::Show { name }) => {
                prepared.schema = Some(shown_as(&name));
                prepared.statement = Some(Statement::Show { name });
            }
            other => prepared.statement = other,
        }
        self.statements.insert(name, Arc::new(prepared));
        Ok(self.messages.feed(Backend::ParseComplete(ParseComplete::new())).await?)
    }

    fn prepared(&self, name: &str) -> Result<Arc<Prepared>, Failed> {
        let found = self.statements.get(name).cloned();
        found.ok_or_else(|| error("26000", format!("no prepared statement {name:?}")))
    }

    async fn bind(
        &mut self,
        portal: String,
        statement: &str,
        formats: &[i16],
        values: &[Option<Bytes>],
        results: Vec<i16>,
    ) -> Done {
        let prepared = self.prepared(statement)?;
        let count = prepared.parameters.len();
        if values.len() != count || formats.len() > 1 && formats.len() != count {
            let (values, formats) = (values.len(), formats.len());
            return Err(error("08P01", format!("{values} values in {formats} formats for {count} parameters")));
        }
        if self.portals.len() >= PORTALS_MAX && !self.portals.contains_key(&portal) {
            return Err(error("54000", "too many portals; close some"));
        }
        let binary = |at: usize| formats.get(if formats.len() == 1 { 0 } else { at }) == Some(&1);
        let pairs = prepared.parameters.iter().zip(values).enumerate();
        let values = pairs
            .map(|(at, (parameter, value))| parameter.value(at + 1, binary(at), value.as_ref()))
            .collect::<Result<_, _>>()?;
        self.portals.insert(portal, Portal { prepared, values, formats: results, rows: None });
        Ok(self.messages.feed(Backend::BindComplete(BindComplete::new())).await?)
    }

    async fn describe(&mut self, target: Target, name: &str) -> Done {
        let (prepared, formats) = match target {
            Target::Statement => (self.prepared(name)?, Vec::new()),
            Target::Portal => {
                let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
                (Arc::clone(&portal.prepared), portal.formats.clone())
            }
        };
        if target == Target::Statement {
            let types = prepared.parameters.iter().map(Parameter::oid).collect();
            self.messages.feed(Backend::ParameterDescription(ParameterDescription::new(types))).await?;
        }
        let answer = match &prepared.schema {
            Some(schema) => Backend::RowDescription(Writing::new(schema, &formats)?.description()),
            None => Backend::NoData(NoData::new()),
        };
        Ok(self.messages.feed(answer).await?)
    }

    async fn execute(&mut self, name: &str, rows_max: u32) -> Done {
        let mut portal = self.portals.remove(name).ok_or_else(|| no_portal(name))?;
        let prepared = Arc::clone(&portal.prepared);
        match &prepared.statement {
            None => self.messages.feed(Backend::EmptyQueryResponse(EmptyQueryResponse::new())).await?,
            Some(Statement::Query { sql, about }) => {
                let mut rows = match portal.rows.take() {
                    Some(rows) => rows,
                    None => {
                        let running = self.start(sql, *about, portal.values.clone()).await?;
                        if prepared.schema.as_ref().is_some_and(|known| !same(known, &running.schema)) {
                            return Err(error("0A000", "cached plan must not change result type"));
                        }
                        let writing = Writing::new(&running.schema, &portal.formats)?;
                        Rows { running: Some(running), writing, ahead: VecDeque::new() }
                    }
                };
                self.write(&mut rows, (rows_max > 0).then_some(rows_max as usize)).await?;
                portal.rows = Some(rows);
            }
            Some(Statement::Show { name }) => {
                let (batch, writing) = self.show(name, &portal.formats)?;
                self.shown(&batch, &writing).await?;
            }
            Some(other) => self.change(other.clone()).await?,
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    async fn close(&mut self, target: Target, name: &str) -> Done {
        match target {
            Target::Statement => drop(self.statements.remove(name)),
            Target::Portal => drop(self.portals.remove(name)),
        }
        Ok(self.messages.feed(Backend::CloseComplete(CloseComplete::new())).await?)
    }

    /// What changes the session and has no rows.
    async fn change(&mut self, statement: Statement) -> Done {
        if matches!(self.transaction, Transaction::Failed)
            && !matches!(statement, Statement::Commit | Statement::Rollback)
        {
            return Err(aborted());
        }
        let tag = match statement {
            Statement::Begin => {
                if matches!(self.transaction, Transaction::None) {
                    self.transaction = Transaction::Open(None);
                }
                "BEGIN"
            }
            Statement::Commit | Statement::Rollback => {
                let failed = matches!(self.transaction, Transaction::Failed);
                self.transaction = Transaction::None;
                self.portals.clear();
                if failed || statement == Statement::Rollback { "ROLLBACK" } else { "COMMIT" }
            }
            Statement::Set { name, value } => {
                self.set(&name, value).await?;
                "SET"
            }
            Statement::Deallocate { name } => {
                match name {
                    Some(name) => drop(self.statements.remove(&name)),
                    None => self.statements.clear(),
                }
                "DEALLOCATE"
            }
            Statement::Discard => {
                self.statements.clear();
                self.portals.clear();
                self.settings.reset();
                "DISCARD ALL"
            }
            Statement::Nothing { tag } => tag,
            Statement::Query { .. } | Statement::Show { .. } => return Err(error("XX000", "this statement has rows")),
        };
        self.complete(tag).await
    }

    async fn set(&mut self, name: &str, value: Option<String>) -> Done {
        if name.eq_ignore_ascii_case("all") && value.is_none() {
            self.settings.reset();
            return Ok(());
        }
        let utf8 = |value: &str| matches!(value.to_ascii_lowercase().replace('-', "").as_str(), "utf8" | "unicode");
        if name.eq_ignore_ascii_case("client_encoding") && value.as_deref().is_some_and(|value| !utf8(value)) {
            return Err(error("22023", "client_encoding: only UTF8 is spoken here"));
        }
        if name.eq_ignore_ascii_case("timezone") && value.as_deref().is_some_and(|value| !is_utc(value)) {
            // Times are sent in UTC, with their offset: a client that knows another zone converts them itself.
            return Ok(());
        }
        if !self.settings.set(name, value) {
            return Err(error("54000", format!("{name}: too many settings, or too long ones")));
        }
        if let Some(name) = REPORTED.iter().find(|known| known.eq_ignore_ascii_case(name)) {
            let value = self.settings.get(name).unwrap_or_default().to_owned();
            self.messages.feed(Backend::ParameterStatus(ParameterStatus::new((*name).to_owned(), value))).await?;
        }
        Ok(())
    }

    fn show(&self, name: &str, formats: &[i16]) -> Result<(RecordBatch, Writing), Failed> {
        let value = self.settings.get(name);
        let value = value.ok_or_else(|| error("42704", format!("unrecognized configuration parameter {name:?}")))?;
        let schema = shown_as(name);
        let writing = Writing::new(&schema, formats)?;
        let batch = RecordBatch::try_new(schema, vec![Arc::new(StringArray::from(vec![value]))]);
        Ok((batch.map_err(|e| error("XX000", e.to_string()))?, writing))
    }

    async fn shown(&mut self, batch: &RecordBatch, writing: &Writing) -> Done {
        for row in writing.rows(batch)? {
            self.messages.feed(Backend::DataRow(row)).await?;
        }
        self.complete("SHOW").await
    }

    /// The lake as this connection sees it now.
    async fn lake(&mut self) -> Result<Session, Failed> {
        match &self.transaction {
            Transaction::Failed => return Err(aborted()),
            Transaction::Open(Some(session)) => return Ok(session.clone()),
            Transaction::None | Transaction::Open(None) => {}
        }
        let session = self.server.queries.open().await?;
        if let Transaction::Open(pinned) = &mut self.transaction {
            *pinned = Some(session.clone());
        }
        Ok(session)
    }

    /// What a query would answer, and who answers it.
    async fn shape(&mut self, sql: &str, about: About) -> Result<(Shape, About), Failed> {
        let lake = self.lake().await?;
        if about != About::Data {
            let catalog = self.server.catalog.session(lake.tables())?;
            match catalog.describe(sql.to_owned()).await {
                Err(first @ QueryError::Invalid { .. }) if about == About::Nothing => {
                    let shape = lake.describe(sql.to_owned()).await.map_err(|error| plainer(first, error))?;
                    return Ok((shape, About::Data));
                }
                shape => return Ok((shape?, About::Catalog)),
            }
        }
        Ok((lake.describe(sql.to_owned()).await?, About::Data))
    }

    async fn start(&mut self, sql: &str, about: About, parameters: Vec<ArrayRef>) -> Result<Running, Failed> {
        let lake = self.lake().await?;
        let (queries, identity) = (&self.server.queries, &self.identity);
        let current = &self.current;
        let ask = |session: Session| {
            let id = QueryId::random();
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Some(id);
            let (sql, parameters) = (sql.to_owned(), parameters.clone());
            Ask { sql, parameters, session: Some(session), id: Some(id), ..Ask::default() }
        };
        if about != About::Data {
            let catalog = self.server.catalog.session(lake.tables())?;
            match queries.start(identity, ask(catalog)).await {
                Err(first @ QueryError::Invalid { .. }) if about == About::Nothing => {
                    return Ok(queries.start(identity, ask(lake)).await.map_err(|error| plainer(first, error))?);
                }
                running => return Ok(running?),
            }
        }
        Ok(queries.start(identity, ask(lake)).await?)
    }

    /// Writes rows, at most `rows_max`, and how it ended.
    async fn write(&mut self, rows: &mut Rows, rows_max: Option<usize>) -> Done {
        let mut written = 0;
        loop {
            while let Some(row) = rows.ahead.pop_front() {
                self.messages.feed(Backend::DataRow(row)).await?;
                written += 1;
                if rows_max == Some(written) {
                    return Ok(self.messages.feed(Backend::PortalSuspended(PortalSuspended::new())).await?);
                }
            }
            let Some(running) = &mut rows.running else { break };
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(running.id);
            let Some(batch) = watched(running, &mut self.messages, &mut self.waiting).await? else {
                rows.running = None;
                break;
            };
            for from in (0..batch.num_rows()).step_by(SLICE_ROWS) {
                let slice = batch.slice(from, SLICE_ROWS.min(batch.num_rows() - from));
                let messages = rows.writing.rows(&slice)?;
                match rows_max {
                    Some(_) => rows.ahead.extend(messages),
                    None => {
                        for row in messages {
                            self.messages.feed(Backend::DataRow(row)).await?;
                            written += 1;
                        }
                    }
                }
            }
        }
        self.complete(format!("SELECT {written}")).await
    }
}

/// Of the errors of the catalog and of the lake, the one to tell: where neither knows a function, the first.
fn plainer(first: QueryError, second: QueryError) -> QueryError {
    if matches!(second, QueryError::Invalid { .. }) { first } else { second }
}

/// The next batch. A client that goes away while it is waited for is noticed.
async fn watched(
    running: &mut Running,
    messages: &mut Messages,
    waiting: &mut VecDeque<Frontend>,
) -> Result<Option<RecordBatch>, Failed> {
    loop {
        tokio::select! {
            biased;
            batch = running.next_or_rows() => return Ok(batch?),
            message = messages.next(), if waiting.len() < WAITING_MAX => match message {
                Some(Ok(message)) => waiting.push_back(message),
                _ => return Err(Failed::Gone),
            },
        }
    }
}

/// Whether rows of one schema can be sent as the other's, which the client was told of.
fn same(told: &Schema, now: &Schema) -> bool {
    let fields = |schema: &Schema| -> Vec<(String, DataType)> {
        schema.fields().iter().map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    fields(told) == fields(now)
}

fn shown_as(name: &str) -> Arc<Schema> {
    Arc::new(Schema::new(vec![Field::new(name, DataType::Utf8, false)]))
}

fn is_utc(zone: &str) -> bool {
    matches!(zone.to_ascii_lowercase().as_str(), "utc" | "gmt" | "etc/utc" | "zulu" | "z" | "default")
}

fn no_portal(name: &str) -> Failed {
    error("34000", format!("no portal {name:?}"))
}

fn aborted() -> Failed {
    error("25P02", "current transaction is aborted, commands ignored until end of transaction block")
}

//! Arrow Flight SQL, as its own client and ADBC speak it.

use super::daemon::{Daemon, event};
use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetDbSchemas, CommandGetPrimaryKeys, CommandGetTables, CommandGetXdbcTypeInfo,
    SqlInfo,
};
use arrow_flight::{Action, CancelFlightInfoRequest, FlightInfo};
use futures::TryStreamExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

type Client = FlightSqlServiceClient<Channel>;

fn daemon(folder: &Path, over: &[(&str, &str)]) -> Daemon {
    let daemon = Daemon::start(folder, over).unwrap();
    let events: String = (0..30).map(|n| event(&format!("e{n:02}"), n)).collect();
    assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
    daemon
}

fn block_on(work: impl Future<Output = ()>) {
    // Two threads: the daemon is asked for its metrics by one that blocks.
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work);
}

async fn client(daemon: &Daemon) -> Client {
    let endpoint = Endpoint::from_shared(format!("http://{}", daemon.at("FlightSql"))).unwrap();
    FlightSqlServiceClient::new(endpoint.connect().await.unwrap())
}

async fn fetch(client: &mut Client, info: FlightInfo) -> arrow_flight::error::Result<Vec<RecordBatch>> {
    let mut all = Vec::new();
    for endpoint in info.endpoint {
        all.extend(client.do_get(endpoint.ticket.unwrap()).await?.try_collect::<Vec<_>>().await?);
    }
    Ok(all)
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn code(error: &arrow_flight::error::FlightError) -> Code {
    match error {
        arrow_flight::error::FlightError::Tonic(status) => status.code(),
        other => panic!("{other}"),
    }
}

const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b";

#[test]
fn a_client_asks_and_browses() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    block_on(async {
        let mut client = client(&daemon).await;
        let info = client.execute("SELECT metadata.uid, time FROM api_activity".into(), None).await.unwrap();
        assert_eq!(info.clone().try_decode_schema().unwrap().field(0).name(), "metadata.uid");
        assert_eq!(rows(&fetch(&mut client, info).await.unwrap()), 30);
        let info = client.get_catalogs().await.unwrap();
        assert_eq!(fetch(&mut client, info).await.unwrap()[0].column(0).as_string::<i32>().value(0), "tarn");
        let info = client.get_db_schemas(CommandGetDbSchemas::default()).await.unwrap();
        assert_eq!(rows(&fetch(&mut client, info).await.unwrap()), 1);
        let pattern = CommandGetTables {
            table_name_filter_pattern: Some("api%".into()),
            include_schema: true,
            ..Default::default()
        };
        let info = client.get_tables(pattern).await.unwrap();
        let tables = fetch(&mut client, info).await.unwrap();
        assert_eq!(tables[0].column(2).as_string::<i32>().value(0), "api_activity");
        assert_eq!((rows(&tables), tables[0].num_columns()), (1, 5));
        let info = client.get_table_types().await.unwrap();
        assert_eq!(rows(&fetch(&mut client, info).await.unwrap()), 1);
        let info = client.get_sql_info(vec![SqlInfo::FlightSqlServerName, SqlInfo::FlightSqlServerReadOnly]).await;
        assert_eq!(rows(&fetch(&mut client, info.unwrap()).await.unwrap()), 2);
        let info = client.get_xdbc_type_info(CommandGetXdbcTypeInfo::default()).await.unwrap();
        assert!(rows(&fetch(&mut client, info).await.unwrap()) > 5);
        let table = "api_activity".to_owned();
        let info = client.get_primary_keys(CommandGetPrimaryKeys { table: table.clone(), ..Default::default() }).await;
        assert_eq!(rows(&fetch(&mut client, info.unwrap()).await.unwrap()), 0);
        let pair = CommandGetCrossReference { pk_table: table.clone(), fk_table: table, ..Default::default() };
        let info = client.get_cross_reference(pair).await.unwrap();
        assert_eq!(info.clone().try_decode_schema().unwrap().fields().len(), 13);
        assert_eq!(rows(&fetch(&mut client, info).await.unwrap()), 0);
    });
    assert!(daemon.stop());
}

#[test]
fn a_prepared_statement_takes_values() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    block_on(async {
        let mut client = client(&daemon).await;
        let sql = "SELECT metadata.uid FROM api_activity WHERE api.operation = $1 ORDER BY 1 LIMIT $2";
        let mut prepared = client.prepare(sql.into(), None).await.unwrap();
        let types: Vec<_> =
            prepared.parameter_schema().unwrap().fields().iter().map(|f| f.data_type().clone()).collect();
        assert_eq!(types, [DataType::Utf8, DataType::Int64]);
        assert_eq!(prepared.dataset_schema().unwrap().fields().len(), 1);
        let fields = vec![Field::new("$1", DataType::Utf8, false), Field::new("$2", DataType::Int64, false)];
        let values = |rows: usize| {
            let schema = Arc::new(Schema::new(fields.clone()));
            let texts = Arc::new(StringArray::from(vec!["StopLogging"; rows]));
            RecordBatch::try_new(schema, vec![texts, Arc::new(Int64Array::from(vec![3; rows]))]).unwrap()
        };
        prepared.set_parameters(values(1)).unwrap();
        let info = prepared.execute().await.unwrap();
        let found = fetch(&mut client, info).await.unwrap();
        assert_eq!((rows(&found), found[0].column(0).as_string::<i32>().value(2)), (3, "e06"));
        prepared.set_parameters(values(2)).unwrap();
        assert!(prepared.execute().await.is_err(), "two rows of values");
        prepared.close().await.unwrap();
    });
    assert!(daemon.stop());
}

#[test]
fn what_is_wrong_has_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[("TARN_SERVE__QUERY__ROWS_MAX", "20")]);
    block_on(async {
        let mut client = client(&daemon).await;
        for (sql, expected) in [
            ("DELETE FROM api_activity", Code::PermissionDenied),
            ("SELECT * FROM nowhere", Code::NotFound),
            ("SELECT nothing FROM api_activity", Code::InvalidArgument),
            ("SELEC 1", Code::InvalidArgument),
        ] {
            let error = client.execute(sql.into(), None).await.unwrap_err();
            assert_eq!(code(&error), expected, "{sql}: {error}");
        }
        let updated = client.execute_update("SELECT 1".into(), None).await.unwrap_err();
        assert_eq!(code(&updated), Code::PermissionDenied, "{updated}");
        assert_eq!(code(&client.begin_transaction().await.unwrap_err()), Code::Unimplemented);
        let info = client.execute("SELECT metadata.uid FROM api_activity".into(), None).await.unwrap();
        let many = fetch(&mut client, info).await.unwrap_err();
        assert_eq!(code(&many), Code::ResourceExhausted, "{many}");
        let info = client.execute("SELECT count(*) FROM api_activity".into(), None).await.unwrap();
        let count = fetch(&mut client, info).await.unwrap();
        assert_eq!(count[0].column(0).as_primitive::<Int64Type>().value(0), 30, "as good as before");
    });
    assert!(daemon.stop());
}

#[test]
fn a_query_ends_when_it_is_cancelled_or_left() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    block_on(async {
        let mut client = client(&daemon).await;
        let info = client.execute(ENDLESS.into(), None).await.unwrap();
        let asked = tokio::spawn({
            let (mut client, info) = (client.clone(), info.clone());
            async move { fetch(&mut client, info).await }
        });
        let running = |daemon: &Daemon| daemon.metric("tarn_queries_running");
        daemon.wait("the query", |daemon| running(daemon) == 1.0);
        let body = prost::Message::encode_to_vec(&CancelFlightInfoRequest { info: Some(info.clone()) });
        let action = Action::new("CancelFlightInfo", body);
        let answers: Vec<_> =
            client.inner_mut().do_action(action).await.unwrap().into_inner().try_collect().await.unwrap();
        assert_eq!(answers.len(), 1);
        assert_eq!(code(&asked.await.unwrap().unwrap_err()), Code::Cancelled);
        // A client that goes away ends its query as well.
        let left = tokio::spawn({
            let mut client = client.clone();
            async move { fetch(&mut client, info).await.map(|_| ()) }
        });
        daemon.wait("the query", |daemon| running(daemon) == 1.0);
        left.abort();
        daemon.wait("its end", |daemon| running(daemon) == 0.0);
    });
    assert!(daemon.stop());
}

#[test]
fn every_call_shows_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let digest = hex::encode(<sha2::Sha256 as sha2::Digest>::digest("right"));
    let access = format!("[{{name='soc',token_sha256='{digest}',query=true}}]");
    let daemon = Daemon::start(folder.path(), &[("TARN_SERVE__ACCESS", &access)]).unwrap();
    block_on(async {
        let mut unknown = client(&daemon).await;
        assert_eq!(code(&unknown.execute("SELECT 1".into(), None).await.unwrap_err()), Code::Unauthenticated);
        let wrong = unknown.handshake("soc", "wrong").await.unwrap_err();
        assert!(wrong.to_string().contains("credentials are missing or wrong"), "{wrong}");
        let mut known = client(&daemon).await;
        // The password of a handshake is the token, which comes back to go on with.
        assert_eq!(known.handshake("soc", "right").await.unwrap(), "right");
        let info = known.execute("SELECT 1".into(), None).await.unwrap();
        assert_eq!(rows(&fetch(&mut known, info).await.unwrap()), 1);
    });
    assert!(daemon.stop());
}

/// The same questions by ADBC, where a Python that has it is named.
#[test]
fn adbc_asks() {
    let Some(python) = std::env::var_os("TARN_ADBC_PYTHON") else {
        println!("skipped: TARN_ADBC_PYTHON names no Python with adbc-driver-flightsql");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    let address = daemon.at("FlightSql");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/flight_sql.py");
    let status = Command::new(python)
        .arg(script)
        .arg(address.ip().to_string())
        .arg(address.port().to_string())
        .status()
        .unwrap();
    assert!(status.success());
    assert!(daemon.stop());
}

//! PostgreSQL's protocol, as a driver and psql speak it, and as an attacker does.

use super::daemon::{Daemon, event};
use chrono::{DateTime, Utc};
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn daemon(folder: &Path, over: &[(&str, &str)]) -> Daemon {
    let daemon = Daemon::start(folder, over).unwrap();
    let events: String = (0..30).map(|n| event(&format!("e{n:02}"), n)).collect();
    assert_eq!(daemon.post("/v1/ingest", &events).status, 200);
    daemon
}

fn config(daemon: &Daemon) -> Config {
    let address = daemon.at("Postgres");
    let mut config = Config::new();
    config.host(&address.ip().to_string()).port(address.port()).user("soc").dbname("tarn");
    config
}

fn client(daemon: &Daemon) -> Client {
    config(daemon).connect(NoTls).unwrap()
}

/// As much work as outlasts every test.
const ENDLESS: &str = "SELECT count(*) FROM generate_series(1, 10000000) a, generate_series(1, 10000000) b";

#[test]
fn a_driver_asks() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    let mut client = client(&daemon);
    // Typed values, in the binary forms that this driver speaks.
    let since: DateTime<Utc> = "2026-01-01T00:00:10Z".parse().unwrap();
    let sql = "SELECT metadata.uid AS uid, time, class_uid, severity_id, NULL::BIGINT AS nothing FROM api_activity
               WHERE api.operation = $1 AND time >= $2 ORDER BY time LIMIT $3";
    let rows = client.query(sql, &[&"StopLogging", &since, &2i64]).unwrap();
    assert_eq!(rows.len(), 2);
    let (uid, time): (String, DateTime<Utc>) = (rows[0].get("uid"), rows[0].get("time"));
    assert_eq!((uid.as_str(), time), ("e12", since + chrono::Duration::seconds(2)));
    assert_eq!((rows[0].get::<_, i64>(2), rows[0].get::<_, Option<i64>>(4)), (6003, None));
    // What was acknowledged before is seen, by the same connection.
    assert_eq!(daemon.post("/v1/ingest", &event("late", 100)).status, 200);
    let found = client.query_one("SELECT count(*) FROM api_activity WHERE metadata.uid = 'late'", &[]).unwrap();
    assert_eq!(found.get::<_, i64>(0), 1);
    // Several statements of a simple query.
    let messages = client.simple_query("SET application_name = 'it'; SHOW application_name; SELECT 1").unwrap();
    let texts: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["it", "1"]);
    assert!(daemon.stop());
}

#[test]
fn a_transaction_sees_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    let mut client = client(&daemon);
    let count = "SELECT count(*) FROM api_activity";
    let mut transaction = client.transaction().unwrap();
    assert_eq!(transaction.query_one(count, &[]).unwrap().get::<_, i64>(0), 30);
    assert_eq!(daemon.post("/v1/ingest", &event("meanwhile", 100)).status, 200);
    assert_eq!(transaction.query_one(count, &[]).unwrap().get::<_, i64>(0), 30);
    // A portal gives its rows a few at a time.
    let portal = transaction.bind("SELECT metadata.uid FROM api_activity", &[]).unwrap();
    let pieces: Vec<usize> = (0..4).map(|_| transaction.query_portal(&portal, 12).unwrap().len()).collect();
    assert_eq!(pieces, [12, 12, 6, 0]);
    // After an error nothing is answered until the end.
    let failed = transaction.query("SELECT nothing FROM api_activity", &[]).unwrap_err();
    assert_eq!(failed.code(), Some(&SqlState::UNDEFINED_COLUMN));
    let aborted = transaction.query(count, &[]).unwrap_err();
    assert_eq!(aborted.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    transaction.rollback().unwrap();
    assert_eq!(client.query_one(count, &[]).unwrap().get::<_, i64>(0), 31);
    assert!(daemon.stop());
}

#[test]
fn what_is_wrong_is_told_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[("TARN_SERVE__QUERY__ROWS_MAX", "20")]);
    let mut client = client(&daemon);
    for (sql, code) in [
        ("DELETE FROM api_activity", SqlState::READ_ONLY_SQL_TRANSACTION),
        ("COPY api_activity TO '/tmp/x'", SqlState::READ_ONLY_SQL_TRANSACTION),
        ("SELECT * FROM nowhere", SqlState::UNDEFINED_TABLE),
        ("SELECT * FROM '/etc/passwd'", SqlState::UNDEFINED_TABLE),
        ("SELECT 1 +", SqlState::SYNTAX_ERROR),
        ("SELECT 'no end", SqlState::SYNTAX_ERROR),
        ("SHOW no_such_setting", SqlState::UNDEFINED_OBJECT),
        ("SET client_encoding = 'LATIN1'", SqlState::INVALID_PARAMETER_VALUE),
        ("SELECT metadata.uid FROM api_activity", SqlState::PROGRAM_LIMIT_EXCEEDED),
        ("CREATE TABLE pg_catalog.t (a int)", SqlState::READ_ONLY_SQL_TRANSACTION),
    ] {
        assert_eq!(client.simple_query(sql).unwrap_err().code(), Some(&code), "{sql}");
    }
    let typo = client.simple_query("SELEC 1").unwrap_err();
    let typo = typo.as_db_error().unwrap();
    assert_eq!(typo.position(), Some(&postgres::error::ErrorPosition::Original(1)), "{typo:?}");
    // The connection is as good as before.
    assert_eq!(client.query_one("SELECT $1::INT + 1", &[&41i32]).unwrap().get::<_, i64>(0), 42);
    assert!(daemon.stop());
}

#[test]
fn a_query_is_cancelled_by_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    let mut asking = client(&daemon);
    let cancel = asking.cancel_token();
    let asked = std::thread::spawn(move || (asking.query(ENDLESS, &[]).map(|_| ()), asking));
    // Before it runs there is nothing to cancel.
    let mut tries = 0;
    while !asked.is_finished() {
        tries += 1;
        assert!(tries < 300, "it goes on");
        std::thread::sleep(Duration::from_millis(100));
        cancel.cancel_query(NoTls).unwrap();
    }
    let (answer, mut asking) = asked.join().unwrap();
    assert_eq!(answer.unwrap_err().code(), Some(&SqlState::QUERY_CANCELED));
    assert_eq!(asking.query_one("SELECT 1::BIGINT", &[]).unwrap().get::<_, i64>(0), 1);
    assert!(daemon.stop());
}

#[test]
fn tokens_are_passwords() {
    let folder = tempfile::tempdir().unwrap();
    let digest = |token: &str| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(token));
    let access = format!(
        "[{{name='soc',token_sha256='{}',query=true,ingest=['*']}},{{name='shipper',token_sha256='{}',ingest=['*']}}]",
        digest("right"),
        digest("ships")
    );
    let daemon = Daemon::start(folder.path(), &[("TARN_SERVE__ACCESS", &access)]).unwrap();
    let with = |token: &str| config(&daemon).password(token).connect(NoTls).map(|_| ());
    assert!(with("right").is_ok());
    assert_eq!(with("wrong").unwrap_err().code(), Some(&SqlState::INVALID_PASSWORD));
    assert_eq!(with("ships").unwrap_err().code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
    assert!(config(&daemon).connect(NoTls).is_err());
    assert!(daemon.stop());
}

/// Bytes that are no protocol end their own connection, and no other.
#[test]
fn hostile_bytes_hurt_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    let mut good = client(&daemon);
    let startup = b"\0\0\0\x12\0\x03\0\0user\0soc\0\0";
    let long = [startup.as_slice(), b"Q\x3f\xff\xff\xff"].concat();
    let early = [startup.as_slice(), b"B\0\0\0\x0a\0\0\0\x05\0\x01"].concat();
    let numbers = [startup.as_slice(), b"B\0\0\0\x0e\0\0\0\0\x7f\xff\xff\xff\xff\xff"].concat();
    for (bytes, says) in [
        (b"\x7f\xff\xff\xff\0\x03\0\0".as_slice(), ""),
        (b"GET / HTTP/1.1\r\n\r\n".as_slice(), ""),
        (b"\0\0\0\x08\0\x02\0\0".as_slice(), "protocol 2.0"),
        (&long, "are taken"),
        (&early, "ends early"),
        (&numbers, "cannot be"),
    ] {
        let mut stream = TcpStream::connect(daemon.at("Postgres")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told);
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(says), "{bytes:?}: {told:?}");
    }
    // One that stops reading in the middle of an answer.
    let mut deaf = TcpStream::connect(daemon.at("Postgres")).unwrap();
    let sql = "SELECT repeat('x', 10000) FROM generate_series(1, 100000)\0";
    let length = (sql.len() as i32 + 4).to_be_bytes();
    deaf.write_all(&[startup.as_slice(), b"Q", &length, sql.as_bytes()].concat()).unwrap();
    assert_eq!(good.query_one("SELECT count(*) FROM api_activity", &[]).unwrap().get::<_, i64>(0), 30);
    // A client that goes away while its query runs: the query ends, too.
    let mut gone = TcpStream::connect(daemon.at("Postgres")).unwrap();
    let length = (ENDLESS.len() as i32 + 5).to_be_bytes();
    gone.write_all(&[startup.as_slice(), b"Q", &length, ENDLESS.as_bytes(), b"\0"].concat()).unwrap();
    daemon.wait("the query", |daemon| daemon.metric("tarn_queries_running") >= 2.0);
    drop((gone, deaf));
    daemon.wait("its end", |daemon| daemon.metric("tarn_queries_running") == 0.0);
    assert!(daemon.stop());
}

#[test]
fn psql_browses() {
    if Command::new("psql").arg("--version").output().is_err() {
        println!("skipped: psql is not here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let daemon = daemon(folder.path(), &[]);
    let psql = |command: &str| {
        let address = daemon.at("Postgres");
        let url = format!("postgresql://soc@{address}/tarn");
        let out = Command::new("psql").args(["-X", "-A", "-t", "-c", command, &url]).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (tables, errors) = psql("\\d");
    assert!(tables.contains("public|api_activity|table|"), "{tables}{errors}");
    let (columns, errors) = psql("\\d api_activity");
    assert!(columns.contains("time|timestamp with time zone|"), "{columns}{errors}");
    assert!(columns.contains("api.operation|text|"), "{columns}{errors}");
    let (databases, errors) = psql("\\l");
    assert!(databases.contains("tarn|"), "{databases}{errors}");
    let (rows, errors) = psql("SELECT metadata.uid, time FROM api_activity ORDER BY 1 LIMIT 1");
    assert_eq!(rows, "e00|2026-01-01 00:00:00.000000+00\n", "{errors}");
    let (_, errors) = psql("SELEC 1");
    assert!(errors.contains("LINE 1: SELEC 1"), "{errors}");
    assert!(daemon.stop());
}

//! Syslog over TCP, TLS and UDP: framings, batches, waiting senders, and hostile ones.

use crate::receiving::{Taken, grants, overloaded};
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tarn_connectors::access::{Access, Grant};
use tarn_connectors::intake::Refused;
use tarn_connectors::listen::{Listener, Tls, TlsFiles};
use tarn_connectors::source::syslog::{Options, Syslog, bind, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio_util::sync::CancellationToken;

const LINE: &str = "<34>Oct 11 22:14:15 mymachine su: 'su root' failed";
const STRUCTURED: &str = "<165>1 2003-10-11T22:14:15.003Z host evntslog 7 ID47 [a@1 b=\"c\"] An event";

struct Server {
    taken: Taken,
    syslog: Syslog,
    address: SocketAddr,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

async fn server(options: Options, access: Access, tls: Option<Tls>) -> Server {
    let taken = Taken::default();
    let syslog = Syslog { intake: taken.intake(), access, options, counts: Arc::default() };
    let listener = Listener::bind(([127, 0, 0, 1], 0).into(), tls, true).await.unwrap();
    let (address, stop) = (listener.address, CancellationToken::new());
    let serving = tokio::spawn(serve(listener, syslog.clone(), stop.clone(), Duration::from_secs(1)));
    Server { taken, syslog, address, stop, serving }
}

async fn open(options: Options) -> Server {
    server(options, Access::open(), None).await
}

async fn send(server: &Server, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

#[tokio::test]
async fn both_framings_are_read() {
    let server = open(Options::default()).await;
    let counted = format!("{} {STRUCTURED}{} {LINE}", STRUCTURED.len(), LINE.len());
    let stream =
        send(&server, format!("{LINE}\n{STRUCTURED}\r\n{counted}<13>no header\n{{\"a\":1}}\n{LINE}").as_bytes()).await;
    server.taken.until(6).await;
    drop(stream);
    server.taken.until(7).await;
    let records = server.taken.json();
    assert_eq!(server.taken.originals()[..4], [LINE, STRUCTURED, STRUCTURED, LINE]);
    assert_eq!(records[1]["structured_data"], json!({ "a@1": { "b": "c" } }));
    assert_eq!((&records[4]["hostname"], &records[4]["message"]), (&json!("127.0.0.1"), &json!("no header")));
    assert_eq!(
        (&records[4]["facility"], &records[4]["severity"], &records[5]),
        (&json!(1), &json!(5), &json!({ "a": 1 }))
    );
    assert_eq!(server.syslog.counts.taken.load(Relaxed), 7);
}

#[tokio::test]
async fn messages_are_handed_over_together() {
    let server = open(Options { batch_ms: 200, ..Options::default() }).await;
    let _stream = send(&server, format!("{LINE}\n").repeat(1000).as_bytes()).await;
    server.taken.until(1000).await;
    assert!(server.taken.deliveries.lock().unwrap().len() < 20);
    let audit = "type=SYSCALL msg=audit(1.0:7): pid=1 exe=\"/bin/ls\"\ntype=CWD msg=audit(1.0:7): cwd=\"/tmp\"\n";
    let _other = send(&server, audit.as_bytes()).await;
    server.taken.until(1001).await;
    assert!(server.taken.originals()[1000].contains("CWD"));
}

#[tokio::test]
async fn hostile_streams_cost_themselves() {
    let server = open(Options { message_bytes_max: 100, ..Options::default() }).await;
    let long = "x".repeat(1 << 20);
    let mut bytes = format!("{long}\n{LINE}\n{} {long}{LINE}\n", long.len()).into_bytes();
    bytes.extend(b"<13>\xff\xfe\n\0\0\n\n nonsense\n99999999999999999999 x\n");
    bytes.extend(format!("{LINE}\n").bytes());
    let _stream = send(&server, &bytes).await;
    server.taken.until(8).await;
    assert_eq!(server.taken.originals(), [LINE, LINE, LINE]);
    assert_eq!(server.taken.dead(), 5);
    let deliveries = server.taken.deliveries.lock().unwrap();
    assert!(deliveries.iter().flat_map(|d| &d.block.dead).all(|letter| letter.bytes.len() <= 100));
}

#[tokio::test]
async fn a_sender_waits_while_there_is_no_room() {
    let server = open(Options { batch_bytes: 1, ..Options::default() }).await;
    server.taken.refuse(Refused::Overloaded { retry_after: Duration::from_millis(20) });
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let lines = format!("{LINE}\n").repeat(1000);
    let mut sent = 0;
    // The kernel's buffers fill up, and then nothing more is taken.
    let flood = async {
        loop {
            stream.write_all(lines.as_bytes()).await.unwrap();
            sent += 1000;
        }
    };
    assert!(tokio::time::timeout(Duration::from_millis(700), flood).await.is_err());
    assert!(server.taken.records().is_empty());
    server.taken.refuse(None);
    server.taken.until(sent).await;
    assert_eq!(server.syslog.counts.dropped.load(Relaxed), 0);
}

#[tokio::test]
async fn connections_are_limited_in_number_and_time() {
    let server = open(Options { connections_max: 1, idle_seconds: 1, ..Options::default() }).await;
    let mut first = send(&server, LINE.as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = TcpStream::connect(server.address).await.unwrap();
    let closed = async |stream: &mut TcpStream| matches!(stream.read(&mut [0]).await, Ok(0) | Err(_));
    assert!(closed(&mut second).await);
    assert_eq!(server.syslog.counts.refused.load(Relaxed), 1);
    assert!(closed(&mut first).await);
    assert_eq!(server.taken.originals(), [LINE]);
}

#[tokio::test]
async fn stopping_hands_over_what_was_read() {
    let server = open(Options { batch_ms: 60_000, ..Options::default() }).await;
    let _stream = send(&server, format!("{LINE}\n").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(server.taken.records().is_empty());
    server.stop.cancel();
    server.serving.await.unwrap();
    assert_eq!(server.taken.originals(), [LINE]);
}

#[tokio::test]
async fn stopping_does_not_wait_for_room_for_ever() {
    let server = open(Options::default()).await;
    server.taken.refuse(overloaded());
    let _stream = send(&server, format!("{LINE}\n").as_bytes()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    server.stop.cancel();
    tokio::time::timeout(Duration::from_secs(5), server.serving).await.unwrap().unwrap();
    assert_eq!(server.syslog.counts.dropped.load(Relaxed), 1);
}

#[tokio::test]
async fn clients_without_a_certificate_are_refused_where_credentials_are_asked_for() {
    let refusing = server(Options::default(), grants(), None).await;
    let mut stream = send(&refusing, format!("{LINE}\n").as_bytes()).await;
    assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
    let open = server(Options { unauthenticated: true, ..Options::default() }, grants(), None).await;
    let _stream = send(&open, format!("{LINE}\n").as_bytes()).await;
    open.taken.until(1).await;
    assert!(refusing.taken.records().is_empty());
}

#[tokio::test]
async fn a_certificate_is_who_sends() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
    let (server_key, client_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let certificate = CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&server_key, &root).unwrap();
    let mut client = CertificateParams::new(vec![]).unwrap();
    client.subject_alt_names = vec![SanType::URI("spiffe://example.org/relay".try_into().unwrap())];
    let client = client.signed_by(&client_key, &root).unwrap();
    let files = TlsFiles {
        certificate: write("server.pem", certificate.pem()),
        key: write("server.key", server_key.serialize_pem()),
        client_ca: Some(write("ca.pem", root.pem())),
    };
    let grant = Grant {
        name: "relay".into(),
        spiffe_id: Some("spiffe://example.org/relay".into()),
        ingest: vec!["*".into()],
        ..Grant::default()
    };
    let server = server(Options::default(), Access::new(vec![grant]).unwrap(), Some(Tls::open(files).unwrap())).await;

    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.der().clone()).unwrap();
    let key = rustls_pki_types::PrivatePkcs8KeyDer::from(client_key.serialize_der()).into();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_client_auth_cert(vec![client.der().clone()], key).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(format!("{} {LINE}", LINE.len()).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    server.taken.until(1).await;
    assert_eq!(server.taken.deliveries.lock().unwrap()[0].sender.as_deref(), Some("relay"));
}

#[tokio::test]
async fn a_datagram_is_a_message() {
    let taken = Taken::default();
    let options = Options { message_bytes_max: 200, ..Options::default() };
    let syslog = Syslog { intake: taken.intake(), access: Access::open(), options, counts: Arc::default() };
    let datagrams = bind(([127, 0, 0, 1], 0).into(), false).await.unwrap();
    let (address, stop) = (datagrams.address, CancellationToken::new());
    let serving = tokio::spawn(datagrams.serve(syslog.clone(), stop.clone()));
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let long = [b'x'; 300];
    for datagram in [LINE.as_bytes(), STRUCTURED.as_bytes(), b"", b"<13>\xff", &long, format!("{LINE}\n").as_bytes()] {
        socket.send_to(datagram, address).await.unwrap();
    }
    taken.until(5).await;
    assert_eq!((taken.originals(), taken.dead()), (vec![LINE.into(), STRUCTURED.into(), LINE.into()], 2));
    taken.refuse(overloaded());
    socket.send_to(LINE.as_bytes(), address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(syslog.counts.dropped.load(Relaxed), 1);
    stop.cancel();
    serving.await.unwrap();
}

#[tokio::test]
async fn datagrams_beyond_loopback_have_to_be_asked_for() {
    let refused = bind(([0, 0, 0, 0], 0).into(), false).await.unwrap_err().to_string();
    assert!(refused.contains("syslog.unauthenticated"), "{refused}");
    assert!(bind(([0, 0, 0, 0], 0).into(), true).await.is_ok());
}

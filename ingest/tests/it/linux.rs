//! What rules see of Linux logs: the log sources of an event, and the values of its fields under Sigma's names.

use std::collections::BTreeSet;
use std::sync::Arc;
use tarn_ingest::container::{Blocks, Limits};
use tarn_ingest::fields::{FieldIx, FieldReader, FieldRequest, FieldUse, FieldValue};
use tarn_ingest::source::Binding;
use tarn_ingest::source::Sources;

/// Each event's log sources (those of `asked` that cover it) and its fields.
fn read(
    log: &str,
    asked: &[(Option<&str>, Option<&str>)],
    fields: &[&str],
) -> Vec<(Vec<usize>, Vec<Option<FieldValue>>)> {
    let sources = Arc::new(Sources::builtin().unwrap_or_else(|e| panic!("{e}")));
    let all: BTreeSet<u16> = (0..fields.len() as u16).collect();
    let request = FieldRequest {
        fields: fields.iter().map(|f| (*f).to_owned()).collect(),
        uses: sources
            .iter()
            .map(|s| FieldUse {
                binding: Binding { source: s.id, category: None, service: None },
                fields: all.clone(),
                needles: None,
            })
            .collect(),
    };
    let bindings: Vec<_> =
        asked.iter().map(|(category, service)| sources.bind(Some("linux"), *category, *service)).collect();
    let mut reader = FieldReader::new(sources.clone(), request);
    let mut blocks = Blocks::open(std::io::Cursor::new(log.to_owned().into_bytes()), Limits::default()).unwrap();
    let mut out = Vec::new();
    while let Some(block) = blocks.next_block().unwrap() {
        reader.read(&block, None);
        let batch = reader.rows();
        for row in 0..batch.len() {
            let route = batch.route(batch.route_of(row));
            let covering = bindings
                .iter()
                .enumerate()
                .filter(|(_, b)| b.iter().any(|b| b.covers(route)))
                .map(|(i, _)| i)
                .collect();
            let value = |ix: usize| {
                let cell = batch.cell(row, FieldIx(ix as u16))?;
                Some(batch.dictionary(cell.field).value(cell.code))
            };
            out.push((covering, (0..fields.len()).map(value).collect()));
        }
    }
    out
}

fn text(value: &str) -> Option<FieldValue> {
    Some(FieldValue::Text(value.into()))
}

#[test]
fn a_joined_audit_event_is_all_of_its_records() {
    let log = include_str!("../../sources/linux_auditd/process.input.log");
    let asked = [
        (None, Some("auditd")),
        (Some("process_creation"), None),
        (Some("file_event"), None),
        (None, None),
        (None, Some("sshd")),
    ];
    let found = read(
        log,
        &asked,
        &["type", "a0", "name", "SYSCALL", "key", "Image", "CommandLine", "User", "CurrentDirectory"],
    );
    assert_eq!(found.len(), 1);
    let (covering, values) = &found[0];
    assert_eq!(covering, &[0, 1, 3]);
    let list = |value: &Option<FieldValue>| match value {
        Some(FieldValue::List(items)) => items.to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(list(&values[0]).len(), 5);
    assert!(list(&values[0]).contains(&FieldValue::Text("EXECVE".into())));
    assert!(list(&values[2]).contains(&FieldValue::Text("/usr/bin/find".into())));
    assert_eq!(values[1], text("find"));
    assert_eq!(
        values[3..],
        [
            text("execve"),
            text("recon"),
            text("/usr/bin/find"),
            text("find /srv/my dir -name *.key"),
            text("root"),
            text("/root")
        ]
    );
}

#[test]
fn files_connections_and_commands_have_their_log_sources() {
    let asked = [
        (Some("file_event"), None),
        (Some("file_delete"), None),
        (Some("file_rename"), None),
        (Some("file_access"), None),
    ];
    let found = read(include_str!("../../sources/linux_auditd/files.input.log"), &asked, &["TargetFilename"]);
    let seen: Vec<_> = found.iter().map(|(covering, values)| (covering.clone(), values[0].clone())).collect();
    assert_eq!(
        seen,
        [
            (vec![0], text("/etc/systemd/system/x.service")),
            (vec![1], text("/home/a/.bash hi")),
            (vec![0, 2], text("/tmp/auth.log")),
            (vec![3], text("/etc/shadow")),
        ]
    );
    let found = read(
        include_str!("../../sources/linux_auditd/enriched_network.input.log"),
        &[(Some("network_connection"), None)],
        &["DestinationIp", "DestinationPort", "Initiated", "Image"],
    );
    assert_eq!(found[0], (vec![0], vec![text("192.168.1.2"), text("8080"), text("true"), text("/usr/bin/nc")]));
    assert_eq!(found[1].0, Vec::<usize>::new());
    let found = read(
        include_str!("../../sources/syslog/sudo.input.log"),
        &[(None, Some("sudo")), (None, Some("auth")), (None, Some("cron"))],
        &["USER"],
    );
    assert_eq!(found[0], (vec![0, 1], vec![text("root")]));
}

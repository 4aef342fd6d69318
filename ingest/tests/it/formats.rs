//! Containers of other formats, end to end: Security Lake's Parquet, logs of lines with strays among them.

use crate::fixtures::{check_valid, map};
use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::Field;
use parquet::arrow::ArrowWriter;
use std::sync::Arc;

fn structure(columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let fields = columns.into_iter().map(|(n, a)| (Arc::new(Field::new(n, a.data_type().clone(), true)), a));
    Arc::new(StructArray::from(fields.collect::<Vec<_>>()))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn security_lake_rows_become_rows() {
    let same = |text| texts(&[Some(text), Some(text)]);
    let numbers = |n: i32| Arc::new(Int32Array::from(vec![n, n])) as ArrayRef;
    let product = structure(vec![("name", same("CloudTrail")), ("vendor_name", same("AWS"))]);
    let batch = RecordBatch::try_from_iter([
        (
            "metadata",
            structure(vec![("version", same("1.1.0")), ("product", product), ("uid", texts(&[Some("a"), Some("b")]))]),
        ),
        ("time", Arc::new(Int64Array::from(vec![1_773_743_400_000, 1_773_743_401_000])) as ArrayRef),
        ("class_uid", numbers(6003)),
        ("category_uid", numbers(6)),
        ("activity_id", numbers(2)),
        ("type_uid", Arc::new(Int64Array::from(vec![600_302, 600_302]))),
        ("severity_id", numbers(1)),
        ("api", structure(vec![("operation", texts(&[Some("GetObject"), Some("ListBuckets")]))])),
        ("actor", structure(vec![("invoked_by", texts(&[Some("s3.amazonaws.com"), Some("x")]))])),
        (
            "src_endpoint",
            structure(vec![
                ("ip", texts(&[Some("10.0.0.7"), None])),
                ("domain", texts(&[None, Some("s3.amazonaws.com")])),
            ]),
        ),
        ("cloud", structure(vec![("provider", same("AWS"))])),
    ])
    .unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mapped = map(bytes);
    assert_eq!((mapped.records.len(), mapped.dead.len()), (2, 0));
    let first = &mapped.records[0];
    assert_eq!(
        (&first["api"]["operation"], &first["metadata"]["uid"], &first["src_endpoint"]["ip"]),
        (&"GetObject".into(), &"a".into(), &"10.0.0.7".into())
    );
    assert_eq!(first["time"], 1_773_743_400_000_i64);
    assert!(mapped.records[1]["src_endpoint"].get("ip").is_none());
}

#[test]
fn a_stray_line_is_a_dead_letter_and_the_rest_goes_on() {
    let log = "type=USER_LOGIN msg=audit(1773743400.1:1): pid=1 uid=0 auid=0 ses=1 msg='op=login id=0 exe=\"/usr/sbin/sshd\" hostname=h addr=10.0.0.7 terminal=ssh res=failed'\n\
               not a record\n\
               type=SYSCALL msg=audit(1773743401.1:2): arch=c000003e syscall=59 pid=2\n\
               type=PATH msg=aud";
    let mapped = map(log.into());
    assert_eq!((mapped.records.len(), mapped.dead.len()), (2, 2), "{:?}", mapped.dead);
    let log = "Mar 17 10:30:00 web1 sshd[1]: Invalid user x from 10.0.0.7 port 22\n%%%\n{\"a\":1}\nMar 17 10:30:01 web1 cron[1]: x\n";
    let mapped = map(log.into());
    assert_eq!((mapped.records.len(), mapped.dead.len()), (3, 1), "{:?}", mapped.dead);
    mapped.records.iter().for_each(|r| check_valid("syslog", r));
}

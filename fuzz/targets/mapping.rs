//! Mappings of users: what compiles maps records, of which none is lost; what does not says where.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use tarn_ingest::golden;
use tarn_ingest::source::Sources;

const RECORDS: &str = r#"{"ts":"2026-03-17T10:30:00Z","id":"1","event":"login","user":"D\\u","src":"10.0.0.7","port":"0x1f","a":{"b":[1,{"c":null}]}}
{"ts":1773743400.5,"event":["login",null],"user":{"name":"u"},"payload":"{\"event\":\"x\"}","src":"","port":65536}
{}
"#;

fuzz_target!(|text: &str| {
    let table = text.parse::<toml::Table>().unwrap_or_default();
    // A source's name is its folder's.
    let name = table.get("source").and_then(|s| s.get("name")).and_then(|n| n.as_str()).unwrap_or("fuzz");
    match Sources::compile(vec![(name.to_owned(), text.to_owned())]) {
        Err(error) => assert!(error.to_string().contains(name), "{error}"),
        Ok(sources) => {
            for source in sources.iter() {
                for (kind, field) in
                    (0..source.kinds.len()).flat_map(|k| source.field_names().iter().map(move |f| (k, f)))
                {
                    let _ = source.homes(field, kind as u16);
                }
            }
            let mapped = golden::map(&Arc::new(sources), RECORDS.into()).unwrap();
            assert_eq!((mapped.records.len() + mapped.dead.len(), mapped.count), (3, 3));
        }
    }
});

//! Containers through both lanes. The mapper: records and dead letters in are rows and dead letters out; each row nests to JSON that
//! serde_json reads, has its original in `raw_data`, and is valid OCSF unless it came as OCSF. The detection lane: a row a
//! record, of the uid that the mapper gives it.
#![no_main]
#![allow(clippy::unwrap_used)]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::cell::RefCell;
use std::sync::Arc;
use tarn_fuzz::container::{blocks, count, cut};
use tarn_ingest::container::{Block, Limits};
use tarn_ingest::fields::{FieldReader, FieldRequest, FieldUse, KEYWORDS, Needle};
use tarn_ingest::golden::INGEST_TIME;
use tarn_ingest::mapper::{MapOptions, Mapper};
use tarn_ingest::source::{SourceId, Sources};
use tarn_schema_ocsf::nest;
use tarn_schema_ocsf::validate::{Severity, validate};

thread_local! {
    // Its tables take longer to make than an input takes to map.
    static LANES: RefCell<Lanes> = {
        let sources = Arc::new(Sources::builtin().unwrap());
        let options = MapOptions { ingest_time: INGEST_TIME, ..MapOptions::default() };
        let (mapper, reader) = (Mapper::new(sources.clone(), options), FieldReader::new(sources.clone(), request(&sources)));
        RefCell::new(Lanes { sources, mapper, reader })
    };
}

struct Lanes {
    sources: Arc<Sources>,
    mapper: Mapper,
    reader: FieldReader,
}

/// Some fields of every source, and keywords.
fn request(sources: &Sources) -> FieldRequest {
    let fields = ["CommandLine", "EventID", "eventName", "requestParameters.policy", "a0", "name", "message", KEYWORDS];
    let products = ["windows", "aws", "kubernetes", "linux"];
    let uses = products.iter().flat_map(|p| sources.bind(Some(p), None, None)).map(|binding| FieldUse {
        binding,
        fields: (0..fields.len() as u16).collect(),
        needles: Needle::of("mimikatz").map(|n| [n].into()),
    });
    FieldRequest { fields: fields.map(str::to_owned).to_vec(), uses: uses.collect() }
}

fuzz_target!(|data: &[u8]| {
    let Ok(blocks) = blocks(data, Limits::default()) else { return };
    LANES.with_borrow_mut(|lanes| {
        check(&blocks, lanes, None);
        // As if the user had said which source it is.
        let ids: Vec<SourceId> = lanes.sources.iter().map(|s| s.id).collect();
        check(&blocks, lanes, ids.get(cut(data) % ids.len()).copied());
    });
});

fn check(blocks: &[Block], Lanes { mapper, reader, .. }: &mut Lanes, only: Option<SourceId>) {
    blocks.iter().for_each(|block| mapper.push(block, only));
    let (batches, dead) = mapper.drain();
    let rows: usize = batches.iter().map(|(_, batch)| batch.num_rows()).sum();
    assert_eq!((rows + dead.len()) as u64, count(blocks), "a record is lost");
    assert_eq!(dead.len(), blocks.iter().map(|b| b.dead.len()).sum::<usize>());

    let mut originals: Vec<&str> = blocks.iter().flat_map(|b| b.records.iter().map(|r| b.original(r))).collect();
    let (mut kept, mut uids) = (Vec::new(), Vec::new());
    for (class, batch) in &batches {
        let mut lines = Vec::new();
        nest::write_ndjson(batch, &mut lines).unwrap();
        let records: Vec<Value> = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(parsed).collect();
        assert_eq!(records.len(), batch.num_rows());
        for record in records {
            assert_eq!(record["class_uid"], class.0, "{record}");
            assert!(record["time"].is_i64() && record["metadata"]["uid"].is_string(), "{record}");
            uids.push(record["metadata"]["uid"].as_str().unwrap().to_owned());
            kept.push(record["raw_data"].as_str().unwrap().to_owned());
            if !record["metadata"]["transformation_info_list"].is_null() {
                assert!(matches!(record["unmapped"], Value::Null | Value::Object(_)), "{record}");
                let errors: Vec<_> = validate(&record).into_iter().filter(|v| v.severity == Severity::Error).collect();
                assert!(errors.is_empty(), "{}: {record}", errors[0]);
            }
        }
    }
    kept.sort();
    originals.sort();
    assert!(kept.iter().eq(&originals), "{kept:#?} is not {originals:#?}");

    let mut identified = Vec::new();
    for block in blocks {
        reader.read(block, only);
        assert_eq!(reader.rows().len(), block.records.len());
        identified.extend((0..block.records.len()).map(|row| reader.identity(block, row, INGEST_TIME).uid));
    }
    identified.sort();
    uids.sort();
    assert_eq!(identified, uids, "the lanes give other uids");
}

fn parsed(line: &[u8]) -> Value {
    serde_json::from_slice(line).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(line)))
}

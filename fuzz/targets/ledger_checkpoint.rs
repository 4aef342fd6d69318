//! Checkpoint notes and key names.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tarn_fuzz::ledger::checkpoint(data));

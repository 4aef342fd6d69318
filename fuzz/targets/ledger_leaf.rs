//! Leaves and entries of the ledger.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tarn_fuzz::ledger::leaf(data));

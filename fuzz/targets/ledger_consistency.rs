//! Proofs that a ledger goes on.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tarn_fuzz::ledger::consistency(data));

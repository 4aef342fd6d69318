//! Requests of the key broker's protocol.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tarn_fuzz::kbs::messages(data));

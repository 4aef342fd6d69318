//! Docker's configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tarn_fuzz::attest::registry::docker_config(data));

//! Answers of KMS in CMS: an error, or parts that are within the input's length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tarn_enclave::keys::cms::Enveloped;

fuzz_target!(|data: &[u8]| {
    let _ = Enveloped::read(data);
});

//! `digest_uid('sha384', text)`: a digest as records are joined by it, `algorithm:hex` in lower case, of its hexadecimal or
//! Base64 digits. Logs write either; NULL for what has another length than the algorithm's.

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use std::sync::Arc;

/// The function.
pub(super) fn digest_uid() -> ScalarUDF {
    let run = |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [algorithms, digests] = arrays.as_slice() else {
            return exec_err!("digest_uid takes an algorithm and a digest");
        };
        let text = |array: &ArrayRef| cast(array, &DataType::Utf8);
        let (algorithms, digests) = (text(algorithms)?, text(digests)?);
        let pairs = algorithms.as_string::<i32>().iter().zip(digests.as_string::<i32>().iter());
        let uids: StringArray = pairs.map(|(algorithm, digest)| uid(algorithm?, digest?)).collect();
        Ok(ColumnarValue::Array(Arc::new(uids)))
    };
    let texts = vec![DataType::Utf8, DataType::Utf8];
    create_udf("digest_uid", texts, DataType::Utf8, Volatility::Immutable, Arc::new(run))
}

fn uid(algorithm: &str, digest: &str) -> Option<String> {
    let bytes = match algorithm {
        "sha256" => 32,
        "sha384" => 48,
        "sha512" => 64,
        _ => return None,
    };
    let hexadecimal = digest.len() == 2 * bytes && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    if hexadecimal {
        return Some(format!("{algorithm}:{}", digest.to_ascii_lowercase()));
    }
    // Of this length before it is decoded: a text may be as long as a row allows.
    let encoded = digest.len() == bytes.div_ceil(3) * 4;
    let decoded = encoded.then(|| STANDARD.decode(digest).ok()).flatten().filter(|decoded| decoded.len() == bytes)?;
    Some(format!("{algorithm}:{}", hex::encode(decoded)))
}

#[cfg(test)]
mod tests {
    use super::uid;

    #[test]
    fn both_spellings_are_one_digest() {
        let zeros = format!("sha384:{}", "0".repeat(96));
        assert_eq!(uid("sha384", &"0".repeat(96)), Some(zeros.clone()));
        assert_eq!(uid("sha384", &"A".repeat(64)), Some(zeros));
        // Sixty-four hexadecimal digits are a digest of another length, and Base64 of this one.
        assert_eq!(uid("sha256", &"AB".repeat(32)), Some(format!("sha256:{}", "ab".repeat(32))));
        assert_eq!(uid("sha256", &format!("{}A=", "A".repeat(42))), Some(format!("sha256:{}", "0".repeat(64))));
        for (algorithm, digest) in
            [("sha384", "0"), ("md5", "0"), ("sha384", &"é".repeat(32)), ("sha256", &"A".repeat(43)), ("sha512", "")]
        {
            assert_eq!(uid(algorithm, digest), None, "{algorithm} {digest}");
        }
    }
}

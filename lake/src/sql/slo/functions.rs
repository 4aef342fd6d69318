//! Functions that the views stand on: bounds of Wilson's interval, and the images that a text names.

use arrow::array::{Array, AsArray, Float64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Int64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF, Volatility, create_udf};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Images of one text; a pod has fewer.
const IMAGES_MAX: usize = 64;

/// `wilson_lower(k, n)`, `wilson_upper(k, n)` and `image_digests(text)`.
pub(in crate::sql) fn functions() -> [ScalarUDF; 3] {
    [bound("wilson_lower", wilson_lower), bound("wilson_upper", wilson_upper), image_digests()]
}

/// A bound of Wilson's interval at 95 % for `k` of `n`; NULL for none.
fn bound(name: &str, of: fn(i64, i64) -> Option<f64>) -> ScalarUDF {
    let run = move |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [k, n] = arrays.as_slice() else { return exec_err!("expected two counts") };
        let (k, n) = (k.as_primitive::<Int64Type>(), n.as_primitive::<Int64Type>());
        let bound = |at: usize| (k.is_valid(at) && n.is_valid(at)).then(|| of(k.value(at), n.value(at))).flatten();
        Ok(ColumnarValue::Array(Arc::new((0..k.len()).map(bound).collect::<Float64Array>())))
    };
    let counts = vec![DataType::Int64, DataType::Int64];
    create_udf(name, counts, DataType::Float64, Volatility::Immutable, Arc::new(run))
}

/// The digests of the images that a text names as `name@sha256:…`, each once, in order, at most [`IMAGES_MAX`]; a list of
/// one NULL where it names none, so that `unnest` keeps the row.
fn image_digests() -> ScalarUDF {
    let run = |arguments: &[ColumnarValue]| -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        let [texts] = arrays.as_slice() else { return exec_err!("expected a text") };
        let mut lists = ListBuilder::new(StringBuilder::new());
        for text in texts.as_string_view() {
            let found = text.map(digests).unwrap_or_default();
            if found.is_empty() {
                lists.values().append_null();
            }
            found.iter().for_each(|digest| lists.values().append_value(digest));
            lists.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(lists.finish())))
    };
    let list = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
    create_udf("image_digests", vec![DataType::Utf8View], list, Volatility::Immutable, Arc::new(run))
}

fn digests(text: &str) -> BTreeSet<String> {
    let hex = text.match_indices("@sha256:").filter_map(|(at, mark)| text.get(at + mark.len()..at + mark.len() + 64));
    let hex = hex.filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex.take(IMAGES_MAX).map(|hex| format!("sha256:{}", hex.to_ascii_lowercase())).collect()
}

/// The lower bound of Wilson's score interval, z for 95 %.
///
/// It is the smaller root of a quadratic, had here by the product of both: their difference would leave a rest of rounding
/// where it is 0.
fn wilson_lower(k: i64, n: i64) -> Option<f64> {
    const Z: f64 = 1.959_963_984_540_054;
    if n <= 0 || k < 0 || k > n {
        return None;
    }
    let (k, n) = (k as f64, n as f64);
    let p = k / n;
    let middle = p + Z * Z / (2.0 * n);
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(p * p / (middle + half))
}

/// The upper bound: as far from 1 as the lower one of those that were not counted is from 0.
fn wilson_upper(k: i64, n: i64) -> Option<f64> {
    wilson_lower(n.checked_sub(k)?, n).map(|lower| 1.0 - lower)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        let near = |a: Option<f64>, b: f64| assert!(a.is_some_and(|a| (a - b).abs() < 1e-4), "{a:?}, expected {b}");
        near(wilson_upper(0, 10), 0.2775);
        near(wilson_lower(9, 10), 0.5958);
        near(wilson_upper(9, 10), 0.9821);
        // Newcombe 1998, table I.
        near(wilson_lower(81, 263), 0.2553);
        near(wilson_upper(81, 263), 0.3662);
        for bound in [wilson_lower, wilson_upper] {
            assert!([(0, 0), (2, 1), (-1, 1), (i64::MIN, 1), (1, -1)].iter().all(|(k, n)| bound(*k, *n).is_none()));
        }
    }

    #[test]
    fn none_and_all_are_bounds_without_a_rest() {
        for n in (1..2_000).chain([1 << 40, i64::MAX]) {
            assert_eq!(wilson_lower(0, n), Some(0.0), "{n}");
            assert_eq!(wilson_upper(n, n), Some(1.0), "{n}");
            // One of them is not none, nor all but one all.
            let one = wilson_lower(1, n.max(2)).zip(wilson_upper(n.max(2) - 1, n.max(2)));
            assert!(one.is_some_and(|(low, high)| low > 0.0 && (high < 1.0 || n > 1 << 50)), "{n}: {one:?}");
        }
    }

    #[test]
    fn images_are_those_that_are_pinned() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        let text =
            format!("x@sha256:{a} y@sha256:{b}, sha256:{} z@sha256:{}é @sha256:{a}", "c".repeat(64), "d".repeat(63));
        let expected = [format!("sha256:{a}"), format!("sha256:{}", b.to_lowercase())];
        assert_eq!(digests(&text), BTreeSet::from(expected));
        assert!(digests("@sha256:").is_empty());
    }
}

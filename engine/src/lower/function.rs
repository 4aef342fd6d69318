//! SQL functions for what SQL's own cannot say exactly.
//!
//! * `sigma_fold(text)`: a text as tests without case see it (SQL's `lower` differs on a few characters).
//! * `sigma_any(value, path, test, operand…)`: whether the test holds for any value at the path: null when nothing is
//!   there. `value` is a JSON text or a list of texts. Path `''` is the whole, `'*'` every scalar in it; `'a.b'` finds
//!   `a.b` however it is nested, `'$.a.b'` only as nested objects. Elements of arrays on the way all count.
//! * `sigma_test(text, test, operand…)`: the same of one text.
//! * `sigma_values(json, path, otherwise)`: the texts at the path as a list, else `otherwise`, a text or a list of them.
//! * `sigma_text(number)`: a decimal number as logs write it.
//! * `sigma_compare(a, how, b)`: whether any text of one list relates so to one of the other.

use super::test::Compiled;
use arrow::array::{Array, ArrayRef, AsArray, BooleanBuilder, ListBuilder, StringArray, StringBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::sync::{Arc, LazyLock};
use tarn_ingest::json::{self, Kind, Members};
use tarn_rules::{FieldTest, expr, reference};

/// Every function, to be registered where SQL is written by hand.
pub fn all() -> Vec<Arc<ScalarUDF>> {
    ALL.to_vec()
}

static ALL: LazyLock<Vec<Arc<ScalarUDF>>> =
    LazyLock::new(|| [What::Fold, What::Any, What::Test, What::Values, What::Compare, What::Text].map(udf).to_vec());

fn udf(what: What) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Function { what, signature: Signature::variadic_any(Volatility::Immutable) }))
}

/// The functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum What {
    Fold,
    Any,
    Test,
    Values,
    Compare,
    Text,
}

impl What {
    /// The function as it is called in an expression.
    pub(super) fn udf(self) -> Arc<ScalarUDF> {
        ALL[self as usize].clone()
    }

    fn name(self) -> &'static str {
        match self {
            Self::Fold => "sigma_fold",
            Self::Any => "sigma_any",
            Self::Test => "sigma_test",
            Self::Values => "sigma_values",
            Self::Compare => "sigma_compare",
            Self::Text => "sigma_text",
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Function {
    what: What,
    signature: Signature,
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.what.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.what {
            What::Fold | What::Text => DataType::Utf8,
            What::Any | What::Test | What::Compare => DataType::Boolean,
            What::Values => texts_type(),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let all_scalar = args.args.iter().all(|a| matches!(a, ColumnarValue::Scalar(_)));
        let out = match (self.what, args.args.as_slice()) {
            (What::Fold, [value]) => fold(&texts(value, rows)?),
            (What::Text, [value]) => {
                let numbers = cast(&value.to_array(rows)?, &DataType::Float64)?;
                let texts: StringArray =
                    numbers.as_primitive::<Float64Type>().iter().map(|n| n.map(|n| n.to_string())).collect();
                Arc::new(texts)
            }
            (What::Any, [value, path, word, operands @ ..]) => {
                let test = compiled(word, operands)?;
                any(&value.to_array(rows)?, &literal(path)?, &test)?
            }
            (What::Test, [value, word, operands @ ..]) => {
                let test = compiled(word, operands)?;
                let values = texts(value, rows)?;
                let mut out = BooleanBuilder::with_capacity(values.len());
                values.as_string::<i32>().iter().for_each(|v| out.append_option(v.map(|t| test.text(t))));
                Arc::new(out.finish())
            }
            (What::Values, [value, path, otherwise]) => {
                values(&texts(value, rows)?, &literal(path)?, &otherwise.to_array(rows)?)?
            }
            (What::Compare, [a, how, b]) => compare(&a.to_array(rows)?, &literal(how)?, &b.to_array(rows)?)?,
            _ => return exec_err!("{}: wrong number of arguments", self.name()),
        };
        if all_scalar && out.len() == 1 {
            return Ok(ColumnarValue::Scalar(datafusion::scalar::ScalarValue::try_from_array(&out, 0)?));
        }
        Ok(ColumnarValue::Array(out))
    }
}

fn texts_type() -> DataType {
    DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)))
}

fn texts(value: &ColumnarValue, rows: usize) -> Result<ArrayRef> {
    Ok(cast(&value.to_array(rows)?, &DataType::Utf8)?)
}

fn literal(value: &ColumnarValue) -> Result<String> {
    match value {
        ColumnarValue::Scalar(scalar) => match scalar.try_as_str() {
            Some(Some(text)) => Ok(text.to_owned()),
            _ => exec_err!("expected a text, got {scalar}"),
        },
        ColumnarValue::Array(_) => exec_err!("paths, tests and operands are constants"),
    }
}

fn compiled(word: &ColumnarValue, operands: &[ColumnarValue]) -> Result<Compiled> {
    let operands: Vec<String> = operands.iter().map(literal).collect::<Result<_>>()?;
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    Compiled::new(&literal(word)?, &operands)
}

fn fold(values: &ArrayRef) -> ArrayRef {
    let folded: StringArray = values.as_string::<i32>().iter().map(|v| v.map(expr::fold)).collect();
    Arc::new(folded)
}

fn any(value: &ArrayRef, path: &str, test: &Compiled) -> Result<ArrayRef> {
    let mut out = BooleanBuilder::with_capacity(value.len());
    if let DataType::List(_) | DataType::LargeList(_) | DataType::ListView(_) = value.data_type() {
        let lists = cast(value, &texts_type())?;
        for list in lists.as_list::<i32>().iter() {
            // Elements without a value are fields that are not there.
            out.append_option(list.and_then(|list| {
                let texts = list.as_string::<i32>();
                (texts.null_count() < texts.len()).then(|| texts.iter().flatten().any(|t| test.text(t)))
            }));
        }
        return Ok(Arc::new(out.finish()));
    }
    let texts = cast(value, &DataType::Utf8)?;
    for json in texts.as_string::<i32>() {
        let Some(json) = json else {
            out.append_null();
            continue;
        };
        let (mut there, mut holds) = (false, false);
        visit(json, path, &mut |raw| {
            there = true;
            holds = holds || matches!(test, Compiled::Exists) || value_holds(raw, test);
        });
        out.append_option(there.then_some(holds));
    }
    Ok(Arc::new(out.finish()))
}

fn value_holds(raw: &str, test: &Compiled) -> bool {
    match json::kind(raw) {
        Kind::Null => test.null(),
        Kind::Array => Members::of(raw).any(|(_, v)| value_holds(v, test)),
        // As the matcher takes objects (`FieldValue::List`).
        Kind::Object => {
            let mut holds = test.text(&json::compact(raw));
            json::scalars(raw, &mut |scalar| holds = holds || test.text(&json::text(scalar)));
            holds
        }
        _ => test.text(&json::text(raw)),
    }
}

/// The values at a path.
fn visit<'a>(raw: &'a str, path: &str, found: &mut impl FnMut(&'a str)) {
    match path {
        "" => found(raw),
        "*" => match json::kind(raw) {
            Kind::Object | Kind::Array => leaves(raw, true, found),
            Kind::Null => {}
            _ => found(raw),
        },
        path => match path.strip_prefix("$.") {
            Some(path) => json::descend(raw, path, found),
            None => json::descend_dotted(raw, path, found),
        },
    }
}

/// What the mapper adds to `unmapped` by itself.
const OWN_MEMBER: &str = "tarn_fallbacks";

fn leaves<'a>(raw: &'a str, top: bool, found: &mut impl FnMut(&'a str)) {
    for (key, value) in Members::of(raw).filter(|(key, _)| !(top && *key == OWN_MEMBER)) {
        let _ = key;
        match json::kind(value) {
            Kind::Object | Kind::Array => leaves(value, false, found),
            Kind::Null => {}
            _ => found(value),
        }
    }
}

fn values(json: &ArrayRef, path: &str, otherwise: &ArrayRef) -> Result<ArrayRef> {
    let is_list = matches!(otherwise.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::ListView(_));
    let otherwise = cast(otherwise, &if is_list { texts_type() } else { DataType::Utf8 })?;
    // A row's own texts of `otherwise`: none where it has no value.
    let of_row = |row: usize| -> Option<Vec<String>> {
        let owned = |texts: &StringArray| texts.iter().flatten().map(str::to_owned).collect();
        match otherwise.is_valid(row) {
            false => None,
            true if is_list => Some(owned(otherwise.as_list::<i32>().value(row).as_string::<i32>())),
            true => Some(vec![otherwise.as_string::<i32>().value(row).to_owned()]),
        }
    };
    let mut out = ListBuilder::new(StringBuilder::new());
    for (row, json) in json.as_string::<i32>().iter().enumerate() {
        let mut there = false;
        if let Some(json) = json {
            visit(json, path, &mut |raw| {
                there = true;
                push(raw, out.values());
            });
        }
        let else_ = of_row(row).filter(|_| !there);
        else_.iter().flatten().for_each(|text| out.values().append_value(text));
        out.append(there || else_.is_some());
    }
    Ok(Arc::new(out.finish()))
}

fn push(raw: &str, out: &mut StringBuilder) {
    match json::kind(raw) {
        Kind::Null => {}
        Kind::Array => Members::of(raw).for_each(|(_, v)| push(v, out)),
        Kind::Object => {
            out.append_value(json::compact(raw));
            json::scalars(raw, &mut |scalar| out.append_value(json::text(scalar)));
        }
        _ => out.append_value(json::text(raw)),
    }
}

/// How fields relate, by name.
pub(super) const FIELD_TESTS: &[(&str, FieldTest)] = &[
    ("equals", FieldTest::Equals),
    ("starts_with", FieldTest::StartsWith),
    ("ends_with", FieldTest::EndsWith),
    ("contains", FieldTest::Contains),
];

fn compare(a: &ArrayRef, how: &str, b: &ArrayRef) -> Result<ArrayRef> {
    let Some((_, how)) = FIELD_TESTS.iter().find(|(name, _)| *name == how) else {
        return exec_err!("there is no comparison {how:?}");
    };
    let mut out = BooleanBuilder::with_capacity(a.len());
    for (a, b) in a.as_list::<i32>().iter().zip(b.as_list::<i32>().iter()) {
        out.append_option(a.zip(b).map(|(a, b)| {
            let mut pairs = a
                .as_string::<i32>()
                .iter()
                .flatten()
                .flat_map(|x| b.as_string::<i32>().iter().flatten().map(move |y| (x, y)));
            pairs.any(|(x, y)| reference::field_holds(*how, x, y))
        }));
    }
    Ok(Arc::new(out.finish()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn any_of(json: &str, path: &str, word: &str, operand: &str) -> Option<bool> {
        let array: ArrayRef = Arc::new(StringArray::from(vec![json]));
        let out = any(&array, path, &Compiled::new(word, &[operand]).unwrap()).unwrap();
        out.as_boolean().iter().next().unwrap()
    }

    #[test]
    fn values_at_paths() {
        let json =
            r#"{"a":{"b.c":"X"},"d":[{"e":"1"},{"e":["2",null]}],"n":null,"o":{"k":1},"tarn_fallbacks":["time"]}"#;
        for (path, word, operand, expected) in [
            ("a.b.c", "equals", "x", Some(true)),
            ("$.a.b.c", "equals", "x", None),
            ("a.b", "equals", "x", None),
            ("d.e", "equals", "2", Some(true)),
            ("d.e", "equals", "3", Some(false)),
            ("d.e", "null", "", Some(true)),
            ("n", "null", "", Some(true)),
            ("n", "exists", "", Some(true)),
            ("n", "any", "", Some(false)),
            ("z", "null", "", None),
            ("o", "equals", "{\"k\":1}", Some(true)),
            ("*", "equals", "1", Some(true)),
            ("*", "equals", "time", Some(false)),
        ] {
            assert_eq!(any_of(json, path, word, operand), expected, "{path} {word} {operand}");
        }
        // A JSON column may hold a scalar.
        assert_eq!(any_of(r#""x""#, "*", "equals", "x"), Some(true));
        assert_eq!(any_of("null", "*", "any", ""), None);
    }
}

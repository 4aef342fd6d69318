//! `regexp_replace` of a pattern that is the same for all rows: compiled once for a session, not once for a batch.
//!
//! DataFusion's own (55.2) compiles it for each batch, which takes longer than the rows where few of a batch are left.

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions::regex::regexp_replace;
use datafusion::logical_expr::{ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature};
use regex::Regex;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Patterns that a session remembers: one may take ten megabytes.
const PATTERNS_MAX: usize = 8;

/// The function, in place of DataFusion's.
#[derive(Debug)]
pub(super) struct RegexpReplace {
    inner: Arc<ScalarUDF>,
    patterns: Mutex<HashMap<String, Arc<Regex>>>,
}

impl RegexpReplace {
    pub(super) fn new() -> Self {
        Self { inner: regexp_replace(), patterns: Mutex::default() }
    }

    fn pattern(&self, pattern: String) -> Result<Arc<Regex>> {
        let mut patterns = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = patterns.get(&pattern) {
            return Ok(Arc::clone(known));
        }
        let regex = Arc::new(Regex::new(&pattern).map_err(|e| DataFusionError::External(Box::new(e)))?);
        if patterns.len() < PATTERNS_MAX {
            patterns.insert(pattern, Arc::clone(&regex));
        }
        Ok(regex)
    }

    /// The texts with matches replaced: all where the flags say so, else the first.
    fn replaced(&self, texts: &ArrayRef, pattern: &str, replacement: &str, flags: Option<&str>) -> Result<ArrayRef> {
        let (pattern, is_global) = match flags {
            None => (pattern.to_owned(), false),
            Some("g") => (pattern.to_owned(), true),
            Some(flags) => (format!("(?{}){pattern}", flags.replace('g', "")), flags.contains('g')),
        };
        let regex = self.pattern(pattern)?;
        // Groups as PostgreSQL writes them.
        static GROUPS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\\{1,2}(\d+)").ok());
        let replacement = match GROUPS.as_ref() {
            Some(groups) => groups.replace_all(replacement, "$${$1}"),
            None => replacement.into(),
        };
        let mut replaced = StringViewBuilder::with_capacity(texts.len());
        for text in texts.as_string_view() {
            match text {
                Some(text) => replaced.append_value(regex.replacen(text, usize::from(!is_global), &*replacement)),
                None => replaced.append_null(),
            }
        }
        Ok(Arc::new(replaced.finish()))
    }
}

/// The one text that an argument is for all rows.
fn constant(argument: &ColumnarValue) -> Option<&str> {
    match argument {
        ColumnarValue::Scalar(ScalarValue::Utf8View(text) | ScalarValue::Utf8(text)) => text.as_deref(),
        _ => None,
    }
}

impl PartialEq for RegexpReplace {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for RegexpReplace {}

impl Hash for RegexpReplace {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl ScalarUDFImpl for RegexpReplace {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (texts, constants) = match args.args.as_slice() {
            [ColumnarValue::Array(texts), pattern, replacement] => {
                (texts, (constant(pattern), constant(replacement), Some(None)))
            }
            [ColumnarValue::Array(texts), pattern, replacement, flags] => {
                (texts, (constant(pattern), constant(replacement), constant(flags).map(Some)))
            }
            _ => return self.inner.invoke_with_args(args),
        };
        let (true, (Some(pattern), Some(replacement), Some(flags))) =
            (*texts.data_type() == DataType::Utf8View, constants)
        else {
            return self.inner.invoke_with_args(args);
        };
        Ok(ColumnarValue::Array(self.replaced(texts, pattern, replacement, flags)?))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow::array::{RecordBatch, StringViewArray};
    use arrow::datatypes::{Field, Schema};
    use arrow::util::pretty::pretty_format_batches;
    use datafusion::prelude::SessionContext;

    async fn answer(context: &SessionContext, sql: &str) -> String {
        let rows = async { context.sql(sql).await?.collect().await }.await;
        rows.map_or_else(|e| format!("error {e}"), |rows| pretty_format_batches(&rows).unwrap().to_string())
    }

    #[tokio::test]
    async fn answers_are_those_of_datafusion() {
        let (theirs, ours) = (SessionContext::new(), SessionContext::new());
        ours.register_udf(ScalarUDF::from(RegexpReplace::new()));
        let texts = [
            Some("a.evil.example"),
            Some("A.b.c"),
            Some(""),
            None,
            Some("two\nlines aa"),
            Some("ää.b and a text that is no view of its own"),
        ];
        let schema = Arc::new(Schema::new(vec![Field::new("text", DataType::Utf8View, true)]));
        let batch = RecordBatch::try_new(schema, vec![Arc::new(StringViewArray::from(texts.to_vec()))]).unwrap();
        for context in [&theirs, &ours] {
            context.register_batch("x", batch.clone()).unwrap();
        }
        let calls = [
            r"text, '^[^.]+\.', ''",
            r"text, '(a)(.)', '\2\1'",
            r"text, 'a', '<\0>', 'g'",
            r"text, 'a', 'x', 'gi'",
            r"text, 'A', 'x', 'i'",
            r"text, '^.*(b).*$', '\1'",
            r"text, 'l.*$', '$0'",
            r"text, 'a', ''",
            r"text, '', '-'",
            r"text, '', '-', 'g'",
            r"text, 'a', NULL",
            r"text, NULL, 'a'",
            r"text, 'a', 'b', NULL",
            r"text, text, 'b'",
            r"'a.b', 'a', text",
            r"text, '(', ''",
            r"text, 'a', 'b', 'q'",
            r"text, 'a', 'b', ''",
            r"text, 'a', 'b', 'gg'",
        ];
        for call in calls.iter().chain(&calls) {
            let sql = format!("SELECT regexp_replace({call}) AS t FROM x");
            assert_eq!(answer(&ours, &sql).await, answer(&theirs, &sql).await, "{call}");
        }
    }
}

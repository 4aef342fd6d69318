//! From a file's text to documents of our own types: rules, correlations and filters, collections worked out.
//!
//! The one place that knows `rsigma-parser` (conditions). It does not know what modifiers mean: that is lowering's.
//! Sigma specification 2.1.0: rules, filters; collections as pySigma reads them (`action: global|reset|repeat`).

pub mod condition;
pub mod detection;
pub mod yaml;

use detection::{Detections, Mistake};
use yaml::{Chunk, Unreadable, Yaml};

/// A document that was read.
#[derive(Clone, Debug)]
pub struct Document<'a> {
    /// Its number in the file, from 1.
    pub number: usize,
    /// Its text.
    pub chunk: Chunk<'a>,
    /// Its content, with what a collection adds to it.
    pub content: Yaml,
    /// What kind of document it is.
    pub kind: Kind,
}

/// Kinds of documents.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A detection rule.
    Rule(Detections),
    /// A correlation rule.
    Correlation,
    /// A filter for other rules.
    Filter(Targets, Detections),
}

/// The rules a filter is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Every rule of its log source.
    Any,
    /// Rules with these ids, names or titles.
    Named(Vec<String>),
}

/// A document that gives nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its number in the file, from 1.
    pub number: usize,
    /// The line in the file.
    pub line: Option<usize>,
    /// The title, where it has one.
    pub title: Option<String>,
    /// Why.
    pub reason: String,
}

const DOCUMENTS_MAX: usize = 20_000;

/// The documents of a file's text.
pub fn documents(text: &str) -> (Vec<Document<'_>>, Vec<Failure>) {
    let (mut out, mut failures) = (Vec::new(), Vec::new());
    let (mut global, mut previous): (Option<Yaml>, Option<Yaml>) = (None, None);
    let chunks = yaml::chunks(text);
    let count = chunks.len();
    for (i, chunk) in chunks.into_iter().take(DOCUMENTS_MAX).enumerate() {
        let number = i + 1;
        let content = match chunk.read() {
            Ok(content @ Yaml::Map(_)) => content,
            Ok(_) => {
                failures.push(Failure {
                    number,
                    line: Some(chunk.lines_before + 1),
                    title: None,
                    reason: "the document is no mapping".into(),
                });
                continue;
            }
            Err(Unreadable { line, reason }) => {
                failures.push(Failure { number, line, title: None, reason });
                continue;
            }
        };
        let content = match collect(content, &mut global, &mut previous) {
            Ok(Some(content)) => content,
            Ok(None) => continue,
            Err(reason) => {
                failures.push(Failure { number, line: chunk.line_of("action"), title: None, reason });
                continue;
            }
        };
        match kind(&content) {
            Ok(kind) => out.push(Document { number, chunk, content, kind }),
            Err(Mistake { key, reason }) => failures.push(Failure {
                number,
                line: chunk.line_of(&key).or(Some(chunk.lines_before + 1)),
                title: content.text("title"),
                reason,
            }),
        }
    }
    if count > DOCUMENTS_MAX {
        failures.push(Failure {
            number: DOCUMENTS_MAX + 1,
            line: None,
            title: None,
            reason: format!("{count} documents in one file; the limit is {DOCUMENTS_MAX}"),
        });
    }
    (out, failures)
}

/// Collections: a global document is below every later one, a repeated one is over its predecessor.
fn collect(content: Yaml, global: &mut Option<Yaml>, previous: &mut Option<Yaml>) -> Result<Option<Yaml>, String> {
    let action = match content.get("action") {
        None => None,
        Some(value) => Some(value.scalar().ok_or("action is no text")?),
    };
    let without = |content: Yaml| match content {
        Yaml::Map(map) => Yaml::Map(map.into_iter().filter(|(k, _)| k != "action").collect()),
        other => other,
    };
    let merged = match action.as_deref() {
        Some("global") => {
            // A second global document adds to the first; `reset` takes both away.
            let added = without(content);
            *global = Some(match global.take() {
                Some(before) => before.merged(added),
                None => added,
            });
            return Ok(None);
        }
        Some("reset") => {
            *global = None;
            let rest = without(content);
            if rest.map().is_none_or(Vec::is_empty) {
                return Ok(None);
            }
            rest
        }
        Some("repeat") => {
            let before = previous.clone().ok_or("`action: repeat` without a document before it")?;
            before.merged(without(content))
        }
        Some(other) => return Err(format!("`action: {other}` is none of global, reset, repeat")),
        None => match global.clone() {
            Some(below) => below.merged(content),
            None => content,
        },
    };
    *previous = Some(merged.clone());
    Ok(Some(merged))
}

fn kind(content: &Yaml) -> Result<Kind, Mistake> {
    let mistake = |key: &str, reason: &str| Mistake { key: key.into(), reason: reason.into() };
    if content.text("title").is_none_or(|t| t.trim().is_empty()) {
        return Err(mistake("title", "there is no title"));
    }
    if let Some(version) = content.text("sigma-version") {
        let major = version.trim_start_matches(['v', 'V']).split('.').next().and_then(|m| m.parse::<u32>().ok());
        if major.is_none_or(|m| m > 2) {
            return Err(mistake("sigma-version", &format!("it asks for Sigma {version}; this is Sigma 2.1")));
        }
    }
    if content.get("correlation").is_some() {
        return match content.get("correlation") {
            Some(Yaml::Map(_)) => Ok(Kind::Correlation),
            _ => Err(mistake("correlation", "correlation is no mapping")),
        };
    }
    let source = content.get("logsource").ok_or_else(|| mistake("title", "there is no logsource"))?;
    if !["category", "product", "service"].iter().any(|k| source.text(k).is_some_and(|t| !t.is_empty())) {
        return Err(mistake("logsource", "the logsource names no category, product or service"));
    }
    if let Some(filter) = content.get("filter") {
        let targets = match filter.get("rules") {
            Some(Yaml::Text(text)) if matches!(text.to_ascii_lowercase().as_str(), "any" | "all") => Targets::Any,
            Some(Yaml::List(list)) if list.is_empty() => Targets::Any,
            Some(Yaml::Text(_) | Yaml::List(_)) => Targets::Named(filter.texts("rules")),
            _ => return Err(mistake("filter", "the filter names no rules (`any`, an id, or a list)")),
        };
        return Ok(Kind::Filter(targets, detection::parse("filter", filter, &["rules"])?));
    }
    let section = content.get("detection").ok_or_else(|| mistake("title", "there is no detection"))?;
    Ok(Kind::Rule(detection::parse("detection", section, &[])?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_broken_document_costs_no_other() {
        let good = "title: t\nlogsource: {product: x}\ndetection:\n  s: {A: 1}\n  condition: s\n";
        let text = format!(
            "{good}---\nA: [\n---\n# only a comment\n---\n{good}...\n---\n- list\n---\nA: 1\nA: 2\n---\n{good}"
        );
        let (documents, failures) = documents(&text);
        assert_eq!(documents.iter().map(|d| d.number).collect::<Vec<_>>(), [1, 3, 6]);
        assert_eq!(
            failures.iter().map(|f| (f.number, f.line)).map(|(n, l)| (n, l.is_some())).collect::<Vec<_>>(),
            [(2, true), (4, true), (5, true)]
        );
        assert!(failures[2].reason.contains("\"A\" is there twice"), "{failures:?}");
        assert_eq!(failures[1].line, Some(18));
    }

    #[test]
    fn numbers_keep_their_text_and_merge_keys_give_way() {
        let text = "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nf: 1.0\nzero: 007\nhex: 0x10\nbig: 123456789012345678901\n";
        let value = yaml::chunks(text)[0].read().unwrap();
        let mut json = value.json();
        json.as_object_mut().unwrap().remove("big");
        assert_eq!(json.to_string(), r#"{"a":{"x":1,"y":2},"b":{"x":1,"y":3},"f":1.0,"zero":"007","hex":16}"#);
        assert_eq!(value.text("big").unwrap(), "123456789012345678901");
    }

    #[test]
    fn hostile_documents_are_refused_soon() {
        let bomb = format!(
            "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n{}",
            (1..9)
                .map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 10].join(",")))
                .collect::<String>()
        );
        for text in [
            &"[".repeat(100_000),
            &"- ".repeat(100_000),
            &"? ".repeat(50_000),
            &bomb,
            &"a: &a [*a]".to_owned(),
            &"!x y".to_owned(),
        ] {
            assert!(yaml::chunks(text)[0].read().is_err(), "{}", &text[..20.min(text.len())]);
        }
    }
}

//! One document as checks see it: its text, its content, and what its detections mean.

use crate::load::Logsource;
use crate::lower::{Lowered, Placeholders, lower};
use crate::parse::detection::{Detection, Detections, RawItem};
use crate::parse::{Document, Kind, documents};
use std::path::Path;

/// A document.
#[derive(Debug)]
pub struct Subject<'a> {
    pub(super) file: &'a Path,
    pub(super) document: Document<'a>,
    pub(super) logsource: Logsource,
    /// What its detections mean; none for correlations, and where they mean nothing.
    pub(super) lowered: Option<Lowered>,
    id: String,
}

/// The documents of texts by name.
pub(super) fn read<'a>(texts: &[(&'a Path, &'a str)], placeholders: &Placeholders) -> Vec<Subject<'a>> {
    let mut out = Vec::new();
    for (file, text) in texts {
        for document in documents(text).0 {
            let lowered = detections(&document.kind).and_then(|d| lower(d, placeholders).ok());
            let logsource = crate::load::logsource(&document.content);
            let id = document.content.text("id").unwrap_or_default();
            out.push(Subject { file, document, logsource, lowered, id });
        }
    }
    out
}

fn detections(kind: &Kind) -> Option<&Detections> {
    match kind {
        Kind::Rule(detections) | Kind::Filter(_, detections) => Some(detections),
        Kind::Correlation => None,
    }
}

impl Subject<'_> {
    /// The rule's id; empty where it has none.
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn title(&self) -> String {
        self.document.content.text("title").unwrap_or_default()
    }

    pub(super) fn detections(&self) -> Option<&Detections> {
        detections(&self.document.kind)
    }

    /// Whether it is a detection rule.
    pub(super) fn is_rule(&self) -> bool {
        matches!(self.document.kind, Kind::Rule(_))
    }

    /// Whether it is a correlation.
    pub(super) fn is_correlation(&self) -> bool {
        matches!(self.document.kind, Kind::Correlation)
    }

    /// Whether it narrows other rules.
    pub(super) fn is_filter(&self) -> bool {
        matches!(self.document.kind, Kind::Filter(..))
    }

    /// The line at which the document begins.
    pub(super) fn begins(&self) -> usize {
        self.document.chunk.lines_before + 1
    }

    /// The line of a key, else of the document.
    pub(super) fn line(&self, key: &str) -> usize {
        self.document.chunk.line_of(key).unwrap_or_else(|| self.begins())
    }

    /// The line of the first of these texts that stands there, each looked for behind the one before.
    pub(super) fn line_behind(&self, texts: &[&str]) -> usize {
        let lines: Vec<&str> = self.document.chunk.text.lines().collect();
        let mut at = None;
        for text in texts {
            let from = at.unwrap_or(0);
            at = lines[from..].iter().position(|l| l.contains(text)).map(|n| from + n).or(at);
        }
        at.map_or_else(|| self.begins(), |n| self.begins() + n)
    }

    /// Every item of every selection, with the selection's name.
    pub(super) fn items(&self, visit: &mut impl FnMut(&str, &RawItem)) {
        fn walk(name: &str, detection: &Detection, visit: &mut impl FnMut(&str, &RawItem)) {
            match detection {
                Detection::All(list) | Detection::Any(list) => list.iter().for_each(|d| walk(name, d, visit)),
                Detection::Item(item) => visit(name, item),
            }
        }
        for (name, detection) in self.detections().iter().flat_map(|d| &d.selections) {
            walk(name, detection, visit);
        }
    }

    /// The line of an item, or of one of its values.
    pub(super) fn line_of_item(&self, selection: &str, item: &RawItem, value: Option<&str>) -> usize {
        let name = format!("{selection}:");
        match value {
            Some(value) => self.line_behind(&[&name, &item.key, value]),
            None => self.line_behind(&[&name, &item.key]),
        }
    }
}

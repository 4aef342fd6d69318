//! The graph as Graphviz and Mermaid have it. Names come from outside: they are escaped for each.

use super::{Edge, Lineage, Stage, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The nodes with their numbers: a name may be in several stages, and is another node in each.
fn nodes(lineage: &Lineage) -> BTreeMap<(Option<Stage>, &str), usize> {
    let mut nodes = BTreeMap::new();
    for edge in &lineage.edges {
        for node in [from(lineage, edge), to(edge)] {
            let next = nodes.len();
            nodes.entry(node).or_insert(next);
        }
    }
    nodes
}

fn to(edge: &Edge) -> (Option<Stage>, &str) {
    (Some(edge.stage), edge.to.as_str())
}

/// The artifact, else the node of another edge that ends in that name.
fn from<'a>(lineage: &Lineage, edge: &'a Edge) -> (Option<Stage>, &'a str) {
    if edge.from == edge.artifact {
        return (None, &edge.from);
    }
    let before =
        lineage.edges.iter().find(|e| e.artifact == edge.artifact && e.to == edge.from && e.stage != edge.stage);
    (before.map(|edge| edge.stage).or(Some(Stage::Commit)), &edge.from)
}

fn title((stage, name): (Option<Stage>, &str)) -> String {
    let name = if name.is_empty() { "missing" } else { name };
    format!("{}: {name}", stage.map_or("artifact", Stage::name))
}

fn words(edge: &Edge) -> String {
    let record = edge.record.as_deref().unwrap_or("no record");
    format!("{} ({record})", edge.state.name())
}

/// Graphviz: `dot -Tsvg`.
pub fn to_dot(lineage: &Lineage) -> String {
    let quoted = |text: &str| {
        let escaped: String = text.chars().fold(String::new(), |mut out, c| {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c.is_control() => out.push('\u{fffd}'),
                c => out.push(c),
            }
            out
        });
        format!("\"{escaped}\"")
    };
    let nodes = nodes(lineage);
    let mut out = "digraph lineage {\n  rankdir=LR;\n  node [shape=box];\n".to_owned();
    for (node, number) in &nodes {
        let _ = writeln!(out, "  n{number} [label={}];", quoted(&title(*node)));
    }
    for edge in &lineage.edges {
        let style = match edge.state {
            State::Whole => "",
            State::Limited | State::Told => ", color=orange, style=dotted",
            State::Failing => ", color=red",
            State::Missing => ", color=red, style=dashed",
        };
        let ends = (nodes.get(&from(lineage, edge)), nodes.get(&to(edge)));
        if let (Some(from), Some(to)) = ends {
            let _ = writeln!(out, "  n{from} -> n{to} [label={}{style}];", quoted(&words(edge)));
        }
    }
    out + "}\n"
}

/// Mermaid: a flowchart, as many renderers of Markdown draw it.
pub fn to_mermaid(lineage: &Lineage) -> String {
    // Whatever might mean something to Mermaid or to HTML is written by its number.
    let quoted = |text: &str| {
        let mut out = "\"".to_owned();
        for c in text.chars() {
            match c {
                c if c.is_alphanumeric() || " ._:/@-,()".contains(c) => out.push(c),
                c if c.is_control() => out.push('\u{fffd}'),
                c => {
                    let _ = write!(out, "#{};", u32::from(c));
                }
            }
        }
        out + "\""
    };
    let nodes = nodes(lineage);
    let mut out = "flowchart LR\n".to_owned();
    for (node, number) in &nodes {
        let _ = writeln!(out, "  n{number}[{}]", quoted(&title(*node)));
    }
    for edge in &lineage.edges {
        let arrow = if edge.state == State::Whole { "-->" } else { "-.->" };
        let ends = (nodes.get(&from(lineage, edge)), nodes.get(&to(edge)));
        if let (Some(from), Some(to)) = ends {
            let _ = writeln!(out, "  n{from} {arrow}|{}| n{to}", quoted(&words(edge)));
        }
    }
    out
}

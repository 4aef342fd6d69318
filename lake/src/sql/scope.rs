//! What names mean at a place in a query: the relations of its FROM, and around it those of the outer queries.

use crate::sql::error::{Near, SqlError};
use arrow::datatypes::{DataType, Schema};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName, ObjectNamePart};
use std::collections::BTreeMap;

/// A column that a query can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScopeColumn {
    pub(crate) name: String,
    /// Whether something may follow it: a field of a struct.
    pub(crate) nested: bool,
}

/// A relation's columns; `None` when only the planner knows them.
pub(crate) type Columns = Option<Vec<ScopeColumn>>;

pub(crate) fn columns_of(schema: &Schema) -> Columns {
    let nested = |data_type: &DataType| data_type.is_nested();
    let columns = schema.fields().iter();
    Some(columns.map(|f| ScopeColumn { name: f.name().clone(), nested: nested(f.data_type()) }).collect())
}

/// Which of a join's two sides has a value for every row, and so for a column that it makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept {
    Left,
    Right,
    Either,
}

/// One entry of a FROM clause.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// Its alias, or its own name.
    pub(crate) name: Option<String>,
    pub(crate) columns: Columns,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Scope<'p> {
    pub(crate) relations: Vec<Relation>,
    /// Columns that a join made one, by the relations whose first value they are; without any, the planner knows.
    pub(crate) merged: BTreeMap<String, Vec<String>>,
    pub(crate) parent: Option<&'p Scope<'p>>,
}

/// What a path turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// Whose column it is, if that has to be said. Of several it is the first value that is not null.
    pub(crate) relations: Vec<String>,
    pub(crate) column: String,
    /// Parts of the path that are relation and column; what is left goes into the column.
    pub(crate) used: usize,
}

/// A name as SQL means it: quoted as it is, else in lower case.
pub(crate) fn normal(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

pub(crate) fn last_part(name: &ObjectName) -> Option<String> {
    match name.0.last()? {
        ObjectNamePart::Identifier(ident) => Some(normal(ident)),
        ObjectNamePart::Function(_) => None,
    }
}

/// How many of `parts` the longest column takes.
fn longest(columns: &[ScopeColumn], parts: &[String]) -> Option<(usize, String)> {
    (1..=parts.len()).rev().find_map(|taken| {
        let name = parts[..taken].join(".");
        let found = columns.iter().find(|c| c.name == name)?;
        (taken == parts.len() || found.nested).then_some((taken, name))
    })
}

impl<'p> Scope<'p> {
    pub(crate) fn within(parent: Option<&'p Scope<'p>>) -> Self {
        Self { parent, ..Self::default() }
    }

    /// Notes that a join made `column` one; its right side is the relations from `right` on.
    pub(crate) fn merge(&mut self, column: String, right: usize, kept: Kept) {
        let of = |relations: &[Relation]| {
            let has = |r: &&Relation| r.columns.iter().flatten().any(|c| c.name == column);
            relations.iter().find(has).and_then(|r| r.name.clone()).into_iter().collect::<Vec<_>>()
        };
        let (left, right) = self.relations.split_at(right.min(self.relations.len()));
        let left = self.merged.get(&column).cloned().unwrap_or_else(|| of(left));
        let right = of(right);
        let relations = match kept {
            Kept::Left => left,
            Kept::Right => right,
            Kept::Either if left.is_empty() || right.is_empty() => Vec::new(),
            Kept::Either => [left, right].concat(),
        };
        self.merged.insert(column, relations);
    }

    /// The meaning of a dotted path: an alias first, then the longest column, then the outer query. `None` leaves it to
    /// the planner, as a relation here has columns that are not known.
    ///
    /// **Errors**: several relations have that column; or none has, here and outside.
    pub(crate) fn resolve(&self, path: &[Ident]) -> Result<Option<Resolved>, SqlError> {
        let parts: Vec<String> = path.iter().map(normal).collect();
        let mut scope = Some(self);
        while let Some(here) = scope {
            if let Some(relation) = here.relations.iter().find(|r| r.name.as_ref() == parts.first()) {
                let Some(columns) = &relation.columns else { return Ok(None) };
                if let Some((taken, column)) = longest(columns, &parts[1..]) {
                    return Ok(Some(Resolved { relations: parts[..1].to_vec(), column, used: taken + 1 }));
                }
            }
            if let Some(found) = here.column(&parts)? {
                return Ok(Some(found));
            }
            if here.relations.iter().any(|r| r.columns.is_none()) {
                return Ok(None);
            }
            scope = here.parent;
        }
        Err(self.unknown(&parts))
    }

    fn column(&self, parts: &[String]) -> Result<Option<Resolved>, SqlError> {
        let found: Vec<(usize, String, &Relation)> = self
            .relations
            .iter()
            .filter_map(|r| longest(r.columns.as_deref()?, parts).map(|(taken, column)| (taken, column, r)))
            .collect();
        let Some(most) = found.iter().map(|(taken, ..)| *taken).max() else { return Ok(None) };
        let mut best = found.into_iter().filter(|(taken, ..)| *taken == most);
        let Some((used, column, first)) = best.next() else { return Ok(None) };
        let others: Vec<&Relation> = best.map(|(_, _, relation)| relation).collect();
        let merged = self.merged.get(&column);
        if !others.is_empty() && merged.is_none() {
            let tables = [first].into_iter().chain(others).filter_map(|r| r.name.clone()).collect();
            return Err(SqlError::Ambiguous { name: column, tables });
        }
        Ok(Some(Resolved { relations: merged.cloned().unwrap_or_default(), column, used }))
    }

    fn unknown(&self, parts: &[String]) -> SqlError {
        let of_alias = self.relations.iter().find(|r| r.name.as_ref() == parts.first());
        let (name, relations) = match of_alias {
            Some(relation) => (parts[1..].join("."), std::slice::from_ref(relation)),
            None => (parts.join("."), self.relations.as_slice()),
        };
        let columns = relations.iter().flat_map(|r| r.columns.iter().flatten()).map(|c| c.name.as_str());
        SqlError::UnknownColumn { near: Near::to(&name, columns), name }
    }
}

//! What rules look at: rows of (field, code), the distinct values behind the codes, and what the rows are.

use super::{Dictionary, FieldIx, FieldRequest, KEYWORDS};
use crate::source::Route;
use arrow::array::StringViewArray;

/// A distinct set of (source, kind, log sources) that events had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RouteId(pub u32);

/// No code, in a column.
pub const NO_CODE: u32 = u32::MAX;

/// One field of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// The field.
    pub field: FieldIx,
    /// The value's code in the field's dictionary.
    pub code: u32,
}

/// Rows of one batch, whose codes outlive it. What a row has is in its own cells or in columns, where rows were read so.
#[derive(Debug, Default)]
pub struct Rows {
    dictionaries: Vec<Dictionary>,
    routes: Vec<Route>,
    route_of: Vec<RouteId>,
    cells: Vec<Cell>,
    ends: Vec<u32>,
    /// By field, the codes of rows that have it there; those in use.
    columns: Vec<Vec<u32>>,
    in_columns: Vec<FieldIx>,
    /// By field, the row (from 1) that has it last, and its cell.
    has: Vec<(u32, u32)>,
    /// Cells whose field came again, and all values of it.
    repeated: Vec<(u32, String)>,
}

impl Rows {
    /// For the fields of a request; no rows yet.
    pub fn new(request: &FieldRequest) -> Self {
        let dictionary = |name: &String| if name == KEYWORDS { Dictionary::of_events() } else { Dictionary::default() };
        Self {
            dictionaries: request.fields.iter().map(dictionary).collect(),
            has: vec![(0, 0); request.fields.len()],
            columns: vec![Vec::new(); request.fields.len()],
            ..Self::default()
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.route_of.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.route_of.is_empty()
    }

    /// All cells of a row, to the end of `cells`; an absent field has none.
    pub fn gather(&self, row: usize, cells: &mut Vec<Cell>) {
        cells.extend_from_slice(self.cells(row));
        let columns = self.columns().map(|(field, codes)| Cell { field, code: codes[row] });
        cells.extend(columns.filter(|cell| cell.code != NO_CODE));
    }

    /// A row's cell of a field.
    pub fn cell(&self, row: usize, field: FieldIx) -> Option<Cell> {
        let own = self.cells(row).iter().find(|cell| cell.field == field).copied();
        own.or_else(|| {
            let code = *self.columns[field.0 as usize].get(row)?;
            (code != NO_CODE).then_some(Cell { field, code })
        })
    }

    /// Codes of a field by row, [`NO_CODE`] where a row has none there: the fields that some rows have in columns.
    pub fn columns(&self) -> impl Iterator<Item = (FieldIx, &[u32])> {
        self.in_columns.iter().map(|field| (*field, self.columns[field.0 as usize].as_slice()))
    }

    /// The cells that a row has of its own, not in columns.
    pub fn cells(&self, row: usize) -> &[Cell] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] as usize };
        &self.cells[start..self.ends[row] as usize]
    }

    /// A field's values.
    pub fn dictionary(&self, field: FieldIx) -> &Dictionary {
        &self.dictionaries[field.0 as usize]
    }

    /// A row's route.
    pub fn route_of(&self, row: usize) -> RouteId {
        self.route_of[row]
    }

    /// What a route is.
    pub fn route(&self, id: RouteId) -> &Route {
        &self.routes[id.0 as usize]
    }

    /// How many routes there are so far.
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// The number of a route.
    pub fn route_id(&mut self, route: &Route) -> RouteId {
        let known = self.routes.iter().position(|r| r == route);
        RouteId(known.unwrap_or_else(|| {
            self.routes.push(route.clone());
            self.routes.len() - 1
        }) as u32)
    }

    /// Begins a batch: rows go, values stay unless they are too many, or not worth it.
    pub fn clear(&mut self) {
        self.dictionaries.iter_mut().for_each(Dictionary::renew);
        self.forget();
    }

    /// Begins a batch whose values are given by code: rows go, values stay unless they are too many.
    pub(super) fn begin(&mut self) {
        self.dictionaries.iter_mut().for_each(Dictionary::bound);
        self.forget();
    }

    /// Forgets rows and values, and gives their room back; routes stay.
    pub(super) fn rest(&mut self) {
        self.dictionaries.iter_mut().for_each(Dictionary::rest);
        self.forget();
    }

    fn forget(&mut self) {
        self.in_columns.drain(..).for_each(|field| self.columns[field.0 as usize].clear());
        self.route_of.clear();
        self.cells.clear();
        self.ends.clear();
        self.has.fill((0, 0));
    }

    /// The code of a field's value, for [`Rows::add_code`].
    pub(super) fn code(&mut self, field: FieldIx, value: &str, is_json: bool) -> u32 {
        let dictionary = &mut self.dictionaries[field.0 as usize];
        if is_json { dictionary.code(value) } else { dictionary.code_of_text(value) }
    }

    /// Whether values of a field, of which each row has its own, should come as [`Rows::code_of_lent`].
    pub(super) fn is_lent(&self, field: FieldIx) -> bool {
        self.dictionaries[field.0 as usize].is_lent()
    }

    /// As [`Rows::code`], of a value of an array that is held until the next batch.
    pub(super) fn code_of_lent(
        &mut self,
        field: FieldIx,
        values: &StringViewArray,
        number: usize,
        is_json: bool,
    ) -> u32 {
        self.dictionaries[field.0 as usize].code_of_lent(values, number, !is_json)
    }

    /// The column of a field, to be put back: of all rows, none of which may be added before the next batch.
    pub(super) fn take_column(&mut self, field: FieldIx) -> Vec<u32> {
        let mut column = std::mem::take(&mut self.columns[field.0 as usize]);
        if column.is_empty() {
            self.in_columns.push(field);
            column.resize(self.len(), NO_CODE);
        }
        column
    }

    /// Puts back what [`Rows::take_column`] took.
    pub(super) fn put_column(&mut self, field: FieldIx, column: Vec<u32>) {
        self.columns[field.0 as usize] = column;
    }

    /// Gives the row at hand a value, of a field that it has no value of.
    #[inline]
    pub(super) fn add_code(&mut self, field: FieldIx, code: u32) {
        self.has[field.0 as usize] = (self.ends.len() as u32 + 1, self.cells.len() as u32);
        self.cells.push(Cell { field, code });
    }

    /// Gives the row at hand a value of a field, as JSON; a field that comes again (an element of an array) has them all.
    pub fn add(&mut self, field: FieldIx, raw: &str) {
        let row = self.ends.len() as u32 + 1;
        let (last, at) = self.has[field.0 as usize];
        if last != row {
            self.has[field.0 as usize] = (row, self.cells.len() as u32);
            let code = self.dictionaries[field.0 as usize].code(raw);
            return self.cells.push(Cell { field, code });
        }
        let known = self.repeated.iter().position(|(cell, _)| *cell == at).unwrap_or_else(|| {
            let first = self.dictionaries[field.0 as usize].json(self.cells[at as usize].code);
            self.repeated.push((at, format!("[{first}")));
            self.repeated.len() - 1
        });
        let all = &mut self.repeated[known].1;
        all.push(',');
        all.push_str(raw);
    }

    /// Gives the row at hand a text, of a field that it has no value of.
    pub fn add_text(&mut self, field: FieldIx, text: &str) {
        self.has[field.0 as usize] = (self.ends.len() as u32 + 1, self.cells.len() as u32);
        let code = self.dictionaries[field.0 as usize].code_of_text(text);
        self.cells.push(Cell { field, code });
    }

    /// Gives the row at hand, in a cell of its own, all that is in a JSON text, for keywords.
    pub fn add_keywords(&mut self, field: FieldIx, raw: &str) {
        let code = self.dictionaries[field.0 as usize].code(raw);
        self.cells.push(Cell { field, code });
    }

    /// Whether the row at hand has a value of a field.
    pub fn has(&self, field: FieldIx) -> bool {
        self.has[field.0 as usize].0 == self.ends.len() as u32 + 1
    }

    /// Ends rows that have no cells of their own.
    pub(super) fn end_all(&mut self, routes: impl Iterator<Item = RouteId>) {
        self.route_of.extend(routes);
        self.ends.resize(self.route_of.len(), self.cells.len() as u32);
    }

    /// Ends the row at hand.
    pub fn end(&mut self, route: RouteId) {
        for (cell, mut all) in self.repeated.drain(..) {
            all.push(']');
            let cell = &mut self.cells[cell as usize];
            cell.code = self.dictionaries[cell.field.0 as usize].code(&all);
        }
        self.route_of.push(route);
        self.ends.push(self.cells.len() as u32);
    }
}

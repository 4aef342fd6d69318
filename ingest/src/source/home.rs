//! Where a mapped record keeps a vendor field, told to those that read the tables: the mapping, inverted.
//!
//! What a record does not have in `unmapped` under a field's name is in one of the field's columns, verbatim. The
//! mapper keeps its side of that in `mapper::program`: a value that a column does not give back, or that stands in a
//! column which another field may fill as well, is kept in `unmapped` too.

use super::compile::{Convert, FieldHome, Kind, Place, Source};
use super::{LogsourceId, When};
use ahash::AHashMap;
use std::borrow::Cow;
use std::collections::BTreeSet;
use tarn_schema_ocsf::column::Nesting;
use tarn_schema_ocsf::{ClassUid, LeafType, Schema};

/// A condition of a mapping on one field; all conditions of a list have to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition<'a> {
    /// The vendor's field.
    pub field: &'a str,
    /// Whether it must not hold.
    pub negated: bool,
    /// Lower-cased values of which the field has one; a `*` at the end stands for any rest. None is any value.
    pub values: Option<&'a [String]>,
}

impl FieldHome {
    /// Whether it can give a value back as the vendor wrote it, in the table of a class.
    pub fn is_readable(&self, class: ClassUid) -> bool {
        let leaf = |path: &str| Schema::v1_8().leaf(class, path).ok();
        match self {
            Self::Unmapped => false,
            Self::Inside(path, _) => {
                leaf(path).is_some_and(|l| l.leaf_type == LeafType::Json && l.nesting == Nesting::Column)
            }
            Self::Column(path) => {
                leaf(path).is_some_and(|l| l.leaf_type != LeafType::Timestamp && l.nesting != Nesting::Child)
            }
        }
    }
}

impl Source {
    fn conditions<'a>(&'a self, when: &'a When) -> Vec<Condition<'a>> {
        let item = |(field, negated, values): (u16, bool, Option<&'a [String]>)| Condition {
            field: &self.fields[field as usize],
            negated,
            values,
        };
        when.items().map(item).collect()
    }

    /// When an event is of a kind, if it is of none before it.
    pub fn when_of_kind(&self, kind: u16) -> Vec<Condition<'_>> {
        self.kinds.get(kind as usize).map_or_else(Vec::new, |k| self.conditions(&k.when))
    }

    /// When an event belongs to one of this source's log source entries.
    pub fn when_of_logsource(&self, entry: LogsourceId) -> Vec<Condition<'_>> {
        self.logsources.iter().find(|l| l.id == entry).map_or_else(Vec::new, |l| self.conditions(&l.when))
    }

    /// Where records of a kind hold a field that they do not hold in `unmapped`, in the order to look; none when no
    /// inventory names the field.
    pub fn homes(&self, field: &str, kind: u16) -> Option<Vec<FieldHome>> {
        self.home(field, kind)?;
        let kind = self.kinds.get(kind as usize)?;
        let mut homes = Vec::new();
        // A field below one that a JSON column holds whole is read there: its own column may have one element of many.
        let mut root = field;
        while let Some((parent, _)) = root.rsplit_once('.') {
            for place in kind.whole(self, parent).filter(|p| !p.to.contains("[]") && !kind.shares(p)) {
                homes.push(FieldHome::Inside(place.to.clone(), field[parent.len() + 1..].to_owned()));
            }
            root = parent;
        }
        let mut columns: Vec<&Place> =
            kind.whole(self, field).filter(|p| !p.to.contains("[]") && !kind.shares(p)).collect();
        columns.extend(kind.places.iter().filter(|p| {
            matches!(p.convert, Convert::Function(_))
                && p.places
                && !p.to.contains("[]")
                && !kind.shares(p)
                && reads_only(self, p, field)
        }));
        homes.extend(columns.into_iter().map(|p| FieldHome::Column(p.to.clone())));
        Some(homes)
    }

    /// The same, of which none where no inventory names the field.
    pub fn homes_or_none(&self, field: &str, kind: u16) -> Cow<'_, [FieldHome]> {
        let Some(placed) = self.kinds.get(kind as usize).map(|of| of.homes.get_or_init(|| self.homes_of_placed(kind)))
        else {
            return Cow::default();
        };
        if let Some(homes) = placed.get(field) {
            return Cow::Borrowed(homes);
        }
        let mut above = std::iter::successors(Some(field), |name| Some(name.rsplit_once('.')?.0));
        match above.any(|name| placed.contains_key(name)) {
            true => Cow::Owned(self.homes(field, kind).unwrap_or_default()),
            false => Cow::default(),
        }
    }

    fn homes_of_placed(&self, kind: u16) -> AHashMap<String, Vec<FieldHome>> {
        self.placed(kind).map(|field| (field.to_owned(), self.homes(field, kind).unwrap_or_default())).collect()
    }

    /// The fields that a kind's placements place, in the order of [`Source::field_names`].
    pub fn placed(&self, kind: u16) -> impl Iterator<Item = &str> {
        let places = self.kinds.get(kind as usize).map_or(&[][..], |kind| &kind.places);
        let of = |place: &Place| place.from.first().copied().filter(|field| place.is_of(*field));
        let fields: BTreeSet<u16> = places.iter().filter_map(of).collect();
        fields.into_iter().map(|field| self.fields[field as usize].as_str())
    }

    /// Whether paths inside what JSON columns hold may have their dots in keys, as a shape's `dotted` says.
    pub fn has_dotted_keys(&self) -> bool {
        self.shapes.iter().any(|shape| !shape.definition.dotted.is_empty())
    }

    /// Where records of any kind that becomes a class hold a field that they do not hold in `unmapped`, so that it can be
    /// read without knowing the kind.
    pub fn homes_of_any_kind(&self, field: &str, class: ClassUid) -> Vec<FieldHome> {
        let mut all: Vec<FieldHome> = Vec::new();
        for (kind, _) in (0..).zip(&self.kinds).filter(|(_, k)| k.class == class) {
            for home in self.homes_or_none(field, kind).iter() {
                if !all.contains(home) && !self.has_others(home, field, class) {
                    all.push(home.clone());
                }
            }
        }
        all
    }

    /// The fields that tell a kind's events from others, and of which the columns do not say it: records of another kind
    /// have something else there. They are kept in `unmapped` as well.
    pub(crate) fn untold(&self, kind: &Kind) -> Vec<u16> {
        let Some(at) = self.kinds.iter().position(|k| std::ptr::eq(k, kind)) else { return Vec::new() };
        let untold = |field: &u16| {
            let name = &self.fields[*field as usize];
            self.homes_or_none(name, at as u16).iter().any(|home| self.has_others(home, name, kind.class))
        };
        self.discriminators.iter().copied().filter(untold).collect()
    }

    /// Whether another field or a constant of some kind fills the column that is a field's home in another.
    fn has_others(&self, home: &FieldHome, field: &str, class: ClassUid) -> bool {
        let (path, root) = match home {
            FieldHome::Column(path) => (path, field),
            FieldHome::Inside(path, inner) => {
                (path, field.strip_suffix(inner.as_str()).and_then(|f| f.strip_suffix('.')).unwrap_or(field))
            }
            FieldHome::Unmapped => return false,
        };
        self.kinds.iter().filter(|k| k.class == class).any(|kind| {
            let mut into = kind.places.iter().filter(|p| p.to == *path);
            // Where the field has a placement there, the record says that a constant stands for it.
            let says = |p: &Place| p.places && !matches!(p.convert, Convert::Lookup(..)) && reads_only(self, p, root);
            into.clone().any(|p| !reads_only(self, p, root)) || kind.constant(path).is_some() && !into.any(says)
        })
    }
}

impl Place {
    /// Whether it places this field, and no other.
    pub(super) fn is_of(&self, field: u16) -> bool {
        self.places && self.from == [field]
    }
}

fn reads_only(source: &Source, place: &Place, field: &str) -> bool {
    matches!(place.from.as_slice(), [only] if source.fields[*only as usize] == field)
}

impl Kind {
    /// Plain placements of a field.
    fn whole<'a>(&'a self, source: &'a Source, field: &'a str) -> impl Iterator<Item = &'a Place> + 'a {
        self.places
            .iter()
            .filter(move |p| p.places && matches!(p.convert, Convert::Plain) && reads_only(source, p, field))
    }

    /// Whether another placement may fill the same column: the column alone does not say which field it was.
    pub(crate) fn shares(&self, place: &Place) -> bool {
        self.places.iter().any(|p| p.to == place.to && (p.from != place.from || !p.places || p.first != place.first))
    }

    /// Every column that records of the kind may fill, with what OCSF requires beside them.
    pub fn columns(&self) -> Vec<String> {
        crate::mapper::columns_of_kind(self)
    }

    /// The constant that fills a column which the record's fields left empty.
    pub fn constant(&self, column: &str) -> Option<&str> {
        self.constants.iter().find(|(path, _)| path == column).map(|(_, value)| value.as_str())
    }
}

//! A mapping file's meaning: names become numbers, paths columns, and every mistake an error.

use super::definition::{Constant, Definition, Derive, Kind as KindDefinition, Target, TimeFormat};
use super::function::{self, Function, ShapeFunction};
use super::reach;
use super::recognition::{FormError, Recognition, Record};
use super::trie::Trie;
use super::when::When;
use super::{LogsourceId, SourceId};
use ahash::AHashMap;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::OnceLock;
use tarn_schema_ocsf::column::Nesting;
use tarn_schema_ocsf::{ClassUid, Schema};
use thiserror::Error;

/// A mistake in a mapping file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("mapping {file}, {key}: {problem}")]
pub struct MappingError {
    file: String,
    key: String,
    problem: String,
}

impl MappingError {
    pub(super) fn new(file: &str, key: &str, problem: &str) -> Self {
        Self { file: file.into(), key: key.into(), problem: problem.into() }
    }
}

/// A log source entry of a mapping.
#[derive(Debug)]
pub struct Logsource {
    /// Its number, over all sources.
    pub id: LogsourceId,
    /// Its own product, where that is not the source's.
    pub product: Option<String>,
    /// Category.
    pub category: Option<String>,
    /// Service.
    pub service: Option<String>,
    pub(crate) when: When,
    /// Sigma field and the vendor field that stands in for it here.
    pub alias: Vec<(String, String)>,
}

/// How a value gets to its column.
#[derive(Clone, Debug)]
pub(crate) enum Convert {
    /// As it is, by the column's type.
    Plain,
    /// Through a function.
    Function(Function),
    /// Through a table; the second is for values that it lacks.
    Lookup(AHashMap<String, String>, Option<String>),
}

/// One placement: from fields to a path.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The fields that it reads.
    pub from: Vec<u16>,
    /// Whether the first field with a value is taken (else the function gets all).
    pub first: bool,
    /// The OCSF path.
    pub to: String,
    pub convert: Convert,
    /// Whether it places its (one) field; derived columns do not.
    pub places: bool,
}

/// A kind of event.
#[derive(Debug)]
pub struct Kind {
    /// Its name in the mapping.
    pub name: String,
    /// The class that its events become.
    pub class: ClassUid,
    pub(crate) when: When,
    pub(crate) constants: Vec<(String, String)>,
    pub(crate) places: Vec<Place>,
    kept: Vec<String>,
    free: Vec<String>,
    /// Of the fields that it places, where they are; worked out when first asked for.
    pub(super) homes: OnceLock<AHashMap<String, Vec<FieldHome>>>,
}

/// How a source's records are wrapped.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(super) definition: super::definition::Shape,
    test: Recognition,
    pub unwrap: Option<String>,
    pub code: Option<ShapeFunction>,
}

/// A compiled log source.
#[derive(Debug)]
pub struct Source {
    /// Its number.
    pub id: SourceId,
    /// Its name.
    pub name: String,
    /// The mapping's version.
    pub version: u32,
    /// Sigma products.
    pub products: Vec<String>,
    /// `metadata.product.vendor_name`.
    pub vendor_name: String,
    /// `metadata.product.name`.
    pub product_name: String,
    /// Whether its records are OCSF already.
    pub native: bool,
    pub(crate) shapes: Vec<Shape>,
    recognise: Vec<Recognition>,
    /// Names of the numbered fields.
    pub(crate) fields: Vec<String>,
    pub(super) by_name: HashMap<String, u16>,
    pub(crate) discriminators: Vec<u16>,
    /// Its Sigma log sources.
    pub logsources: Vec<Logsource>,
    /// Its kinds; the last is the default.
    pub kinds: Vec<Kind>,
    pub(crate) time: Vec<(u16, TimeFormat)>,
    pub(crate) uid: Vec<u16>,
    /// Texts that fill no column.
    pub(crate) absent: Vec<String>,
    kept: Vec<String>,
    pub(crate) free: Vec<String>,
    pub(crate) shipper: Vec<String>,
}

/// Where a field's values are, in records of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldHome {
    /// In this column.
    Column(String),
    /// Inside this JSON column, at the dotted path.
    Inside(String, String),
    /// In `unmapped`, under its name.
    Unmapped,
}

struct Compiler<'a> {
    file: &'a str,
    definition: &'a Definition,
    fields: Vec<String>,
    by_name: HashMap<String, u16>,
    /// Paths of shared entries that no kind's class has had so far, and what is wrong with them.
    homeless: BTreeMap<String, MappingError>,
    /// Paths of shared entries that some kind's class has.
    housed: HashSet<String>,
}

impl Compiler<'_> {
    fn error(&self, key: &str, problem: impl AsRef<str>) -> MappingError {
        MappingError::new(self.file, key, problem.as_ref())
    }

    fn field(&mut self, name: &str) -> u16 {
        if let Some(ix) = self.by_name.get(name) {
            return *ix;
        }
        let ix = u16::try_from(self.fields.len()).unwrap_or(u16::MAX);
        self.fields.push(name.to_owned());
        self.by_name.insert(name.to_owned(), ix);
        ix
    }

    fn path(&self, class: ClassUid, key: &str, path: &str) -> Result<(), MappingError> {
        if let Some(list) = path.strip_suffix("[]") {
            // A list of objects, whose children the function names.
            let known = ["name", "value", "type", "algorithm_id"];
            let child = known.iter().find_map(|child| Schema::v1_8().leaf(class, &format!("{list}[].{child}")).ok());
            return match child {
                Some(leaf) if leaf.nesting == Nesting::Child => Ok(()),
                _ => Err(self.error(key, format!("{path}: not a list of objects"))),
            };
        }
        Schema::v1_8().leaf(class, path).map(|_| ()).map_err(|e| self.error(key, e.to_string()))
    }

    /// Whether a kind has the path. An entry shared by all kinds is left out where the class lacks it, but some class
    /// has to have it.
    fn has(&mut self, class: ClassUid, key: &str, path: &str, shared: bool) -> Result<bool, MappingError> {
        match self.path(class, key, path) {
            Ok(()) if shared => drop(self.housed.insert(path.to_owned())),
            Ok(()) => {}
            Err(error) if shared => {
                self.homeless.entry(path.to_owned()).or_insert(error);
                return Ok(false);
            }
            Err(error) => return Err(error),
        }
        Ok(true)
    }

    /// `x[]` takes the objects that a function makes; every other path takes one value of it.
    fn fits(&self, key: &str, path: &str, convert: &Convert) -> Result<(), MappingError> {
        match convert {
            Convert::Function(_) => Ok(()),
            _ if path.ends_with("[]") => Err(self.error(key, format!("{path}: expected fn, which makes its objects"))),
            _ => Ok(()),
        }
    }

    fn convert(&self, key: &str, name: Option<&str>, lookup: Option<&str>) -> Result<Convert, MappingError> {
        match (name, lookup) {
            (Some(name), None) => function::named(name)
                .map(Convert::Function)
                .ok_or_else(|| self.error(key, format!("there is no function {name:?}"))),
            (None, Some(name)) => {
                let table = self
                    .definition
                    .lookup
                    .get(name)
                    .ok_or_else(|| self.error(key, format!("there is no [lookup.{name}]")))?;
                let rows =
                    table.iter().filter(|(k, _)| *k != "_default").map(|(k, v)| (k.to_lowercase(), v.text())).collect();
                Ok(Convert::Lookup(rows, table.get("_default").map(Constant::text)))
            }
            (None, None) => Ok(Convert::Plain),
            (Some(_), Some(_)) => Err(self.error(key, "expected either fn or lookup")),
        }
    }

    fn place(
        &mut self,
        class: ClassUid,
        key: &str,
        field: &str,
        target: &Target,
        shared: bool,
    ) -> Result<Option<Place>, MappingError> {
        let convert = self.convert(key, target.function.as_deref(), target.lookup.as_deref())?;
        self.fits(key, &target.to, &convert)?;
        if !self.has(class, key, &target.to, shared)? {
            return Ok(None);
        }
        Ok(Some(Place { from: vec![self.field(field)], first: true, to: target.to.clone(), convert, places: true }))
    }

    fn derive(
        &mut self,
        class: ClassUid,
        key: &str,
        derive: &Derive,
        shared: bool,
    ) -> Result<Option<Place>, MappingError> {
        let first = !derive.first.is_empty();
        if first != derive.from.is_empty() {
            return Err(self.error(key, "expected either first or from"));
        }
        let names = if first { &derive.first } else { &derive.from };
        let convert = self.convert(key, derive.function.as_deref(), derive.lookup.as_deref())?;
        self.fits(key, &derive.to, &convert)?;
        if names.len() > 1 && !matches!((&convert, first), (Convert::Function(_), false)) {
            // One of the fields is taken, and the others would be lost.
            if derive.places {
                return Err(self.error(key, "places = true takes one field, or a fn of all that from names"));
            }
            if !first {
                return Err(self.error(key, "expected fn, which makes one value of several fields, or first"));
            }
        }
        if !self.has(class, key, &derive.to, shared)? {
            return Ok(None);
        }
        let from = names.iter().map(|n| self.field(n)).collect();
        Ok(Some(Place { from, first, to: derive.to.clone(), convert, places: derive.places }))
    }

    fn kind(&mut self, kind: &KindDefinition) -> Result<Kind, MappingError> {
        let definition = self.definition;
        let name = if kind.name.is_empty() { "default" } else { &kind.name };
        let key = |part: &str| format!("kind {name}, {part}");
        let class = Schema::v1_8()
            .class_named(&kind.class)
            .ok_or_else(|| self.error(&key("class"), format!("there is no class {:?}", kind.class)))?
            .uid;
        let mut constants: BTreeMap<String, String> = BTreeMap::new();
        for (shared, list) in [(true, &definition.constants), (false, &kind.constants)] {
            for (path, value) in list {
                let key = if shared { "constants".to_owned() } else { key("constants") };
                self.fits(&key, path, &Convert::Plain)?;
                if self.has(class, &key, path, shared)? {
                    constants.insert(path.clone(), value.text());
                }
            }
        }
        let mut places = Vec::new();
        for (field, targets) in &kind.fields {
            for target in targets.list() {
                places.extend(self.place(class, &key(field), field, &target, false)?);
            }
        }
        for derive in &kind.derive {
            places.extend(self.derive(class, &key("derive"), derive, false)?);
        }
        // The kind's own placement of a field replaces the shared one.
        for (field, targets) in definition.fields.iter().filter(|(f, _)| !kind.fields.contains_key(*f)) {
            for target in targets.list() {
                places.extend(self.place(class, &format!("fields.{field}"), field, &target, true)?);
            }
        }
        for derive in &definition.derive {
            places.extend(self.derive(class, "derive", derive, true)?);
        }
        for name in kind.kept.iter().chain(&kind.free).filter(|n| *n != "*") {
            self.field(name);
        }
        let when = When::new(&kind.when, |n| self.field(n));
        Ok(Kind {
            name: name.to_owned(),
            class,
            when,
            constants: constants.into_iter().collect(),
            places,
            kept: kind.kept.clone(),
            free: kind.free.clone(),
            homes: OnceLock::new(),
        })
    }
}

impl Source {
    /// Compiles one mapping file.
    pub(super) fn compile(id: SourceId, first_logsource: u16, file: &str, text: &str) -> Result<Self, MappingError> {
        let mut definition: Definition =
            toml::from_str(text).map_err(|e| MappingError::new(file, "", e.to_string().trim()))?;
        reach::check(file, &definition)?;
        let shapes = std::mem::take(&mut definition.shape);
        let mut compiler = Compiler {
            file,
            definition: &definition,
            fields: Vec::new(),
            by_name: HashMap::new(),
            homeless: BTreeMap::new(),
            housed: HashSet::new(),
        };
        let inventory = &definition.inventory;
        // `*` is every path and no field.
        for name in inventory.kept.iter().chain(&inventory.free).chain(&inventory.shipper).filter(|n| *n != "*") {
            compiler.field(name);
        }
        let time = definition.source.time.iter().map(|t| (compiler.field(&t.field), t.format)).collect();
        let uid = definition.source.uid.iter().map(|f| compiler.field(f)).collect();
        let mut kinds = definition.kind.iter().map(|k| compiler.kind(k)).collect::<Result<Vec<_>, _>>()?;
        kinds.push(compiler.kind(&definition.default)?);
        compiler.homeless.retain(|path, _| !compiler.housed.contains(path));
        if let Some((_, error)) = compiler.homeless.pop_first() {
            return Err(error);
        }
        let mut logsources = Vec::new();
        for (i, entry) in definition.logsource.iter().enumerate() {
            let when = When::new(&entry.when, |n| compiler.field(n));
            for vendor in entry.alias.values() {
                compiler.field(vendor);
            }
            logsources.push(Logsource {
                id: LogsourceId(first_logsource + i as u16),
                product: entry.product.clone(),
                category: entry.category.clone(),
                service: entry.service.clone(),
                when,
                alias: entry.alias.iter().map(|(a, v)| (a.clone(), v.clone())).collect(),
            });
        }
        let mut discriminators: Vec<u16> =
            kinds.iter().map(|k| &k.when).chain(logsources.iter().map(|l| &l.when)).flat_map(When::fields).collect();
        discriminators.sort_unstable();
        discriminators.dedup();
        let bad_form =
            |key: &str, (form, error): (String, FormError)| MappingError::new(file, key, &format!("{form:?}: {error}"));
        let shape = |shape: super::definition::Shape| {
            let code = match &shape.code {
                Some(name) => Some(function::shape_named(name).ok_or_else(|| {
                    MappingError::new(file, &shape.name, &format!("there is no shape function {name:?}"))
                })?),
                None => None,
            };
            let test = Recognition::new(&shape.has, &shape.any, &shape.equals, &shape.like)
                .map_err(|e| bad_form(&format!("shape {}, like", shape.name), e))?;
            Ok(Shape { unwrap: shape.unwrap.clone(), code, test, definition: shape })
        };
        let (fields, by_name) = (compiler.fields, compiler.by_name);
        let recognise = |test: &super::definition::Test| {
            Recognition::new(&test.has, &[], &test.equals, &test.like).map_err(|e| bad_form("recognise, like", e))
        };
        Ok(Self {
            id,
            name: definition.source.name.clone(),
            version: definition.source.version,
            products: definition.source.product.texts(),
            vendor_name: definition.source.vendor_name.clone(),
            product_name: definition.source.product_name.clone(),
            native: definition.source.native,
            shapes: shapes.into_iter().map(shape).collect::<Result<_, _>>()?,
            recognise: definition.recognise.iter().map(recognise).collect::<Result<_, _>>()?,
            fields,
            by_name,
            discriminators,
            logsources,
            kinds,
            time,
            uid,
            absent: definition.source.absent.clone(),
            kept: definition.inventory.kept.clone(),
            free: definition.inventory.free.clone(),
            shipper: definition.inventory.shipper.clone(),
        })
    }

    /// A trie for each shape (at least one), that finds `fields`.
    pub(crate) fn tries(&self, fields: &[(&str, u16)]) -> Vec<Trie> {
        if self.shapes.is_empty() {
            return vec![Trie::new(None, fields)];
        }
        let unshaped = |s: &Shape| s.definition.rename.is_empty() && s.definition.spread.is_empty();
        self.shapes.iter().map(|s| Trie::new((!unshaped(s)).then_some(&s.definition), fields)).collect()
    }

    pub(crate) fn recognises(&self, record: &Record<'_, '_>) -> bool {
        self.recognise.iter().any(|test| test.holds(record))
    }

    pub(crate) fn shape_of(&self, record: &Record<'_, '_>) -> Option<u16> {
        if self.shapes.is_empty() {
            return Some(0);
        }
        self.shapes.iter().position(|s| s.test.holds(record)).map(|i| i as u16)
    }

    /// Whether a record of a shape has its event inside, or in another form.
    pub(crate) fn unwraps(&self, shape: u16) -> bool {
        self.shapes.get(shape as usize).is_some_and(|shape| shape.unwrap.is_some() || shape.code.is_some())
    }

    /// The kinds that events of these log source entries can be; all kinds for no entry.
    pub fn kinds_of(&self, entries: &[LogsourceId]) -> Vec<u16> {
        let entries: Vec<&Logsource> = self.logsources.iter().filter(|l| entries.contains(&l.id)).collect();
        let last = self.kinds.len() - 1;
        // Categories name their events, unless they have no conditions; services and products hold any.
        let mut categories = entries.iter().filter(|e| e.category.is_some()).peekable();
        let closed = categories.peek().is_some() && categories.all(|e| e.when.items().next().is_some());
        let fits = |kind: &Kind| entries.is_empty() || entries.iter().any(|e| e.when.compatible(&kind.when));
        let mut kinds: Vec<u16> = (0..last).filter(|i| fits(&self.kinds[*i])).map(|i| i as u16).collect();
        if !closed || kinds.is_empty() {
            kinds.push(last as u16);
        }
        kinds
    }

    /// Where a vendor field is in records of a kind; none when no inventory names it.
    pub fn home(&self, field: &str, kind: u16) -> Option<FieldHome> {
        let kind = self.kinds.get(kind as usize)?;
        let placed = |name: &str| {
            let ix = self.by_name.get(name)?;
            let exact = |p: &&Place| p.is_of(*ix);
            let plain =
                kind.places.iter().filter(exact).find(|p| matches!(p.convert, Convert::Plain) && !p.to.contains("[]"));
            plain.or_else(|| kind.places.iter().find(exact))
        };
        if let Some(place) = placed(field) {
            let plain = matches!(place.convert, Convert::Plain) && !place.to.contains("[]");
            return Some(if plain { FieldHome::Column(place.to.clone()) } else { FieldHome::Unmapped });
        }
        let listed = |list: &[String]| list.iter().any(|n| n == field);
        let below = |list: &[String]| {
            list.iter().any(|root| root == "*" || field.strip_prefix(root.as_str()).is_some_and(|r| r.starts_with('.')))
        };
        let read = |p: &Place| p.from.iter().any(|f| self.fields[*f as usize] == field);
        if listed(&self.kept)
            || listed(&kind.kept)
            || listed(&self.free)
            || listed(&self.shipper)
            || listed(&kind.free)
            || kind.places.iter().any(read)
        {
            return Some(FieldHome::Unmapped);
        }
        if self.time.iter().any(|(f, _)| self.fields[*f as usize] == field)
            || self.discriminators.iter().any(|f| self.fields[*f as usize] == field)
        {
            return Some(FieldHome::Unmapped);
        }
        if below(&self.free) || below(&kind.free) {
            // A free subtree that a JSON column holds is searched there.
            let mut root = field;
            while let Some((parent, _)) = root.rsplit_once('.') {
                if let Some(place) = placed(parent) {
                    return Some(FieldHome::Inside(place.to.clone(), field[parent.len() + 1..].to_owned()));
                }
                root = parent;
            }
            return Some(FieldHome::Unmapped);
        }
        None
    }

    /// Whether a vendor field is in an inventory of one of the kinds, or a stand-in of one of the log source entries.
    pub fn knows(&self, field: &str, kinds: &[u16], entries: &[LogsourceId]) -> bool {
        let alias =
            self.logsources.iter().filter(|l| entries.contains(&l.id)).any(|l| l.alias.iter().any(|(a, _)| a == field));
        alias || kinds.iter().any(|k| self.home(field, *k).is_some())
    }

    /// Every name that an inventory has, for suggestions.
    pub fn field_names(&self) -> &[String] {
        &self.fields
    }
}

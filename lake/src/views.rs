//! Views for engines whose users cannot, or will not, quote a dot: `"actor.user.name" AS actor_user_name`.

use crate::lake::Lake;
use crate::table::TableSnapshot;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

/// Whose SQL it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// DuckDB with its `delta` extension: the view follows the table.
    DuckDb,
    /// DuckDB alone: the view names the table's files of now.
    DuckDbFiles,
    /// Spark SQL with Delta Lake.
    Spark,
}

/// One `CREATE OR REPLACE VIEW` per table, named as the table; its columns have underscores for dots.
pub fn create_views(lake: &Lake, tables: &[Arc<TableSnapshot>], dialect: Dialect) -> String {
    let mut text = String::new();
    for table in tables {
        let quote = if dialect == Dialect::Spark { '`' } else { '"' };
        let quoted = |name: &str| {
            let doubled = name.replace(quote, &format!("{quote}{quote}"));
            format!("{quote}{doubled}{quote}")
        };
        let columns = table.schema.fields().iter().map(|f| f.name().as_str());
        let aliased = underscored(columns).into_iter().map(|(column, alias)| match column == alias {
            true => format!("  {}", quoted(column)),
            false => format!("  {} AS {}", quoted(column), quoted(&alias)),
        });
        let aliased = aliased.collect::<Vec<_>>().join(",\n");
        let _ = write!(
            text,
            "CREATE OR REPLACE VIEW {} AS SELECT\n{aliased}\nFROM {};\n\n",
            quoted(&table.name),
            source(lake, table, dialect)
        );
    }
    text
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn source(lake: &Lake, table: &TableSnapshot, dialect: Dialect) -> String {
    let location = lake.table_location(&table.name);
    match dialect {
        Dialect::DuckDb => format!("delta_scan({})", literal(&location)),
        Dialect::Spark => format!("delta.`{}`", location.replace('`', "``")),
        Dialect::DuckDbFiles => {
            let root = format!("tables/{}", table.name);
            let files = table.files.iter().map(|file| {
                let path = file.path.as_ref();
                literal(&format!("{location}{}", path.strip_prefix(&root).unwrap_or(path)))
            });
            let files = files.collect::<Vec<_>>().join(", ");
            let day = "hive_types = {'event_day': DATE}";
            format!("read_parquet([{files}], union_by_name = true, hive_partitioning = true, {day})")
        }
    }
}

/// Each column with its name without dots; a number keeps apart what would be one.
fn underscored<'a>(columns: impl Iterator<Item = &'a str>) -> Vec<(&'a str, String)> {
    let mut columns: Vec<&str> = columns.collect();
    let order = columns.clone();
    // Names without a dot keep theirs.
    columns.sort_by_key(|c| c.contains('.'));
    let mut taken = BTreeSet::new();
    let mut names = std::collections::HashMap::new();
    for column in columns {
        let plain = column.replace('.', "_");
        let mut name = plain.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{plain}_{number}");
            number += 1;
        }
        names.insert(column, name);
    }
    order.into_iter().map(|c| (c, names.remove(c).unwrap_or_default())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_apart() {
        let names = underscored(["a.b_c", "a_b.c", "a_b_c", "time"].into_iter());
        let names: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
        assert_eq!(names, ["a_b_c_2", "a_b_c_3", "a_b_c", "time"]);
    }
}

//! Quoted and unquoted, a query is the same plan: queries are generated with marks for their columns, and written both
//! ways.

use crate::events::{lake_in, session, small};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

const CALLS: &[&str] = &["metadata.uid", "api.operation", "actor.user.name", "src_endpoint.ip", "raw_data", "unmapped"];
const LOGONS: &[&str] = &["metadata.uid", "user.name"];
const CASES: u32 = 300;

/// A mark: `⟦alias|column⟧`, without an alias `⟦|column⟧`; after `^` the unquoted way is in capitals.
fn mark(alias: &str, column: &str, capitals: bool) -> String {
    format!("⟦{}{alias}|{column}⟧", if capitals { "^" } else { "" })
}

/// The text with its marks as paths without quotes, or as quoted names.
fn write(marked: &str, quoted: bool) -> String {
    let mut pieces = marked.split('⟦');
    let mut text = pieces.next().unwrap().to_owned();
    for piece in pieces {
        let (mark, rest) = piece.split_once('⟧').unwrap();
        let (capitals, mark) = mark.strip_prefix('^').map_or((false, mark), |mark| (true, mark));
        let (alias, column) = mark.split_once('|').unwrap();
        let dot = if alias.is_empty() { "" } else { "." };
        text += &match (quoted, capitals) {
            (true, _) => format!("{alias}{dot}\"{column}\""),
            (false, true) => format!("{alias}{dot}{column}").to_uppercase(),
            (false, false) => format!("{alias}{dot}{column}"),
        };
        text += rest;
    }
    text
}

/// A column of a relation that is called `alias`, and can be named without it where `bare`.
fn column(alias: &'static str, bare: bool, columns: &'static [&'static str]) -> BoxedStrategy<String> {
    (prop::sample::select(columns), any::<bool>(), any::<bool>())
        .prop_map(move |(column, with_alias, capitals)| {
            mark(if with_alias || !bare { alias } else { "" }, column, capitals)
        })
        .boxed()
}

/// An expression of truth over `columns`; subqueries in it have an `a` of their own around which the outer one stands.
fn condition(columns: BoxedStrategy<String>) -> BoxedStrategy<String> {
    let leaf = (columns.clone(), columns.clone(), 0..9u8).prop_map(|(c, d, kind)| match kind {
        0 => format!("{c} = 'alice'"),
        1 => format!("{c} IS NOT NULL"),
        2 => format!("lower({c}) LIKE 'a%'"),
        3 => format!("coalesce({c}, {d}) IN ('a', 'b')"),
        4 => format!("CASE WHEN {c} > {d} THEN true ELSE false END"),
        5 => format!("json_get({c}, 'a.b') = 'c'"),
        6 => format!("{c} || {d} BETWEEN 'a' AND {c}"),
        7 => format!("CAST({c} AS BIGINT) > 1"),
        _ => format!("substring({c} FROM 1 FOR 2) <> trim({d})"),
    });
    leaf.prop_recursive(3, 8, 2, move |inner| {
        let calls = column("b", true, CALLS);
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a} AND {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.clone().prop_map(|a| format!("NOT ({a})")),
            (columns.clone(), calls.clone(), inner)
                .prop_map(|(c, d, w)| format!("{c} IN (SELECT {d} FROM api_activity b WHERE {d} <> 'x') AND {w}")),
            (columns.clone(), calls)
                .prop_map(|(c, d)| format!("EXISTS (SELECT 1 FROM api_activity b WHERE {d} = {c})")),
        ]
    })
    .boxed()
}

/// A query over one relation that is called `a`.
fn of_one() -> BoxedStrategy<String> {
    let one = || column("a", true, CALLS);
    let columns = prop::collection::vec(one(), 1..4);
    let parts = (columns, condition(one()), one(), one(), any::<prop::sample::Index>());
    parts
        .prop_map(|(columns, condition, c, d, form)| {
            let named = columns.iter().enumerate().map(|(i, c)| format!("{c} AS c{i}"));
            let columns = named.collect::<Vec<_>>().join(", ");
            let forms = [
                format!("SELECT {c} FROM api_activity a WHERE {condition}"),
                format!("SELECT {columns} FROM api_activity AS a WHERE {condition} ORDER BY {c} DESC, {d} LIMIT 3"),
                format!("SELECT DISTINCT {c}, {d} AS d FROM api_activity a WHERE {condition}"),
                format!(
                    "SELECT {c}, count({d}) AS n FROM api_activity a WHERE {condition} GROUP BY {c} \
                     HAVING max({d}) > 'a' ORDER BY {c}"
                ),
                format!("SELECT count(*) FILTER (WHERE {condition}), min({d}) FROM api_activity a"),
                format!("WITH x AS (SELECT * FROM api_activity a WHERE {condition}) SELECT {columns} FROM x a"),
                format!(
                    "SELECT {columns} FROM (SELECT * FROM api_activity WHERE time > '2025-01-01') a WHERE {condition}"
                ),
                format!(
                    "SELECT {columns}, row_number() OVER (PARTITION BY {c} ORDER BY {d}) AS n FROM api_activity a \
                     WHERE {condition}"
                ),
                format!(
                    "SELECT {c} AS c FROM api_activity a WHERE {condition} \
                     UNION ALL SELECT {d} FROM api_activity a ORDER BY c"
                ),
                format!(
                    "SELECT {c}, ⟦a|resources⟧[1].uid AS uid FROM api_activity a \
                     WHERE ⟦|resources⟧[1]['type'] = 'role' OR {condition}"
                ),
                format!(
                    "SELECT {c}, (SELECT max(⟦b|api.operation⟧) FROM api_activity b \
                     WHERE ⟦b|actor.user.name⟧ = ⟦a|actor.user.name⟧) AS most FROM api_activity a WHERE {condition}"
                ),
                format!("SELECT * EXCLUDE (⟦|metadata.uid⟧, ⟦|src_endpoint.ip⟧) FROM api_activity a WHERE {condition}"),
            ];
            forms[form.index(forms.len())].clone()
        })
        .boxed()
}

/// A query over two relations, `a` and `l`.
fn of_two() -> BoxedStrategy<String> {
    let two = || prop_oneof![column("a", false, CALLS), column("l", false, LOGONS)].boxed();
    // These are of one relation only.
    let bare = prop::sample::select(&["api.operation", "actor.user.name", "user.name"][..]);
    let side = prop::sample::select(&["", "LEFT", "RIGHT", "FULL"][..]);
    let parts = (condition(two()), two(), two(), bare, any::<bool>(), side, any::<prop::sample::Index>());
    parts
        .prop_map(|(condition, c, d, bare, capitals, side, form)| {
            let bare = mark("", bare, capitals);
            let on = "⟦a|actor.user.name⟧ = ⟦|user.name⟧";
            let forms = [
                format!(
                    "SELECT {c} AS c, {d} AS d FROM api_activity a JOIN authentication l ON {on} WHERE {condition}"
                ),
                format!("SELECT {bare} FROM api_activity a LEFT JOIN authentication l ON {on} AND {condition}"),
                format!("SELECT {bare}, {c} AS c FROM api_activity a, authentication l WHERE {condition} ORDER BY {d}"),
                format!(
                    "SELECT ⟦|metadata.uid⟧, {bare} AS b FROM api_activity a {side} JOIN authentication l \
                     USING (⟦|metadata.uid⟧) WHERE ⟦|metadata.uid⟧ > 'a' OR {condition} ORDER BY ⟦|metadata.uid⟧"
                ),
                format!(
                    "SELECT ⟦|metadata.uid⟧, max({c}) AS c FROM api_activity a {side} JOIN authentication l \
                     USING (⟦|metadata.uid⟧) GROUP BY ⟦|metadata.uid⟧ HAVING ⟦|metadata.uid⟧ > 'a'"
                ),
                format!(
                    "WITH l AS (SELECT ⟦|metadata.uid⟧, ⟦|user.name⟧ FROM authentication) \
                     SELECT {c} AS c, count({d}) AS n FROM api_activity a JOIN l ON {on} WHERE {condition} GROUP BY {c}"
                ),
            ];
            forms[form.index(forms.len())].clone()
        })
        .boxed()
}

#[test]
fn quoted_and_unquoted_have_the_same_plan() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let session = runtime.block_on(async {
        let lake = lake_in(folder.path()).await;
        small(&lake).await;
        session(&lake).await
    });
    let plan = |sql: &str| {
        let plan = runtime.block_on(session.plan(sql));
        plan.map(|p| (p.display_indent_schema().to_string(), p.schema().field_names())).map_err(|e| e.to_string())
    };
    let config = ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() };
    let checked = TestRunner::new(config).run(&prop_oneof![2 => of_one(), 1 => of_two()], |query| {
        let (unquoted, quoted) = (write(&query, false), write(&query, true));
        prop_assert_ne!(&unquoted, &quoted);
        match (plan(&unquoted), plan(&quoted)) {
            (Ok(a), Ok(b)) => prop_assert_eq!(a, b, "{} and {}", unquoted, quoted),
            // All that is generated is right: a property of errors would be no property.
            (a, b) => prop_assert!(false, "{}: {:?} and {}: {:?}", unquoted, a.err(), quoted, b.err()),
        }
        Ok(())
    });
    checked.unwrap_or_else(|e| panic!("{e}"));
}

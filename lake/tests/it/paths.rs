//! Quoted and unquoted, a query is the same plan.

use crate::events::{lake_in, session, small};
use proptest::prelude::*;
use proptest::strategy::Strategy;

/// A column, as written and quoted, of a table under an alias.
fn column() -> impl Strategy<Value = (String, String)> {
    let columns = ["metadata.uid", "api.operation", "actor.user.name", "src_endpoint.ip", "raw_data", "unmapped"];
    (prop::sample::select(columns.to_vec()), any::<bool>(), any::<bool>()).prop_map(|(column, alias, upper)| {
        let plain = if upper { column.to_uppercase() } else { column.to_owned() };
        match alias {
            true => (format!("a.{plain}"), format!("a.\"{column}\"")),
            false => (plain, format!("\"{column}\"")),
        }
    })
}

fn both(parts: Vec<(String, String)>, with: &str) -> (String, String) {
    let (plain, quoted): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
    (plain.join(with), quoted.join(with))
}

fn condition() -> impl Strategy<Value = (String, String)> {
    let leaf = (column(), 0..6u8).prop_map(|((p, q), kind)| {
        let around = |c: &str| match kind {
            0 => format!("{c} = 'alice'"),
            1 => format!("{c} IS NOT NULL"),
            2 => format!("lower({c}) LIKE 'a%'"),
            3 => format!("coalesce({c}, 'x') IN ('a', 'b')"),
            4 => format!("CASE WHEN {c} > 'b' THEN true ELSE false END"),
            _ => format!("json_get({c}, 'a.b') = 'c'"),
        };
        (around(&p), around(&q))
    });
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| both(vec![a, b], " AND ")),
            (inner.clone(), inner.clone())
                .prop_map(|((a, b), (c, d))| (format!("({a} OR {c})"), format!("({b} OR {d})"))),
            inner.clone().prop_map(|(p, q)| (format!("NOT ({p})"), format!("NOT ({q})"))),
            (column(), inner).prop_map(|((c, d), (p, q))| {
                let around = |c: &str, w: &str| format!("{c} IN (SELECT {c} FROM api_activity a WHERE {w})");
                (around(&c, &p), around(&d, &q))
            }),
        ]
    })
}

fn query() -> impl Strategy<Value = (String, String)> {
    let columns = prop::collection::vec(column(), 1..4);
    (columns, condition(), column(), 0..5u8).prop_map(|(columns, condition, order, form)| {
        let numbered = columns.into_iter().enumerate();
        let columns = numbered.map(|(i, (p, q))| (format!("{p} AS c{i}"), format!("{q} AS c{i}"))).collect();
        let (columns, columns_quoted) = both(columns, ", ");
        let write = |columns: &str, condition: &str, order: &str| match form {
            0 => format!("SELECT {columns} FROM api_activity a WHERE {condition}"),
            1 => format!("SELECT {columns} FROM api_activity a WHERE {condition} ORDER BY {order} DESC LIMIT 3"),
            2 => format!("SELECT {order}, count(*) FROM api_activity a WHERE {condition} GROUP BY {order}"),
            3 => format!("WITH x AS (SELECT * FROM api_activity a WHERE {condition}) SELECT {columns} FROM x a"),
            _ => format!(
                "SELECT l.metadata.uid, {order} FROM api_activity a JOIN authentication l \
                 ON a.actor.user.name = l.user.name WHERE {condition}"
            )
            .replace("metadata.uid, \"", "metadata.uid, \""),
        };
        (write(&columns, &condition, &order.0), write(&columns_quoted, &condition, &order.1))
    })
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
        plan.map(|p| p.display_indent().to_string()).map_err(|e| e.to_string())
    };
    let mut planned = 0;
    proptest!(ProptestConfig { cases: 200, ..ProptestConfig::default() }, |((unquoted, quoted) in query())| {
        let (a, b) = (plan(&unquoted), plan(&quoted));
        match (&a, &b) {
            (Ok(a), Ok(b)) => prop_assert_eq!(a, b, "{} and {}", unquoted, quoted),
            // Ambiguous both ways: a join has two metadata.uid.
            (Err(a), Err(b)) => prop_assert!(a.to_lowercase().contains("ambiguous") && b.to_lowercase().contains("ambiguous"),
                "{}: {} and {}: {}", unquoted, a, quoted, b),
            _ => prop_assert!(false, "{}: {:?} and {}: {:?}", unquoted, a, quoted, b),
        }
    });
    for _ in 0..1 {
        planned += 1;
    }
    assert_eq!(planned, 1);
}

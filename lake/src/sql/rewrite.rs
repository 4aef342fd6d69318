//! Unquoted OCSF paths to quoted columns, everywhere in a query and by its scopes.
//!
//! `a.api.operation` becomes `a."api.operation"`, `actor.user.name` becomes `"actor.user.name"`, and what follows a column
//! of structs stays a field of it. The rules are [`Scope::resolve`]'s. A query that is written with quotes comes out as it
//! was, and both have the same plan.

use crate::sql::error::SqlError;
use crate::sql::scope::{Columns, Kept, Relation, Scope, ScopeColumn, columns_of, last_part, normal};
use arrow::datatypes::SchemaRef;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, ExcludeSelectItem, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, Join, JoinConstraint, JoinOperator, ObjectName, ObjectNamePart, OrderByKind, Query,
    Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor, TableWithJoins, Value,
    VisitMut, VisitorMut, WildcardAdditionalOptions,
};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

/// Rewrites `query` in place; `catalog` knows the tables by name.
///
/// **Errors**: [`SqlError::UnknownColumn`] and [`SqlError::Ambiguous`] for dotted paths. Names without a dot are the
/// planner's.
pub fn rewrite(query: &mut Query, catalog: &dyn Fn(&str) -> Option<SchemaRef>) -> Result<(), SqlError> {
    Rewriter { catalog, ctes: Vec::new() }.query(query, None).map(|_| ())
}

struct Rewriter<'c> {
    catalog: &'c dyn Fn(&str) -> Option<SchemaRef>,
    /// Visible common table expressions, innermost last.
    ctes: Vec<(String, Columns)>,
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

impl Rewriter<'_> {
    /// Returns the query's output columns, as far as their names are known.
    fn query(&mut self, query: &mut Query, parent: Option<&Scope<'_>>) -> Result<Columns, SqlError> {
        let visible = self.ctes.len();
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                let name = normal(&cte.alias.name);
                let before = self.ctes.len();
                if with.recursive {
                    self.ctes.push((name.clone(), renamed(None, &cte.alias)));
                }
                let columns = self.query(&mut cte.query, parent)?;
                self.ctes.truncate(before);
                self.ctes.push((name, renamed(columns, &cte.alias)));
            }
        }
        let (columns, from) = self.set_expr(&mut query.body, parent)?;
        // ORDER BY sees the output first, then what the SELECT saw.
        let output = Relation { name: None, columns: Some(columns.clone().unwrap_or_default()) };
        let mut scope = Scope::within(from.as_ref().or(parent));
        scope.relations.push(output);
        if let Some(order_by) = &mut query.order_by
            && let OrderByKind::Expressions(expressions) = &mut order_by.kind
        {
            self.expressions(expressions, &scope)?;
        }
        self.expressions(&mut query.limit_clause, &scope)?;
        self.ctes.truncate(visible);
        Ok(columns)
    }

    fn set_expr<'p>(
        &mut self,
        body: &mut SetExpr,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Columns, Option<Scope<'p>>), SqlError> {
        match body {
            SetExpr::Select(select) => {
                let (columns, scope) = self.select(select, parent)?;
                Ok((columns, Some(scope)))
            }
            SetExpr::Query(query) => Ok((self.query(query, parent)?, None)),
            SetExpr::SetOperation { left, right, .. } => {
                let (columns, _) = self.set_expr(left, parent)?;
                self.set_expr(right, parent)?;
                Ok((columns, None))
            }
            SetExpr::Values(values) => {
                self.expressions(values, &Scope::within(parent))?;
                Ok((None, None))
            }
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) | SetExpr::Table(_) => {
                Ok((None, None))
            }
        }
    }

    fn select<'p>(
        &mut self,
        select: &mut Select,
        parent: Option<&'p Scope<'p>>,
    ) -> Result<(Columns, Scope<'p>), SqlError> {
        let mut scope = Scope::within(parent);
        for tables in &mut select.from {
            self.tables(tables, &mut scope)?;
        }
        let given = aliases(&select.projection);
        for item in &mut select.projection {
            if let SelectItem::Wildcard(options) | SelectItem::QualifiedWildcard(_, options) = item {
                join_excluded(options);
            }
            output_path(item, &scope)?;
        }
        self.expressions(&mut select.distinct, &scope)?;
        self.expressions(&mut select.top, &scope)?;
        self.expressions(&mut select.projection, &scope)?;
        self.expressions(&mut select.lateral_views, &scope)?;
        self.expressions(&mut select.prewhere, &scope)?;
        self.expressions(&mut select.selection, &scope)?;
        self.expressions(&mut select.named_window, &scope)?;
        let columns = output(&select.projection, &scope);
        // These may name a column of the output as well.
        let mut grouped = Scope::within(Some(&scope));
        grouped.relations.push(Relation { name: None, columns: Some(given) });
        self.expressions(&mut select.group_by, &grouped)?;
        self.expressions(&mut select.having, &grouped)?;
        self.expressions(&mut select.qualify, &grouped)?;
        self.expressions(&mut select.cluster_by, &grouped)?;
        self.expressions(&mut select.distribute_by, &grouped)?;
        self.expressions(&mut select.sort_by, &grouped)?;
        Ok((columns, scope))
    }

    fn tables(&mut self, tables: &mut TableWithJoins, scope: &mut Scope<'_>) -> Result<(), SqlError> {
        self.factor(&mut tables.relation, scope)?;
        for join in &mut tables.joins {
            let right = scope.relations.len();
            self.factor(&mut join.relation, scope)?;
            self.join(join, right, scope)?;
        }
        Ok(())
    }

    /// `right` is the number of relations on the left.
    fn join(&mut self, join: &mut Join, right: usize, scope: &mut Scope<'_>) -> Result<(), SqlError> {
        let kept = match &join.join_operator {
            JoinOperator::FullOuter(_) => Kept::Either,
            JoinOperator::Right(_)
            | JoinOperator::RightOuter(_)
            | JoinOperator::RightSemi(_)
            | JoinOperator::RightAnti(_) => Kept::Right,
            _ => Kept::Left,
        };
        let constraint = match &mut join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::CrossJoin(c)
            | JoinOperator::Semi(c)
            | JoinOperator::LeftSemi(c)
            | JoinOperator::RightSemi(c)
            | JoinOperator::Anti(c)
            | JoinOperator::LeftAnti(c)
            | JoinOperator::RightAnti(c)
            | JoinOperator::StraightJoin(c) => c,
            JoinOperator::AsOf { match_condition, constraint } => {
                self.expressions(match_condition, scope)?;
                constraint
            }
            JoinOperator::CrossApply
            | JoinOperator::OuterApply
            | JoinOperator::ArrayJoin
            | JoinOperator::LeftArrayJoin
            | JoinOperator::InnerArrayJoin => return Ok(()),
        };
        match constraint {
            JoinConstraint::On(condition) => self.expressions(condition, scope),
            JoinConstraint::Using(columns) => {
                for column in columns {
                    join_name(column);
                    if let Some(name) = last_part(column) {
                        scope.merge(name, right, kept);
                    }
                }
                Ok(())
            }
            JoinConstraint::Natural => {
                let names = |relations: &[Relation]| -> BTreeSet<String> {
                    relations.iter().flat_map(|r| r.columns.iter().flatten()).map(|c| c.name.clone()).collect()
                };
                let common = &names(&scope.relations[..right]) & &names(&scope.relations[right..]);
                common.into_iter().for_each(|name| scope.merge(name, right, kept));
                Ok(())
            }
            JoinConstraint::None => Ok(()),
        }
    }

    fn factor(&mut self, factor: &mut TableFactor, scope: &mut Scope<'_>) -> Result<(), SqlError> {
        let unknown = |alias: &Option<TableAlias>| Relation {
            name: alias.as_ref().map(|a| normal(&a.name)),
            columns: alias.as_ref().and_then(|a| renamed(None, a)),
        };
        let relation = match factor {
            TableFactor::Table { name, alias, args, .. } => {
                let table = last_part(name);
                let known = table.as_deref().filter(|_| args.is_none()).and_then(|t| self.columns(t, name.0.len()));
                let columns = alias.as_ref().map_or_else(|| known.clone(), |a| renamed(known.clone(), a));
                if let Some(args) = args {
                    self.expressions(args, scope)?;
                }
                Relation { name: alias.as_ref().map(|a| normal(&a.name)).or(table), columns }
            }
            TableFactor::Derived { lateral, subquery, alias, .. } => {
                let parent = if *lateral { Some(&*scope) } else { scope.parent };
                let columns = self.query(subquery, parent)?;
                let columns = alias.as_ref().map_or_else(|| columns.clone(), |a| renamed(columns.clone(), a));
                Relation { name: alias.as_ref().map(|a| normal(&a.name)), columns }
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => return self.tables(table_with_joins, scope),
            TableFactor::NestedJoin { table_with_joins, alias } => {
                let mut inner = Scope::within(scope.parent);
                self.tables(table_with_joins, &mut inner)?;
                unknown(alias)
            }
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                self.expressions(array_exprs, scope)?;
                unknown(alias)
            }
            TableFactor::Function { args, alias, .. } => {
                self.expressions(args, scope)?;
                unknown(alias)
            }
            TableFactor::TableFunction { expr, alias } => {
                self.expressions(expr, scope)?;
                unknown(alias)
            }
            // The planner refuses the rest, or knows better.
            TableFactor::Pivot { alias, .. }
            | TableFactor::Unpivot { alias, .. }
            | TableFactor::MatchRecognize { alias, .. }
            | TableFactor::JsonTable { alias, .. }
            | TableFactor::OpenJsonTable { alias, .. } => unknown(alias),
            #[allow(unreachable_patterns)] // Kinds that later versions of the parser add.
            _ => Relation { name: None, columns: None },
        };
        scope.relations.push(relation);
        Ok(())
    }

    fn columns(&self, table: &str, parts: usize) -> Columns {
        if parts == 1
            && let Some((_, columns)) = self.ctes.iter().rev().find(|(name, _)| name == table)
        {
            return columns.clone();
        }
        (self.catalog)(table).and_then(|schema| columns_of(&schema))
    }

    fn expressions(&mut self, node: &mut impl VisitMut, scope: &Scope<'_>) -> Result<(), SqlError> {
        match node.visit(&mut Expressions { rewriter: self, scope, inside: 0 }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(error),
        }
    }
}

/// Walks expressions of one scope; subqueries in them have scopes of their own.
struct Expressions<'r, 'c, 's> {
    rewriter: &'r mut Rewriter<'c>,
    scope: &'s Scope<'s>,
    /// How many subqueries deep: their expressions are done already.
    inside: usize,
}

impl VisitorMut for Expressions<'_, '_, '_> {
    type Break = SqlError;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<SqlError> {
        if self.inside == 0
            && let Err(error) = self.rewriter.query(query, Some(self.scope))
        {
            return ControlFlow::Break(error);
        }
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<SqlError> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<SqlError> {
        if self.inside == 0
            && let Err(error) = path(expr, self.scope)
        {
            return ControlFlow::Break(error);
        }
        ControlFlow::Continue(())
    }
}

fn field(name: &str) -> AccessExpr {
    AccessExpr::Dot(Expr::value(Value::SingleQuotedString(name.to_owned())))
}

fn coalesce(values: impl Iterator<Item = Expr>) -> Expr {
    let args = FunctionArgumentList {
        duplicate_treatment: None,
        args: values.map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value))).collect(),
        clauses: Vec::new(),
    };
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("coalesce")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(args),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// Rewrites a column of the output that a join made of two; it keeps its name.
fn output_path(item: &mut SelectItem, scope: &Scope<'_>) -> Result<(), SqlError> {
    let SelectItem::UnnamedExpr(expr @ (Expr::Identifier(_) | Expr::CompoundIdentifier(_))) = item else {
        return Ok(());
    };
    let name = match &*expr {
        Expr::Identifier(ident) => normal(ident),
        Expr::CompoundIdentifier(parts) => parts.iter().map(normal).collect::<Vec<_>>().join("."),
        _ => return Ok(()),
    };
    path(expr, scope)?;
    if let Expr::Function(_) = expr {
        *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: quoted(&name) };
    }
    Ok(())
}

/// Rewrites `expr` if it is a dotted path, or a column that a join made of two.
fn path(expr: &mut Expr, scope: &Scope<'_>) -> Result<(), SqlError> {
    let (mut parts, chain): (Vec<Ident>, &[AccessExpr]) = match &*expr {
        Expr::Identifier(ident) => (vec![ident.clone()], &[]),
        Expr::CompoundIdentifier(parts) => (parts.clone(), &[]),
        Expr::CompoundFieldAccess { root, access_chain } => match root.as_ref() {
            Expr::Identifier(ident) => (vec![ident.clone()], access_chain),
            Expr::CompoundIdentifier(parts) => (parts.clone(), access_chain),
            _ => return Ok(()),
        },
        _ => return Ok(()),
    };
    let dots = chain.iter().map_while(|access| match access {
        AccessExpr::Dot(Expr::Identifier(ident)) => Some(ident.clone()),
        _ => None,
    });
    let dots: Vec<Ident> = dots.collect();
    let chain = chain[dots.len()..].to_vec();
    parts.extend(dots);
    let bare = parts.len() < 2 && chain.is_empty();
    let resolved = match scope.resolve(&parts) {
        Ok(Some(resolved)) if bare && resolved.relations.is_empty() => return Ok(()),
        Ok(Some(resolved)) => resolved,
        Ok(None) => return Ok(()),
        // A name without a dot may be anything that the planner knows.
        Err(_) if parts.len() < 2 => return Ok(()),
        Err(error) => return Err(error),
    };
    let fields = parts[resolved.used..].iter().map(|part| field(&normal(part)));
    // The planner takes the fields of what a subscript gives as texts only.
    let chain = chain.into_iter().map(|access| match access {
        AccessExpr::Dot(Expr::Identifier(ident)) => field(&normal(&ident)),
        access => access,
    });
    let access_chain: Vec<AccessExpr> = fields.chain(chain).collect();
    let column = quoted(&resolved.column);
    let of = |relation: &String| Expr::CompoundIdentifier(vec![quoted(relation), column.clone()]);
    let base = match resolved.relations.as_slice() {
        [] => Expr::Identifier(column),
        [relation] => of(relation),
        several => coalesce(several.iter().map(of)),
    };
    *expr =
        if access_chain.is_empty() { base } else { Expr::CompoundFieldAccess { root: Box::new(base), access_chain } };
    Ok(())
}

/// `metadata.uid` where only a column's name can stand.
fn join_name(name: &mut ObjectName) {
    let parts: Option<Vec<String>> = name
        .0
        .iter()
        .map(|part| match part {
            ObjectNamePart::Identifier(ident) => Some(normal(ident)),
            ObjectNamePart::Function(_) => None,
        })
        .collect();
    if let Some(parts) = parts
        && parts.len() > 1
    {
        name.0 = vec![ObjectNamePart::Identifier(quoted(&parts.join(".")))];
    }
}

fn join_excluded(options: &mut WildcardAdditionalOptions) {
    match &mut options.opt_exclude {
        Some(ExcludeSelectItem::Single(name)) => join_name(name),
        Some(ExcludeSelectItem::Multiple(names)) => names.iter_mut().for_each(join_name),
        None => {}
    }
}

/// The columns under the names that an alias gives them.
fn renamed(columns: Columns, alias: &TableAlias) -> Columns {
    if alias.columns.is_empty() {
        return columns;
    }
    let nested = |at: usize| columns.as_ref().and_then(|c| c.get(at)).is_none_or(|c| c.nested);
    let given = alias.columns.iter().enumerate();
    let given = given.map(|(at, column)| ScopeColumn { name: normal(&column.name), nested: nested(at) });
    let rest = columns.iter().flatten().skip(alias.columns.len()).cloned();
    Some(given.chain(rest).collect())
}

fn aliases(projection: &[SelectItem]) -> Vec<ScopeColumn> {
    let alias = |item: &SelectItem| match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(ScopeColumn { name: normal(alias), nested: true }),
        _ => None,
    };
    projection.iter().filter_map(alias).collect()
}

/// The names that a rewritten SELECT gives its columns; `None` when a wildcard stands for columns that are not known.
fn output(projection: &[SelectItem], scope: &Scope<'_>) -> Columns {
    let mut columns = Vec::new();
    for item in projection {
        match item {
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => {
                columns.push(ScopeColumn { name: normal(ident), nested: true });
            }
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                columns.extend(parts.last().map(|ident| ScopeColumn { name: normal(ident), nested: true }));
            }
            SelectItem::ExprWithAlias { alias, .. } => {
                columns.push(ScopeColumn { name: normal(alias), nested: true });
            }
            SelectItem::Wildcard(_) => {
                for relation in &scope.relations {
                    columns.extend(relation.columns.clone()?);
                }
            }
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let name = last_part(name);
                let relation = scope.relations.iter().find(|r| r.name == name);
                columns.extend(relation.and_then(|r| r.columns.clone())?);
            }
            _ => {}
        }
    }
    Some(columns)
}

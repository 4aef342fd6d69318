//! Which alerts go to which sinks, and what groups they are put in. Decides only; the outbox keeps.

use super::alert::{Alert, Entity, Kind};
use super::config::{ConfigError, GroupKey, RouteConfig, Throttle, ValueError, in_range, named};
use super::glob::Glob;
use super::severity::Severity;
use std::collections::BTreeSet;

/// All routes, in order.
#[derive(Clone, Debug, Default)]
pub struct Routes(Vec<Route>);

/// One route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Its name.
    pub name: String,
    /// Names of its sinks.
    pub sinks: Vec<String>,
    /// How alerts are put together; none where each is a message.
    pub grouping: Option<Grouping>,
    /// How many are too many.
    pub throttle: Option<Throttle>,
    severity_min: Option<Severity>,
    rules: Vec<Glob>,
    tags: Vec<Glob>,
    entities: Vec<Glob>,
    goes_on: bool,
}

/// How a route's alerts are put together. The words and times are those of Alertmanager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// What they have in common.
    pub by: Vec<GroupKey>,
    /// Wait of a new group, milliseconds.
    pub wait_ms: i64,
    /// Time between a group's messages, milliseconds.
    pub interval_ms: i64,
    /// Alerts in a message.
    pub max: usize,
}

/// One value that a group's alerts have in common.
pub type GroupValue = (String, String);

impl Routes {
    /// Of the configuration; `sinks` are the names that there are.
    ///
    /// **Errors**: the first value that cannot be, by key.
    pub fn new(configs: &[RouteConfig], sinks: &BTreeSet<&str>) -> Result<Self, ConfigError> {
        let mut names = BTreeSet::new();
        let route = |(i, config): (usize, &RouteConfig)| {
            let key = |option: &str| format!("alerts.routes[{i}].{option}");
            named(&key("name"), &config.name)?;
            if !names.insert(config.name.clone()) {
                return Err(ConfigError::value(key("name"), ValueError::Twice(config.name.clone())));
            }
            let mut own = BTreeSet::new();
            for sink in &config.sinks {
                if !sinks.contains(sink.as_str()) {
                    return Err(ConfigError::value(key("sinks"), ValueError::NoSink(sink.clone())));
                }
                if !own.insert(sink) {
                    return Err(ConfigError::value(key("sinks"), ValueError::Twice(sink.clone())));
                }
            }
            in_range(key("group_max"), config.group_max as u64, 1, 1_000)?;
            if let Some(throttle) = config.throttle {
                in_range(key("throttle.count"), throttle.count, 1, 1_000_000)?;
                in_range(key("throttle.per"), throttle.per.ms() as u64, 1, 7 * 86_400_000)?;
            }
            Ok(Route::new(config))
        };
        Ok(Self(configs.iter().enumerate().map(route).collect::<Result<_, _>>()?))
    }

    /// Routes and sinks that an alert goes to. A sink has an alert once, by the first route that sends it there. None
    /// where no route matched at all.
    pub fn of(&self, alert: &Alert) -> Option<Vec<(&Route, &str)>> {
        let mut paths: Vec<(&Route, &str)> = Vec::new();
        let mut matched = false;
        for route in self.0.iter().filter(|route| route.matches(alert)) {
            matched = true;
            for sink in &route.sinks {
                if !paths.iter().any(|(_, known)| known == sink) {
                    paths.push((route, sink));
                }
            }
            if !route.goes_on {
                break;
            }
        }
        matched.then_some(paths)
    }

    /// Whether the routes need to know an alert's entities: not where it goes nowhere, whatever they are.
    pub fn ask_for_entities(&self, alert: &Alert) -> bool {
        for route in self.0.iter().filter(|route| route.matches_but_for_entities(alert)) {
            if !route.sinks.is_empty() || !route.entities.is_empty() {
                return true;
            }
            if !route.goes_on {
                return false;
            }
        }
        false
    }

    /// The route of a name.
    pub fn named(&self, name: &str) -> Option<&Route> {
        self.0.iter().find(|route| route.name == name)
    }
}

impl Route {
    fn new(config: &RouteConfig) -> Self {
        let globs = |texts: &[String]| texts.iter().map(|text| Glob::new(text)).collect();
        Self {
            name: config.name.clone(),
            sinks: config.sinks.clone(),
            grouping: config.group_by.as_ref().map(|by| Grouping {
                by: by.clone(),
                wait_ms: config.group_wait.ms(),
                interval_ms: config.group_interval.ms(),
                max: config.group_max,
            }),
            throttle: config.throttle,
            severity_min: config.severity_min,
            rules: globs(&config.rules),
            tags: globs(&config.tags),
            entities: globs(&config.entities),
            goes_on: config.r#continue,
        }
    }

    fn matches(&self, alert: &Alert) -> bool {
        let of_entity =
            |glob: &Glob, e: &Entity| glob.matches(&e.value) || glob.matches(&format!("{}:{}", e.kind, e.value));
        self.matches_but_for_entities(alert)
            && one(&self.entities, |glob| alert.entities.iter().any(|entity| of_entity(glob, entity)))
    }

    fn matches_but_for_entities(&self, alert: &Alert) -> bool {
        self.severity_min.is_none_or(|min| alert.severity >= min)
            && one(&self.rules, |glob| glob.matches(&alert.rule.id) || glob.matches(&alert.rule.title))
            && one(&self.tags, |glob| alert.tags.iter().any(|tag| glob.matches(tag)))
    }

    /// What an alert has in common with those of its group: empty without grouping, and where all are one group.
    pub fn group_of(&self, alert: &Alert) -> Vec<GroupValue> {
        let keys = self.grouping.iter().flat_map(|grouping| &grouping.by);
        let value = |key: &GroupKey| {
            let of_kind =
                |kind: Kind| (kind.to_string(), alert.entity(kind).map(|e| e.value.clone()).unwrap_or_default());
            match key {
                GroupKey::Rule => ("rule".to_owned(), rule_name(alert).to_owned()),
                GroupKey::Severity => ("severity".to_owned(), alert.severity.caption().to_lowercase()),
                GroupKey::User => of_kind(Kind::User),
                GroupKey::Host => of_kind(Kind::Host),
                GroupKey::Address => of_kind(Kind::Address),
                GroupKey::Entity => match alert.entities.first() {
                    Some(entity) => (entity.kind.to_string(), entity.value.clone()),
                    None => ("entity".to_owned(), String::new()),
                },
            }
        };
        keys.map(value).collect()
    }
}

/// Whether any holds, where there are any.
fn one(globs: &[Glob], holds: impl Fn(&Glob) -> bool) -> bool {
    globs.is_empty() || globs.iter().any(holds)
}

/// What a rule is counted by: its id, or its title where it has none.
pub fn rule_name(alert: &Alert) -> &str {
    if alert.rule.id.is_empty() { &alert.rule.title } else { &alert.rule.id }
}

#[cfg(test)]
mod tests;

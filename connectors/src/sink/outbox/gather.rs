//! Throttling and grouping: from an alert on its way to a sink, to letters.
//!
//! **Throttling** first: of a rule and group, `count` alerts pass in a window of `per` that begins with the first. The
//! others are held back and counted. The next alert that passes takes the count along; if none comes by the end of the
//! window, the last that was held back goes as a message of its own. So what was held back is always told.
//!
//! **Grouping** then, with the words and times of Alertmanager: a new group's message goes `group_wait` after its first
//! alert, its next ones at least `group_interval` after the last; a group without alerts for an interval is forgotten.
//! A message that is full goes at once. Nothing is repeated: findings are events, not states.

use super::letter::Letter;
use super::store::{Tables, decoded, encoded};
use crate::sink::alert::Alert;
use crate::sink::route::{GroupValue, Grouping, Route, rule_name};
use crate::sink::severity::Severity;
use redb::{ReadableTable, ReadableTableMetadata};
use serde::{Deserialize, Serialize};

/// A group's message goes when its alerts have so many bytes.
const GROUP_BYTES_MAX: u64 = 1 << 20;
/// Throttles that are remembered; beyond that alerts pass. Events choose the groups, so there has to be a bound.
const THROTTLES_MAX: u64 = 100_000;
/// Timers that fire in one transaction.
const FIRED_MAX: usize = 500;

/// An alert on its way: the reference to it is handed on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    id: u64,
    uid: String,
    severity: Severity,
}

/// From where to where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Way {
    route: String,
    sink: String,
    group: Vec<GroupValue>,
    /// Whether the receiver is told when it is over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    resolves: bool,
}

/// A route and one of its sinks.
pub(super) struct Branch<'a> {
    pub route: &'a Route,
    pub sink: &'a str,
    /// Whether the sink is told when all findings of a message are closed.
    pub resolves: bool,
    /// Whether it is not grouped.
    pub apart: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Group {
    way: Way,
    alerts: Vec<Held>,
    bytes: u64,
    held_back: u64,
    interval_ms: i64,
    due_ms: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Window {
    way: Way,
    per_ms: i64,
    ends_ms: i64,
    passed: u64,
    held_back: u64,
    last: Option<Held>,
}

/// Keys of groups and of windows share the timers.
const GROUP: char = 'g';
const WINDOW: char = 'w';

fn key_of(what: char, parts: &impl Serialize) -> Result<String, redb::Error> {
    Ok(format!("{what}{}", String::from_utf8_lossy(&encoded(parts)?)))
}

impl Tables<'_> {
    /// Takes an alert on its way to a sink; `id` is held for it.
    pub fn accept(&mut self, branch: &Branch<'_>, id: u64, alert: &Alert, now: i64) -> Result<(), redb::Error> {
        let Branch { route, sink, resolves, apart } = *branch;
        let held = Held { id, uid: alert.uid.clone(), severity: alert.severity };
        let way = Way { route: route.name.clone(), sink: sink.to_owned(), group: route.group_of(alert), resolves };
        let Some((held, held_back)) = self.throttle(route, &way, alert, held, now)? else { return Ok(()) };
        match &route.grouping {
            Some(grouping) if !apart => self.gather(grouping, way, held, held_back, now),
            _ => self.post_now(way, vec![held], held_back, now),
        }
    }

    /// The alert and how many were held back before it, if it passes.
    fn throttle(
        &mut self,
        route: &Route,
        way: &Way,
        alert: &Alert,
        held: Held,
        now: i64,
    ) -> Result<Option<(Held, u64)>, redb::Error> {
        let Some(throttle) = route.throttle else { return Ok(Some((held, 0))) };
        let key = key_of(WINDOW, &(way, rule_name(alert)))?;
        let known: Option<Window> = self.throttles.get(key.as_str())?.map(|row| decoded(row.value())).transpose()?;
        if known.is_none() && self.throttles.len()? >= THROTTLES_MAX {
            return Ok(Some((held, 0)));
        }
        let per_ms = throttle.per.ms();
        let begun = || Window { way: way.clone(), per_ms, ends_ms: now + per_ms, passed: 0, held_back: 0, last: None };
        let mut window = known.unwrap_or_else(begun);
        let passes = if window.passed < throttle.count {
            window.passed += 1;
            if let Some(last) = window.last.take() {
                self.release(last.id)?;
            }
            Some((held, std::mem::take(&mut window.held_back)))
        } else {
            window.held_back += 1;
            if let Some(before) = window.last.replace(held) {
                self.release(before.id)?;
            }
            self.count(&way.sink, "throttled", 1)?;
            None
        };
        self.throttles.insert(key.as_str(), encoded(&window)?.as_slice())?;
        self.timers.insert((window.ends_ms, key.as_str()), ())?;
        Ok(passes)
    }

    fn gather(
        &mut self,
        grouping: &Grouping,
        way: Way,
        held: Held,
        held_back: u64,
        now: i64,
    ) -> Result<(), redb::Error> {
        let key = key_of(GROUP, &way)?;
        let known: Option<Group> = self.groups.get(key.as_str())?.map(|row| decoded(row.value())).transpose()?;
        let (interval_ms, due_ms) = (grouping.interval_ms, now + grouping.wait_ms);
        let begun = Group { way, alerts: Vec::new(), bytes: 0, held_back: 0, interval_ms, due_ms };
        let mut group = known.unwrap_or(begun);
        group.bytes += self.bytes_of(held.id)?;
        group.held_back += held_back;
        group.alerts.push(held);
        self.timers.insert((group.due_ms, key.as_str()), ())?;
        if group.alerts.len() >= grouping.max || group.bytes >= GROUP_BYTES_MAX {
            self.cut(&mut group, now)?;
        }
        self.groups.insert(key.as_str(), encoded(&group)?.as_slice())?;
        Ok(())
    }

    /// Makes a letter of what a group has.
    fn cut(&mut self, group: &mut Group, now: i64) -> Result<(), redb::Error> {
        let alerts = std::mem::take(&mut group.alerts);
        group.bytes = 0;
        self.post_now(group.way.clone(), alerts, std::mem::take(&mut group.held_back), now)
    }

    fn post_now(&mut self, way: Way, alerts: Vec<Held>, held_back: u64, now: i64) -> Result<(), redb::Error> {
        let Some(first) = alerts.first() else { return Ok(()) };
        let severity = alerts.iter().map(|held| held.severity).max().unwrap_or(first.severity);
        let letter = Letter {
            alerts: alerts.iter().map(|held| held.id).collect(),
            group: way.group,
            held_back,
            ..Letter::new(&way.sink, &way.route, &first.uid, severity, now)
        };
        let id = self.post(&letter)?;
        if way.resolves {
            self.begin(id, &letter, alerts.into_iter().map(|held| held.uid).collect())?;
        }
        Ok(())
    }

    /// Does what is due by `now`; the time of the next timer, which may have come already.
    pub fn fire(&mut self, now: i64) -> Result<Option<i64>, redb::Error> {
        for _ in 0..FIRED_MAX {
            let first = self.timers.first()?.map(|(key, _)| (key.value().0, key.value().1.to_owned()));
            match first {
                Some((due, key)) if due <= now => self.fire_one(due, &key, now)?,
                other => return Ok(other.map(|(due, _)| due)),
            }
        }
        Ok(Some(now))
    }

    fn fire_one(&mut self, due: i64, key: &str, now: i64) -> Result<(), redb::Error> {
        self.timers.remove((due, key))?;
        if key.starts_with(GROUP) {
            let row: Option<Group> = self.groups.get(key)?.map(|row| decoded(row.value())).transpose()?;
            let Some(mut group) = row else { return Ok(()) };
            if group.alerts.is_empty() {
                self.groups.remove(key)?;
                return Ok(());
            }
            self.cut(&mut group, now)?;
            group.due_ms = now + group.interval_ms;
            self.timers.insert((group.due_ms, key), ())?;
            self.groups.insert(key, encoded(&group)?.as_slice())?;
        } else {
            let row: Option<Window> = self.throttles.get(key)?.map(|row| decoded(row.value())).transpose()?;
            let Some(mut window) = row else { return Ok(()) };
            let Some(last) = window.last.take() else {
                self.throttles.remove(key)?;
                return Ok(());
            };
            let others = std::mem::take(&mut window.held_back) - 1;
            self.post_now(window.way.clone(), vec![last], others, now)?;
            (window.passed, window.ends_ms) = (1, now + window.per_ms);
            self.timers.insert((window.ends_ms, key), ())?;
            self.throttles.insert(key, encoded(&window)?.as_slice())?;
        }
        Ok(())
    }

    /// Ends the waiting of all groups and windows that `which` picks by sink, and forgets them.
    pub fn fire_all(&mut self, which: &dyn Fn(&str) -> bool, now: i64) -> Result<(), redb::Error> {
        let mut groups = Vec::new();
        for row in self.groups.iter()? {
            let (key, row) = row?;
            let group: Group = decoded(row.value())?;
            if which(&group.way.sink) {
                groups.push((key.value().to_owned(), group));
            }
        }
        for (key, mut group) in groups {
            self.cut(&mut group, now)?;
            self.groups.remove(key.as_str())?;
            self.timers.remove((group.due_ms, key.as_str()))?;
        }
        let mut windows = Vec::new();
        for row in self.throttles.iter()? {
            let (key, row) = row?;
            let window: Window = decoded(row.value())?;
            if which(&window.way.sink) {
                windows.push((key.value().to_owned(), window));
            }
        }
        for (key, window) in windows {
            if let Some(last) = window.last {
                self.post_now(window.way, vec![last], window.held_back - 1, now)?;
            }
            self.throttles.remove(key.as_str())?;
            self.timers.remove((window.ends_ms, key.as_str()))?;
        }
        Ok(())
    }
}

//! What a correlation means, said slowly.

use super::{Event, SECOND};
use std::collections::BTreeMap;
use tarn_engine::correlation::Correlated;
use tarn_rules::correlation::{Correlation, Measure};

/// Time in seconds, group, events, measure.
pub type Answer = (i64, String, u64, String);

/// What a correlator said.
pub fn answer(found: &Correlated) -> Answer {
    let group = found.group.first().and_then(|(_, v)| v.clone()).unwrap_or_default();
    (found.time / SECOND, group, found.count, format!("{:.6}", found.measure))
}

/// Events that are not late, and how many are.
pub fn in_time(events: &[Event], lateness: i64) -> (Vec<Event>, u64) {
    let mut latest = i64::MIN;
    let mut late = 0;
    let mut is_in_time = |event: &&Event| {
        let is = event.1 >= latest.saturating_sub(lateness);
        late += u64::from(!is);
        latest = latest.max(event.1);
        is
    };
    let events = events.iter().filter(&mut is_in_time).copied().collect();
    (events, late)
}

/// What a correlation means.
pub fn model(c: &Correlation, events: &[Event]) -> Vec<Answer> {
    let mut groups: BTreeMap<&str, Vec<Event>> = BTreeMap::new();
    let mut sorted = events.to_vec();
    sorted.sort_by_key(|e| e.1);
    for event in sorted {
        let counts = event.3.is_some() || c.measured().is_empty();
        if counts {
            groups.entry(if c.group_by.is_empty() { "" } else { event.2 }).or_default().push(event);
        }
    }
    let (span, mut out) = (c.timespan_us / SECOND, Vec::new());
    let mut ask = |window: &[Event], time: i64, group: &str| -> bool {
        let measure = measure(c, window);
        let holds = c.condition.holds(measure, |place| window.iter().any(|e| e.0 as usize == place));
        if holds {
            out.push((time, group.to_owned(), window.len() as u64, format!("{measure:.6}")));
        }
        holds
    };
    for (group, events) in groups {
        let mut fired: Option<i64> = None;
        let mut opened: Option<usize> = None;
        for (i, event) in events.iter().enumerate() {
            if c.condition.is_monotone() {
                let window: Vec<Event> = events[..=i].iter().filter(|e| e.1 >= event.1 - span).copied().collect();
                let holds = c.condition.holds(measure(c, &window), |p| window.iter().any(|e| e.0 as usize == p));
                if !holds {
                    fired = None;
                } else if fired.is_none_or(|at| event.1 - at > span) {
                    ask(&window, event.1, group);
                    fired = Some(event.1);
                }
                continue;
            }
            if let Some(first) = opened.filter(|first| event.1 > events[*first].1 + span) {
                ask(&events[first..i], events[first].1 + span, group);
                opened = None;
            }
            opened = opened.or(Some(i));
        }
        if let Some(first) = opened {
            ask(&events[first..], events[first].1 + span, group);
        }
    }
    out.sort();
    out
}

fn measure(c: &Correlation, window: &[Event]) -> f64 {
    let mut numbers: Vec<f64> = window.iter().filter_map(|e| e.3).collect();
    numbers.sort_by(f64::total_cmp);
    match &c.measure {
        Measure::EventCount => window.len() as f64,
        Measure::ValueCount(_) => {
            numbers.dedup();
            numbers.len() as f64
        }
        Measure::ValueSum(_) => numbers.iter().sum(),
        Measure::ValueAvg(_) => numbers.iter().sum::<f64>() / numbers.len() as f64,
        Measure::ValuePercentile(_, p) => {
            let at = p / 100.0 * (numbers.len() - 1) as f64;
            let (below, above) = (numbers[at.floor() as usize], numbers[at.ceil() as usize]);
            below + (above - below) * at.fract()
        }
        Measure::Temporal => (0..3).filter(|rule| window.iter().any(|e| e.0 == *rule)).count() as f64,
        Measure::TemporalOrdered => {
            // The longest run of rules that grow along the window.
            let mut longest = vec![0_usize; window.len()];
            for i in 0..window.len() {
                longest[i] = 1 + (0..i).filter(|j| window[*j].0 < window[i].0).map(|j| longest[j]).max().unwrap_or(0);
            }
            longest.into_iter().max().unwrap_or(0) as f64
        }
    }
}

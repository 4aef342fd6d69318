//! What was measured, as rows: one for each lane and program.

use super::detect::{Measured, Runs};
use super::program::{Program, Run};
use crate::output::Format;
use serde_json::{Map, Value, json};

/// Medians of one program on one lane.
struct Medians {
    seconds: f64,
    /// Seconds without start-up; none where start-up took as long.
    net_seconds: Option<f64>,
    start_seconds: f64,
    /// How far the slowest run was from the fastest, in percent of the median.
    spread: f64,
    /// Processors in use on average.
    processors: Option<f64>,
    peak_bytes: Option<u64>,
    findings: u64,
}

impl Medians {
    fn of(runs: &Runs) -> Self {
        let Runs { full, empty, .. } = runs;
        let seconds = median(full, |run| Some(run.seconds)).unwrap_or_default();
        let start_seconds = median(empty, |run| Some(run.seconds)).unwrap_or_default();
        let fastest = full.iter().map(|run| run.seconds).fold(f64::INFINITY, f64::min);
        let slowest = full.iter().map(|run| run.seconds).fold(0.0, f64::max);
        Self {
            seconds,
            net_seconds: Some(seconds - start_seconds).filter(|net| *net > 0.0),
            start_seconds,
            spread: (slowest - fastest) / seconds * 100.0,
            processors: median(full, |run| run.processor_seconds).map(|p| p / seconds).filter(|p| *p > 0.0),
            peak_bytes: full.iter().filter_map(|run| run.peak_bytes).max(),
            findings: full.last().map_or(0, |run| run.findings),
        }
    }
}

/// Rows of the same keys, with fewer of them for a table. Rates are of the lane's original bytes; `per_core` is divided by
/// the processors in use; `speed_up` is over the same with the fewest threads, and `times_rsigma` over rsigma, each with
/// start-up and (`net_`) without.
pub fn rows(measured: &[Measured], rules: usize, format: Format) -> Vec<Map<String, Value>> {
    let of_lane = |lane: &Measured| lane.programs.iter().map(|runs| row(lane, runs, rules, format)).collect::<Vec<_>>();
    measured.iter().flat_map(of_lane).collect()
}

fn row(lane: &Measured, runs: &Runs, rules: usize, format: Format) -> Map<String, Value> {
    let of = Medians::of(runs);
    let (events, megabytes) = (lane.size.events as f64, lane.size.bytes as f64 / 1e6);
    let is_rsigma = |program: &Program| matches!(program, Program::Rsigma(_));
    let against = |is_it: &dyn Fn(&Program) -> bool| {
        let other = lane.programs.iter().find(|other| is_it(&other.program))?;
        (!is_rsigma(&runs.program) && other.program != runs.program).then(|| Medians::of(other))
    };
    // The first of its like is the one with the fewest threads.
    let (fewest, rsigma) = (against(&|other| other.is_like(&runs.program)), against(&is_rsigma));
    let times = |other: &Option<Medians>| other.as_ref().map(|other| other.seconds / of.seconds);
    let net_times = |other: &Option<Medians>| Some(other.as_ref()?.net_seconds? / of.net_seconds?);
    let net = |amount: f64| of.net_seconds.map(|seconds| amount / seconds);
    let per_core = |amount: f64| of.processors.map(|processors| amount / of.seconds / processors);
    let cells = [
        ("lane", Some("lane"), json!(lane.lane)),
        ("program", Some("program"), json!(runs.program.name())),
        ("threads", Some("threads"), json!(runs.program.threads())),
        ("rules", None, json!(rules)),
        ("events", Some("events"), json!(lane.size.events)),
        ("megabytes", Some("MB"), decimals(Some(megabytes), 1)),
        ("seconds", Some("s"), decimals(Some(of.seconds), 3)),
        ("start_seconds", Some("start s"), decimals(Some(of.start_seconds), 3)),
        ("spread_percent", Some("spread %"), decimals(Some(of.spread), 1)),
        ("events_per_second", Some("events/s"), decimals(Some(events / of.seconds), 0)),
        ("megabytes_per_second", Some("MB/s"), decimals(Some(megabytes / of.seconds), 1)),
        ("net_events_per_second", None, decimals(net(events), 0)),
        ("net_megabytes_per_second", Some("net MB/s"), decimals(net(megabytes), 1)),
        ("events_per_second_per_core", None, decimals(per_core(events), 0)),
        ("megabytes_per_second_per_core", Some("MB/s/core"), decimals(per_core(megabytes), 1)),
        ("peak_megabytes", Some("peak MB"), decimals(of.peak_bytes.map(|bytes| bytes as f64 / 1e6), 1)),
        ("findings", Some("findings"), json!(of.findings)),
        ("speed_up", Some("speed-up"), decimals(times(&fewest), 2)),
        ("net_speed_up", None, decimals(net_times(&fewest), 2)),
        ("times_rsigma", Some("× rsigma"), decimals(times(&rsigma), 2)),
        ("net_times_rsigma", Some("net × rsigma"), decimals(net_times(&rsigma), 2)),
    ];
    let named = |(name, short, value): (&str, Option<&str>, Value)| {
        let shown = if format == Format::Table { short? } else { name };
        Some((shown.to_owned(), value))
    };
    cells.into_iter().filter_map(named).collect()
}

/// The middle value, or between the two in the middle; none of nothing.
fn median(runs: &[Run], value: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
    let mut values: Vec<f64> = runs.iter().filter_map(value).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.get(values.len().saturating_sub(1) / 2)?, values.get(values.len() / 2)?);
    Some((low + high) / 2.0)
}

/// A number with so many digits after its point.
fn decimals(value: Option<f64>, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    match value.filter(|v| v.is_finite()).map(|v| (v * scale).round() / scale) {
        Some(whole) if digits == 0 => json!(whole as u64),
        other => json!(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::lane::Written;
    use super::*;

    fn runs(program: Program, seconds: [f64; 3], start: f64) -> Runs {
        let run = |seconds| Run { seconds, processor_seconds: Some(seconds), peak_bytes: Some(1_000_000), findings: 2 };
        Runs { program, full: seconds.map(run).to_vec(), empty: vec![run(start)] }
    }

    #[test]
    fn rates_are_of_medians_and_net_of_start_up() {
        let size = Written { events: 1_000, bytes: 4_000_000 };
        let programs = vec![
            runs(Program::Tarn(1), [2.0, 9.0, 1.0], 1.0),
            runs(Program::Tarn(2), [1.5, 1.5, 1.5], 1.0),
            runs(Program::Hunt(1), [1.2, 1.2, 1.2], 1.0),
        ];
        let rows = rows(&[Measured { lane: "l".into(), size, programs }], 3, Format::Json);
        let cell = |row: usize, name: &str| rows[row][name].clone();
        assert_eq!((cell(0, "seconds"), cell(0, "events_per_second")), (json!(2.0), json!(500)));
        assert_eq!((cell(0, "net_megabytes_per_second"), cell(0, "speed_up")), (json!(4.0), Value::Null));
        assert_eq!((cell(1, "speed_up"), cell(1, "net_speed_up")), (json!(1.33), json!(2.0)));
        assert_eq!((cell(1, "megabytes_per_second_per_core"), cell(1, "times_rsigma")), (json!(2.7), Value::Null));
        assert_eq!((cell(2, "program"), cell(2, "speed_up")), (json!(Program::Hunt(1).name()), Value::Null));
        assert!(rows[0].keys().eq(rows[1].keys()));
    }
}

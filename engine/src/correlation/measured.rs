//! What one match gives to be measured.

use std::borrow::Cow;
use tarn_rules::Number;
use tarn_rules::correlation::Measure;

/// Values of one match that count: beyond it, combinations of lists' elements do not.
pub const VALUES_MAX: usize = 10_000;

/// The texts of a field's value: of a list each element's, of what is absent none.
pub type Texts<'a> = Vec<&'a str>;

/// What is measured of a match.
pub enum Measured<'a> {
    /// That it is there.
    Presence,
    /// Distinct values.
    Values(Vec<Cow<'a, str>>),
    /// Numbers.
    Numbers(Vec<f64>),
}

impl<'a> Measured<'a> {
    /// Of the measured fields' values; none where they have no value that could be measured.
    pub fn new(measure: &Measure, fields: &[&[&'a str]]) -> Option<Self> {
        match measure {
            Measure::EventCount | Measure::Temporal | Measure::TemporalOrdered => Some(Self::Presence),
            Measure::ValueCount(_) => {
                let values = combine(fields);
                (!values.is_empty()).then_some(Self::Values(values))
            }
            Measure::ValueSum(_) | Measure::ValueAvg(_) | Measure::ValuePercentile(..) => {
                let texts = fields.iter().flat_map(|texts| texts.iter());
                let numbers = texts.filter_map(|t| Number::parse(t)).map(Number::as_f64);
                let numbers: Vec<f64> = numbers.take(VALUES_MAX).collect();
                (!numbers.is_empty()).then_some(Self::Numbers(numbers))
            }
        }
    }
}

/// The values that count as one: a field's own, of several fields each combination's. A match without one of them has
/// none.
fn combine<'a>(fields: &[&[&'a str]]) -> Vec<Cow<'a, str>> {
    let Some((first, more)) = fields.split_first() else { return Vec::new() };
    let mut combined: Vec<Cow<'a, str>> = first.iter().take(VALUES_MAX).map(|text| Cow::Borrowed(*text)).collect();
    for texts in more {
        let of = |a: &Cow<'a, str>| {
            let a = a.clone();
            texts.iter().map(move |b| Cow::Owned(format!("{a}\u{1f}{b}")))
        };
        combined = combined.iter().flat_map(of).take(VALUES_MAX).collect();
    }
    combined.sort_unstable();
    combined.dedup();
    combined
}

//! Dates: `date` and `modified`, ISO 8601 days since Sigma 2.

use super::{Check, Out, Run, Severity, Subject};
use chrono::NaiveDate;

pub const CHECKS: &[Check] = &[Check {
    name: "date",
    severity: Severity::Warning,
    about: "no date, a date that is no day (2026-11-27), or a change before it",
    run: Run::Each(dates),
}];

fn dates(subject: &Subject<'_>, out: &mut Out<'_>) {
    let content = &subject.document.content;
    if content.text("date").is_none() {
        let hint = "add `date:` with the day on which it was written";
        out.say_as(Severity::Note, subject, subject.line("title"), "there is no date", hint);
    }
    let mut day = |key: &str| {
        let text = content.text(key)?;
        let day = (text.len() == 10).then(|| NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok()).flatten();
        if day.is_none() {
            let slashed = NaiveDate::parse_from_str(&text, "%Y/%m/%d").ok();
            let hint = slashed.map_or_else(
                || "write a day as 2026-11-27".to_owned(),
                |day| format!("write `{key}: {day}`: Sigma 2 gave slashes up"),
            );
            out.say(subject, subject.line(key), format!("{text:?} is no day as Sigma writes it"), hint);
        }
        day
    };
    if let (Some(date), Some(modified)) = (day("date"), day("modified"))
        && modified < date
    {
        let message = format!("changed on {modified}, before it was written on {date}");
        out.say(subject, subject.line("modified"), message, "one of the two days is mistyped");
    }
}

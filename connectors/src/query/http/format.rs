//! The formats of an answer, and how a client says which it wants.

use serde::Deserialize;

/// How rows are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// One object: columns, rows, whether rows were cut off.
    Json,
    /// One object a line.
    Ndjson,
    /// RFC 4180, with a header.
    Csv,
    /// Arrow's IPC stream.
    Arrow,
}

impl Format {
    const ALL: [Self; 4] = [Self::Json, Self::Ndjson, Self::Csv, Self::Arrow];

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    fn essence(self) -> &'static str {
        self.media_type().split(';').next().unwrap_or_default()
    }

    /// The format that an `Accept` header prefers (RFC 9110 section 12.5.1): by its weight, then by its place.
    pub(super) fn accepted(accept: &str) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let weight = parts.find_map(|p| p.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
            let found = match name.as_str() {
                "*/*" | "application/*" => Some(Self::Json),
                "text/*" => Some(Self::Csv),
                "application/ndjson" | "application/jsonl" => Some(Self::Ndjson),
                name => Self::ALL.into_iter().find(|f| f.essence() == name),
            };
            if let (Some(format), Some(weight)) = (found, weight)
                && weight > best.map_or(0.0, |(weight, _)| weight)
            {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_preferred_is_chosen() {
        let chosen = Format::accepted;
        assert_eq!(chosen("*/*"), Some(Format::Json));
        assert_eq!(chosen("text/html, application/json;q=0.5, text/csv;q=0.9"), Some(Format::Csv));
        assert_eq!(chosen("Application/X-NDJSON"), Some(Format::Ndjson));
        assert_eq!(chosen("application/vnd.apache.arrow.stream, application/json"), Some(Format::Arrow));
        assert_eq!(chosen("text/csv;q=0"), None);
        assert_eq!(chosen("image/png"), None);
        assert_eq!(chosen(""), None);
    }
}

//! What no type says of values: least numbers, and what has to go together.

use super::Config;
use tarn_lake::upkeep::HOURS_MIN;

impl Config {
    pub(super) fn check(&self) -> Result<(), String> {
        let at_least = |key: &str, value: u64, least: u64| {
            if value < least { Err(format!("{key}: expected at least {least}, found {value}")) } else { Ok(()) }
        };
        at_least("log.segment_mib", self.log.segment_mib, 1)?;
        at_least("log.disk_mib", self.log.disk_mib, 2 * self.log.segment_mib)?;
        at_least("log.disk_mib", self.log.disk_mib, 2 * (self.frame_bytes_max() as u64 >> 20))?;
        at_least("commit.seconds", self.commit.seconds, 1)?;
        at_least("commit.mib", self.commit.mib as u64, 1)?;
        at_least("limits.body_mib", self.limits.body_mib as u64, 1)?;
        at_least("limits.decompressed_mib", self.limits.decompressed_mib as u64, self.limits.body_mib as u64)?;
        at_least("limits.connections", self.limits.connections as u64, 1)?;
        at_least("limits.frames_mib", self.limits.frames_mib as u64, self.limits.decompressed_mib as u64)?;
        at_least("upkeep.every_minutes", self.upkeep.every_minutes, 1)?;
        at_least("upkeep.target_mib", self.upkeep.target_mib, 1)?;
        at_least("upkeep.files_min", self.upkeep.files_min as u64, 2)?;
        // Writers and readers may be at younger files.
        at_least("upkeep.vacuum_hours", u64::from(self.upkeep.vacuum_hours), u64::from(HOURS_MIN))?;
        if let Some(traces) = &self.traces {
            let url = url::Url::parse(&traces.endpoint);
            if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
                return Err(format!("traces.endpoint: expected an http(s) URL, found {:?}", traces.endpoint));
            }
            if !(0.0..=1.0).contains(&traces.sample) {
                return Err(format!("traces.sample: expected 0 to 1, found {}", traces.sample));
            }
        }
        let named = |name: &&String| !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if let Some(name) = self.tail.keys().find(named) {
            return Err(format!("tail.{name}: expected a name of letters, digits, - and _"));
        }
        self.query.check().map_err(|error| error.to_string())?;
        let mut names: Vec<&str> = self.access.iter().map(|grant| grant.name.as_str()).collect();
        names.sort_unstable();
        for grant in &self.access {
            let zero = [
                ("ingest_mib_per_second", grant.ingest_mib_per_second == Some(0)),
                ("queries_max", grant.queries_max == Some(0)),
            ];
            if let Some((key, _)) = zero.iter().find(|(_, is_zero)| *is_zero) {
                return Err(format!("access.{}.{key}: expected at least 1", grant.name));
            }
        }
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("access: the name {:?} is given twice", pair[0])),
            None => Ok(()),
        }
    }
}

//! Findings as records: what rules and correlations found, written for the lake as any other event.

use crate::detection::Found;
use std::sync::Arc;
use tarn_connectors::findings;
use tarn_engine::Engine;
use tarn_engine::correlation::{Correlated, Revised};
use tarn_engine::finding::{Evidence, Findings};
use tarn_ingest::container::Block;
use tarn_rules::About;

/// A finding as it happens.
pub struct Alert<'a> {
    /// The rule or correlation.
    pub about: &'a About,
    /// The event's time, microseconds since 1970.
    pub event_time: Option<i64>,
}

/// Makes records of findings.
pub struct Writer {
    engine: Arc<Engine>,
    findings: Findings,
    made: Block,
    total: u64,
    line: Vec<u8>,
}

impl Writer {
    /// For an engine's rules.
    pub fn new(engine: Arc<Engine>) -> Self {
        let findings = Findings::new(Arc::clone(&engine));
        Self { engine, findings, made: Block::default(), total: 0, line: Vec::new() }
    }

    /// Adds what a rule found, `now`, microseconds since 1970.
    ///
    /// **Errors**: a finding that is no UTF-8, which would be a defect of ours.
    pub fn found(&mut self, found: &Found<'_>, now: i64) -> anyhow::Result<()> {
        let (identity, event) = (found.identity(now), found.block.json(found.record));
        let evidence = Evidence { event, identity, time_ms: now / 1000, file: None, record: found.record.number };
        self.findings.ocsf(found.rule, &evidence, &mut self.line)?;
        self.push()
    }

    /// Adds what correlations found, and tells `alert`.
    ///
    /// **Errors**: as [`Writer::found`].
    pub fn correlated(
        &mut self,
        found: &mut Vec<Correlated>,
        now: i64,
        alert: &mut impl FnMut(Alert<'_>),
    ) -> anyhow::Result<()> {
        let engine = self.engine.clone();
        for found in found.drain(..).filter(|c| engine.is_correlation_shown(c.correlation)) {
            self.findings.correlated_ocsf(&found, now / 1000, &mut self.line)?;
            self.push()?;
            let about = &engine.correlations()[found.correlation].about;
            alert(Alert { about, event_time: Some(found.last) });
        }
        Ok(())
    }

    /// The records that close findings which were told early and are revised, `now`, microseconds since 1970.
    ///
    /// **Errors**: a finding that is no JSON, which would be a defect of ours.
    pub fn revised(&self, revised: &[Revised], now: i64) -> anyhow::Result<Block> {
        let mut out = Block::default();
        for (Revised { found, by }, number) in revised.iter().zip(1..) {
            if self.engine.is_correlation_shown(found.correlation) {
                let mut line = Vec::new();
                self.findings.correlated_ocsf(found, now / 1000, &mut line)?;
                let uid = format!("{}-revised", found.uid(&self.engine));
                let record = findings::revised(serde_json::from_slice(&line)?, by.as_deref(), &uid, now / 1000);
                out.push(number, &serde_json::to_string(&record)?);
            }
        }
        Ok(out)
    }

    /// The line becomes a record.
    fn push(&mut self) -> anyhow::Result<()> {
        self.total += 1;
        self.made.push(self.total, std::str::from_utf8(&self.line)?.trim_end());
        self.line.clear();
        Ok(())
    }

    /// How many there were.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Bytes that were made since [`Writer::take`].
    pub fn bytes(&self) -> usize {
        self.made.json.len()
    }

    /// What was made since the last time.
    pub fn take(&mut self) -> Block {
        std::mem::take(&mut self.made)
    }
}

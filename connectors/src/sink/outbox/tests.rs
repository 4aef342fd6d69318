//! The outbox by a clock that tests set, without a network: what is due, when, and what becomes of it.
#![allow(clippy::unwrap_used, clippy::panic)]

mod changes;
mod copies;
mod gathering;
mod keeping;
mod property;

use super::*;
use crate::sink::message::Message;
use crate::sink::retry::Verdict;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};

/// An outbox, its folder and its clock.
struct Bench {
    folder: tempfile::TempDir,
    now: Arc<AtomicI64>,
    config: AlertsConfig,
    outbox: Option<Outbox>,
}

const START: i64 = 1_780_272_000_000;

fn sources() -> Arc<Sources> {
    static SOURCES: OnceLock<Arc<Sources>> = OnceLock::new();
    SOURCES.get_or_init(|| Arc::new(Sources::builtin().unwrap())).clone()
}

fn open(folder: &Path, now: &Arc<AtomicI64>, config: &AlertsConfig) -> Result<Outbox, OutboxError> {
    let clock = Arc::clone(now);
    let clock: Clock = Arc::new(move || clock.load(Ordering::Relaxed));
    let key = |_: &str| Some("0123456789abcdef0123456789abcdef".to_owned());
    Outbox::open(folder, config, &key, Outside { sources: sources(), clock, seed: 7, attesting: None })
}

fn finding(uid: &str, rule: &str, severity_id: u8, user: &str) -> String {
    format!(
        r#"{{"severity_id":{severity_id},"time":{START},"finding_info":{{"uid":"{uid}","analytic":{{"uid":"{rule}","name":"{rule}"}}}},
        "observables":[{{"name":"user.name","type_id":4,"value":"{user}"}}]}}"#
    )
}

impl Bench {
    fn new(config: &str) -> Self {
        let (folder, now) = (tempfile::tempdir().unwrap(), Arc::new(AtomicI64::new(START)));
        let config: AlertsConfig = toml::from_str(config).unwrap();
        let outbox = Some(open(folder.path(), &now, &config).unwrap());
        Self { folder, now, config, outbox }
    }

    fn outbox(&self) -> &Outbox {
        self.outbox.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.outbox = None;
        self.outbox = Some(open(self.folder.path(), &self.now, &self.config).unwrap());
    }

    /// What a power cut leaves: the file as it is, never closed.
    fn crash(&mut self) {
        let next = tempfile::tempdir().unwrap();
        let file = |folder: &Path| -> PathBuf { folder.join("outbox.redb") };
        std::fs::copy(file(self.folder.path()), file(next.path())).unwrap();
        self.outbox = None;
        self.folder = next;
        self.outbox = Some(open(self.folder.path(), &self.now, &self.config).unwrap());
    }

    fn advance(&self, ms: i64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    fn offer(&self, sequence: u64, findings: &[String]) {
        self.outbox().offer(sequence, findings).unwrap();
    }

    /// Fires the timers and gives what is due at a sink.
    fn due(&self, sink: &str) -> Vec<(u64, Message)> {
        let (outbox, plan) = (self.outbox(), self.outbox().plan());
        outbox.fire(plan.limits, outbox.now()).unwrap();
        outbox.claim(sink, &plan.sinks[sink].pace, 1_000, &BTreeSet::new(), outbox.now()).unwrap().due
    }

    fn settle(&self, sink: &str, tried: &[(u64, Verdict)]) {
        let (outbox, plan) = (self.outbox(), self.outbox().plan());
        outbox.settle(&plan.sinks[sink].pace, tried, outbox.now()).unwrap();
    }

    /// Delivers what is due: keys, uids of alerts, and how many were held back.
    fn deliver(&self, sink: &str) -> Vec<(String, Vec<String>, u64)> {
        let due = self.due(sink);
        let tried: Vec<_> = due.iter().map(|(id, _)| (*id, Verdict::Delivered)).collect();
        self.settle(sink, &tried);
        let uids = |message: &Message| message.alerts.iter().map(|told| told.alert.uid.clone()).collect();
        due.into_iter().map(|(_, message)| (message.key.clone(), uids(&message), message.held_back)).collect()
    }
}

fn one(key: &str, uids: &[&str], held_back: u64) -> (String, Vec<String>, u64) {
    (key.to_owned(), uids.iter().map(|uid| (*uid).to_owned()).collect(), held_back)
}

fn retry(after_ms: Option<u64>) -> Verdict {
    Verdict::Retry { reason: "HTTP 500".into(), after: after_ms.map(std::time::Duration::from_millis) }
}

//! What people and their machines do in one go: a Terraform run, a deployment, a backup, an operator at the cluster, a
//! developer's morning, an audit tool's round, what happens on Linux machines. It is much like what intruders do, and ordinary.
//!
//! Shapes are those of the vendors' documentation; people, addresses and accounts are invented.

mod backups;
mod developers;
mod monitoring;
mod operators;
mod pipeline;
mod servers;
mod terraform;

use super::cloudtrail::{Call, Caller, record};
use crate::day::{Event, Source};
use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

/// Makes a session that begins at a time.
type Session = fn(&mut Notes<'_>);

/// Sessions, and how many of each an hour has.
const SESSIONS: &[(Session, u32)] = &[
    (terraform::run, 2),
    (pipeline::deploy, 4),
    (backups::round, 1),
    (operators::at_the_cluster, 3),
    (operators::controllers, 2),
    (developers::morning, 4),
    (developers::own_keys, 1),
    (monitoring::round, 1),
    (servers::visit, 3),
    (servers::by_itself, 4),
    (servers::managed, 2),
    (servers::build, 2),
];

/// The events of all sessions that begin within some minutes, in no order. The last may end later.
pub fn sessions(from: DateTime<Utc>, minutes: u32, rng: &mut ChaCha8Rng) -> Vec<Event> {
    let mut events = Vec::new();
    for (session, an_hour) in SESSIONS {
        // Of a part of an hour, as many as it has; at least one in the whole.
        let count = (an_hour * minutes).div_ceil(60);
        for _ in 0..count {
            let at = from + TimeDelta::milliseconds(rng.random_range(0..i64::from(minutes.max(1)) * 60_000));
            session(&mut Notes { at, rng: &mut *rng, events: &mut events });
        }
    }
    events
}

/// What a session writes down, and when it is there.
struct Notes<'a> {
    at: DateTime<Utc>,
    rng: &'a mut ChaCha8Rng,
    events: &'a mut Vec<Event>,
}

impl Notes<'_> {
    /// Time goes on by some milliseconds, up to so many.
    fn pause(&mut self, up_to_ms: i64) {
        self.at += TimeDelta::milliseconds(self.rng.random_range(30..up_to_ms.max(31)));
    }

    /// A record as it is.
    fn write(&mut self, source: Source, value: &Value) {
        self.events.push(Event { source, time: self.at, json: value.to_string(), step: None });
    }

    /// A call to AWS, after a moment.
    fn call(&mut self, by: &Actor, call: Call<'_>) {
        self.pause(900);
        let caller = Caller { identity: by.identity.clone(), address: by.address.clone(), agent: "" };
        let mut value = record(self.at, caller, call, self.rng);
        value["userAgent"] = by.agent.as_str().into();
        self.write(Source::CloudTrail, &value);
    }

    /// Calls that only read.
    fn read(&mut self, by: &Actor, calls: &[(&str, &str, Value)]) {
        for (service, name, request) in calls {
            let request = request.clone();
            self.call(by, Call { service, name, request, response: Value::Null, error: None, read_only: true });
        }
    }

    /// Calls that change something.
    fn change(&mut self, by: &Actor, calls: &[(&str, &str, Value, Value)]) {
        for (service, name, request, response) in calls {
            let (request, response) = (request.clone(), response.clone());
            self.call(by, Call { service, name, request, response, error: None, read_only: false });
        }
    }
}

/// Who calls AWS.
struct Actor {
    identity: Value,
    address: String,
    agent: String,
}

impl Actor {
    /// A session of a role.
    fn role(role: &str, session: &str, address: &str, agent: &str) -> Self {
        use crate::company::ACCOUNT;
        let identity = json!({
            "type": "AssumedRole", "principalId": format!("AROAEXAMPLE{}:{session}", role.len()),
            "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{session}"), "accountId": ACCOUNT,
            "accessKeyId": "ASIAEXAMPLE90001",
            "sessionContext": {
                "sessionIssuer": {"type": "Role", "principalId": format!("AROAEXAMPLE{}", role.len()),
                    "arn": format!("arn:aws:iam::{ACCOUNT}:role/{role}"), "accountId": ACCOUNT, "userName": role},
                "attributes": {"creationDate": "2026-03-17T08:00:00Z", "mfaAuthenticated": "false"}
            }
        });
        Self { identity, address: address.to_owned(), agent: agent.to_owned() }
    }

    /// A service of AWS on its own account.
    fn service(name: &str) -> Self {
        let host = format!("{name}.amazonaws.com");
        let identity = json!({ "type": "AWSService", "invokedBy": host });
        Self { identity, address: host.clone(), agent: host }
    }
}

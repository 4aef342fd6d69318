//! Sessions: a challenge that is answered once, and what was attested by the answer.

use crate::evidence::{Attested, Platform, sha256};
use crate::jwe::Recipient;
use crate::reason::{Reason, Refusal};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What has been attested in a session.
pub(super) struct Workload {
    pub(super) attested: Attested,
    pub(super) recipient: Recipient,
}

enum State {
    /// The challenge is out.
    Challenged { nonce: String },
    /// An answer came, and did not pass or is being verified.
    Answered,
    /// The answer passed.
    Attested(Arc<Workload>),
}

struct Session {
    platform: Platform,
    expires_at: DateTime<Utc>,
    state: State,
}

/// All sessions, by the digest of their ids: what opens a session is kept nowhere.
pub(super) struct Sessions {
    inner: Mutex<Inner>,
    sessions_max: usize,
    lifetime: TimeDelta,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<[u8; 32], Session>,
    /// Tokens that stand for a session, by their digest.
    tokens: HashMap<[u8; 32], [u8; 32]>,
    /// Payloads of evidence that passed, until they are too old to pass again.
    seen: HashMap<[u8; 32], DateTime<Utc>>,
}

/// How a requester shows which session it means.
#[derive(Clone, Debug)]
pub(super) enum Ticket {
    /// The session's id, in a cookie.
    Cookie(String),
    /// The token that the session's attestation gave.
    Token(String),
}

fn invalid(detail: &str) -> Refusal {
    Refusal::new(Reason::SessionInvalid, detail)
}

impl Sessions {
    pub(super) fn new(sessions_max: usize, lifetime: TimeDelta) -> Self {
        Self { inner: Mutex::default(), sessions_max, lifetime }
    }

    fn with<T>(&self, run: impl FnOnce(&mut Inner) -> T) -> T {
        run(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens a session for a challenge; its time to live, in seconds.
    pub(super) fn open(&self, id: &str, platform: Platform, nonce: &str, now: DateTime<Utc>) -> Result<i64, Refusal> {
        self.with(|inner| {
            if inner.sessions.len() >= self.sessions_max {
                inner.expire(now);
            }
            if inner.sessions.len() >= self.sessions_max {
                let detail = format!("{} sessions are open, which is the most there may be", self.sessions_max);
                return Err(Refusal::new(Reason::LimitExceeded, detail));
            }
            let state = State::Challenged { nonce: nonce.to_owned() };
            inner.sessions.insert(sha256(id.as_bytes()), Session { platform, expires_at: now + self.lifetime, state });
            Ok(self.lifetime.num_seconds())
        })
    }

    /// The session's digest and the kind of its evidence, for records.
    pub(super) fn known(&self, ticket: Option<&Ticket>, now: DateTime<Utc>) -> Option<([u8; 32], Platform)> {
        self.with(|inner| {
            let digest = inner.digest(ticket?)?;
            let session = inner.sessions.get(&digest).filter(|session| session.expires_at > now)?;
            Some((digest, session.platform))
        })
    }

    /// Takes the challenge out of a session: whatever comes of the answer, there is no second one.
    pub(super) fn take_challenge(&self, session: [u8; 32], now: DateTime<Utc>) -> Result<String, Refusal> {
        self.with(|inner| {
            let session = inner.live(&session, now)?;
            match std::mem::replace(&mut session.state, State::Answered) {
                State::Challenged { nonce } => Ok(nonce),
                other => {
                    session.state = other;
                    Err(Refusal::new(Reason::NonceReplayed, "the session's challenge was answered before"))
                }
            }
        })
    }

    /// Notes the payload of evidence that passed. `until` is when it would be too old anyway.
    pub(super) fn note_payload(
        &self,
        payload: [u8; 32],
        until: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        self.with(|inner| {
            if inner.seen.len() >= self.sessions_max {
                inner.seen.retain(|_, until| *until > now);
            }
            if inner.seen.contains_key(&payload) {
                return Err(Refusal::new(Reason::NonceReplayed, "this evidence was presented before"));
            }
            // To forget one would let it pass again.
            if inner.seen.len() >= self.sessions_max {
                return Err(Refusal::new(Reason::LimitExceeded, "too much evidence at a time to tell replays"));
            }
            inner.seen.insert(payload, until);
            Ok(())
        })
    }

    /// Keeps what was attested.
    pub(super) fn attest(
        &self,
        session: [u8; 32],
        workload: Workload,
        token: &str,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        self.with(|inner| {
            inner.live(&session, now)?.state = State::Attested(Arc::new(workload));
            inner.tokens.insert(sha256(token.as_bytes()), session);
            Ok(())
        })
    }

    /// What was attested in a session.
    pub(super) fn workload(&self, session: [u8; 32], now: DateTime<Utc>) -> Result<Arc<Workload>, Refusal> {
        self.with(|inner| match &inner.live(&session, now)?.state {
            State::Attested(workload) => Ok(Arc::clone(workload)),
            State::Challenged { .. } | State::Answered => Err(invalid("nothing was attested in the session")),
        })
    }
}

impl Inner {
    fn digest(&self, ticket: &Ticket) -> Option<[u8; 32]> {
        match ticket {
            Ticket::Cookie(id) => Some(sha256(id.as_bytes())),
            Ticket::Token(token) => self.tokens.get(&sha256(token.as_bytes())).copied(),
        }
    }

    fn live(&mut self, session: &[u8; 32], now: DateTime<Utc>) -> Result<&mut Session, Refusal> {
        let session = self.sessions.get_mut(session).filter(|session| session.expires_at > now);
        session.ok_or_else(|| invalid("no such session, or it has ended"))
    }

    fn expire(&mut self, now: DateTime<Utc>) {
        self.sessions.retain(|_, session| session.expires_at > now);
        self.tokens.retain(|_, session| self.sessions.contains_key(session));
    }
}

//! Which workload may have which key: policies in Cedar, over what was attested.
//!
//! Policies are checked against the schema here when they are loaded, strictly, so a policy that asks for what may be absent
//! must say what then. At a request, an error in any policy refuses: Cedar itself would leave that policy out, and a
//! `forbid` left out permits.

use crate::evidence::{Assurance, Attested, sha256};
use crate::reason::{Reason, Refusal};
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, PolicySet, Request,
    RestrictedExpression, Schema, ValidationMode, Validator,
};
use chrono::{DateTime, SecondsFormat, Utc};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::str::FromStr;

/// Bytes of a policy text.
pub const POLICY_BYTES_MAX: usize = 256 << 10;

/// What a policy may ask for. `measurements` are texts such as `PCR0=hex`, `evidence` what passed for the image's digest.
pub const SCHEMA: &str = r#"
entity Repository;
entity Key in [Repository];
entity Workload;
action "release" appliesTo {
    principal: Workload,
    resource: Key,
    context: {
        platform: String,
        assurance: String,
        measurements: Set<String>,
        image?: String,
        image_name?: String,
        identity?: String,
        issuer?: String,
        hw_model?: String,
        version?: String,
        evidence: Set<String>,
        now: datetime,
        age_seconds?: Long,
    },
};
"#;

/// Whether keys may go to what is only simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hardware alone, whatever the policies say.
    Production,
    /// Simulated evidence is put to the policies as well: for tests and trials.
    Trial,
}

/// Policies that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// A text over the bounds.
    #[error("a policy of {0} bytes, at most {POLICY_BYTES_MAX} are read")]
    TooLarge(usize),
    /// The schema here, which a test reads.
    #[error("the schema: {0}")]
    Schema(String),
    /// No Cedar.
    #[error("no policy in Cedar: {0}")]
    Syntax(String),
    /// Cedar that does not fit the schema.
    #[error("the policies do not fit the schema: {0}")]
    Validation(String),
    /// A reason that is none of the list.
    #[error("{policy}: @reason({reason:?}) is none of the reasons that a policy may give: {}", allowed())]
    Reason {
        /// The policy.
        policy: String,
        /// What it says.
        reason: String,
    },
}

/// Reasons that a `forbid` may give by `@reason("…")`, by their captions.
const REASONS: &[Reason] = &[
    Reason::EvidenceMissing,
    Reason::DigestMismatch,
    Reason::IdentityMismatch,
    Reason::IssuerMismatch,
    Reason::DocumentExpired,
    Reason::MeasurementMissing,
    Reason::MeasurementMismatch,
    Reason::PlatformNotAllowed,
    Reason::PolicyDenied,
];

fn allowed() -> String {
    REASONS.iter().map(|reason| reason.caption()).collect::<Vec<_>>().join(", ")
}

/// A request for a key, as the policies see it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who asks.
    pub attested: &'a Attested,
    /// The key: repository, and its whole name.
    pub repository: &'a str,
    /// `repository/type/tag`.
    pub key: &'a str,
    /// The kinds of evidence that passed for the image's digest.
    pub evidence: &'a [String],
    /// The time. UTC.
    pub now: DateTime<Utc>,
}

/// Policies that fit the schema.
pub struct Policies {
    set: PolicySet,
    schema: Schema,
    /// Reasons of the policies that give one, in the order of the text.
    reasons: BTreeMap<usize, (PolicyId, Reason)>,
    mode: Mode,
    digest: [u8; 32],
}

impl Policies {
    /// Reads policies.
    ///
    /// **Errors**: a text over the bounds, no Cedar, what does not fit the schema, or a reason that is none of the list.
    pub fn new(text: &str, mode: Mode) -> Result<Self, PolicyError> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(PolicyError::TooLarge(text.len()));
        }
        let (schema, _) =
            Schema::from_cedarschema_str(SCHEMA).map_err(|error| PolicyError::Schema(error.to_string()))?;
        let set = PolicySet::from_str(text).map_err(|error| PolicyError::Syntax(error.to_string()))?;
        let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
        if let Some(error) = result.validation_errors().next() {
            return Err(PolicyError::Validation(error.to_string()));
        }
        let mut reasons = BTreeMap::new();
        for policy in set.policies() {
            let Some(caption) = policy.annotation("reason") else { continue };
            let Some(reason) = REASONS.iter().find(|reason| reason.caption() == caption) else {
                return Err(PolicyError::Reason { policy: policy.id().to_string(), reason: caption.to_owned() });
            };
            reasons.insert(place(policy.id()), (policy.id().clone(), *reason));
        }
        Ok(Self { set, schema, reasons, mode, digest: sha256(text.as_bytes()) })
    }

    /// SHA-256 of the text: it changes whenever the policies do.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Whether the policies permit it.
    ///
    /// **Errors**: the reason of the first `forbid` that applies; `Policy Denied` where none gives one or nothing permits;
    /// `Policy Error` where a policy could not be evaluated; `Simulated Evidence` in production.
    pub fn ask(&self, question: &Question<'_>) -> Result<(), Refusal> {
        if self.mode == Mode::Production && question.attested.claims().assurance != Assurance::Hardware {
            return Err(Refusal::new(Reason::SimulatedEvidence, "keys of production go to hardware alone"));
        }
        let failed = |error: String| Refusal::new(Reason::PolicyError, error);
        let (request, entities) = self.request(question).map_err(failed)?;
        let response = Authorizer::new().is_authorized(&request, &self.set, &entities);
        if let Some(error) = response.diagnostics().errors().next() {
            return Err(failed(error.to_string()));
        }
        if response.decision() == Decision::Allow {
            return Ok(());
        }
        let decisive: HashSet<&PolicyId> = response.diagnostics().reason().collect();
        if decisive.is_empty() {
            return Err(Refusal::new(Reason::PolicyDenied, "no policy permits this"));
        }
        let named = self.reasons.values().find(|(id, _)| decisive.contains(id));
        let reason = named.map_or(Reason::PolicyDenied, |(_, reason)| *reason);
        let mut ids: Vec<_> = decisive.iter().map(|id| id.to_string()).collect();
        ids.sort();
        Err(Refusal::new(reason, format!("forbidden by {}", ids.join(", "))))
    }

    fn request(&self, question: &Question<'_>) -> Result<(Request, Entities), String> {
        let claims = question.attested.claims();
        let workload = claims.uid.as_deref().unwrap_or("unnamed");
        let principal = uid("Workload", &format!("{}:{workload}", claims.platform.as_str()))?;
        let repository = uid("Repository", question.repository)?;
        let key = uid("Key", question.key)?;
        let action = uid("Action", "release")?;
        let context = Context::from_pairs(context(question)).map_err(|error| error.to_string())?;
        let entities = [
            Entity::new_no_attrs(principal.clone(), HashSet::new()),
            Entity::new_no_attrs(repository.clone(), HashSet::new()),
            Entity::new_no_attrs(key.clone(), HashSet::from([repository])),
        ];
        let entities = Entities::from_entities(entities, Some(&self.schema)).map_err(|error| error.to_string())?;
        let request =
            Request::new(principal, action, key, context, Some(&self.schema)).map_err(|error| error.to_string())?;
        Ok((request, entities))
    }
}

/// The policy's place in the text: Cedar names them `policy0`, `policy1` … as it reads them.
fn place(id: &PolicyId) -> usize {
    id.to_string().trim_start_matches("policy").parse().unwrap_or(usize::MAX)
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind = EntityTypeName::from_str(kind).map_err(|error| error.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn context(question: &Question<'_>) -> HashMap<String, RestrictedExpression> {
    let claims = question.attested.claims();
    let text = |text: &str| RestrictedExpression::new_string(text.to_owned());
    let measurement = |m: &crate::evidence::Measurement| text(&format!("{}={}", m.name, hex::encode(&m.value)));
    let mut context = HashMap::from([
        ("platform".to_owned(), text(claims.platform.as_str())),
        ("assurance".to_owned(), text(claims.assurance.as_str())),
        ("measurements".to_owned(), RestrictedExpression::new_set(claims.measurements.iter().map(measurement))),
        ("evidence".to_owned(), RestrictedExpression::new_set(question.evidence.iter().map(|kind| text(kind)))),
        (
            "now".to_owned(),
            RestrictedExpression::new_datetime(question.now.to_rfc3339_opts(SecondsFormat::Millis, true)),
        ),
    ]);
    let optional = [
        ("image", &claims.image_digest),
        ("image_name", &claims.image_name),
        ("identity", &claims.identity),
        ("issuer", &claims.issuer),
        ("hw_model", &claims.hw_model),
        ("version", &claims.version),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            context.insert(name.to_owned(), text(value));
        }
    }
    if let Some(issued_at) = claims.issued_at {
        let age = question.now.signed_duration_since(issued_at).num_seconds();
        context.insert("age_seconds".to_owned(), RestrictedExpression::new_long(age));
    }
    context
}

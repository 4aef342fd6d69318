//! Ids of events, made new for each run: the same record sent twice is two records, and what shared an id still does.

use regex::{Captures, Regex};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// Members that are ids of one request or event, whatever the record's `metadata.uid` is made of.
const MEMBERS: &str = r#""(eventID|requestID|sharedEventID|auditID|insertId|_document_id|activityId|requestId|x-amzn-RequestId)"\s*:\s*"([^"\\]{8,128})""#;

/// Makes ids of a run.
pub struct Fresh {
    run: Uuid,
    members: Regex,
}

impl Fresh {
    /// For a run.
    ///
    /// **Errors**: none; the expression is a constant, which a test compiles.
    pub fn new(run: Uuid) -> Result<Self, regex::Error> {
        Ok(Self { run, members: Regex::new(MEMBERS)? })
    }

    /// A record's text with fresh ids; `uid` is what its vendor identifies it by.
    pub fn apply(&self, text: &str, uid: Option<&str>) -> String {
        let renewed = self.members.replace_all(text, |c: &Captures<'_>| {
            let (whole, id) = (&c[0], &c[2]);
            format!("{}{}\"", &whole[..whole.len() - id.len() - 1], self.id(id))
        });
        // Members did that already for most.
        match uid {
            Some(uid) => renewed.replace(&format!("\"{uid}\""), &format!("\"{}\"", self.id(uid))),
            None => renewed.into_owned(),
        }
    }

    /// What stands for an id in this run: of the same form, and always the same.
    pub fn id(&self, old: &str) -> String {
        if Uuid::try_parse(old).is_ok() && old.len() == 36 {
            return Uuid::new_v5(&self.run, old.as_bytes()).to_string();
        }
        let digest = Sha256::new().chain_update(self.run.as_bytes()).chain_update(old).finalize();
        let bytes = digest.iter().cycle();
        let replace = |(c, byte): (char, &u8)| match c {
            '0'..='9' => char::from(b'0' + byte % 10),
            // Hexadecimal digits stay hexadecimal.
            'a'..='f' => char::from(b'a' + byte % 6),
            'A'..='F' => char::from(b'A' + byte % 6),
            'g'..='z' => char::from(b'g' + byte % 20),
            'G'..='Z' => char::from(b'G' + byte % 20),
            other => other,
        };
        old.chars().zip(bytes).map(replace).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ids_are_new_of_the_same_form_and_shared_where_they_were() {
        let fresh = Fresh::new(Uuid::from_u128(7)).unwrap();
        let text = r#"{"eventID":"3e5e616f-6499-4ed7-b519-e51e427fbcc6","requestID": "ABCDEF0123456789","user":"requestID","id":"vendor-77"}"#;
        let renewed = fresh.apply(text, Some("vendor-77"));
        assert_eq!(renewed.len(), text.len());
        assert!(
            !renewed.contains("3e5e616f") && !renewed.contains("ABCDEF0123456789") && !renewed.contains("vendor-77")
        );
        assert!(renewed.contains(r#""user":"requestID""#), "{renewed}");
        assert_eq!(renewed, fresh.apply(text, Some("vendor-77")));
        assert_ne!(renewed, Fresh::new(Uuid::from_u128(8)).unwrap().apply(text, Some("vendor-77")));
        let id = fresh.id("3e5e616f-6499-4ed7-b519-e51e427fbcc6");
        assert!(Uuid::try_parse(&id).is_ok() && renewed.contains(&id));
        // The uid is in a member that was renewed already.
        let once = fresh.apply(
            r#"{"eventID":"3e5e616f-6499-4ed7-b519-e51e427fbcc6"}"#,
            Some("3e5e616f-6499-4ed7-b519-e51e427fbcc6"),
        );
        assert!(once.contains(&id), "{once}");
    }
}

//! Policies: what does not fit is refused when it is loaded.

use tarn_enclave::policy::{Mode, POLICY_BYTES_MAX, Policies, PolicyError};

fn load(text: &str) -> Result<Policies, PolicyError> {
    Policies::new(text, Mode::Production)
}

#[test]
fn policies_that_fit_are_loaded() {
    let text = r#"
        permit (principal, action == Action::"release", resource in Repository::"models")
        when { context.assurance == "hardware" && context has image && context.image like "sha256:*"
            && context.now < datetime("2030-01-01") && context has age_seconds && context.age_seconds < 60 };
        @reason("Identity Mismatch")
        forbid (principal, action, resource) unless { context has identity && context.identity == "scorer" };
    "#;
    assert!(load(text).is_ok());
    assert_ne!(load(text).ok().unwrap().digest(), load("").ok().unwrap().digest());
}

#[test]
fn what_may_be_absent_must_be_asked_for() {
    let unguarded = r#"permit (principal, action, resource) when { context.image == "x" };"#;
    assert!(matches!(load(unguarded), Err(PolicyError::Validation(_))));
}

#[test]
fn policies_with_a_defect_are_refused() {
    assert!(matches!(load("permit (principal"), Err(PolicyError::Syntax(_))));
    let names = |text: &str| matches!(load(text), Err(PolicyError::Validation(_)));
    assert!(names(r#"permit (principal, action, resource) when { context.platfrom == "nitro" };"#));
    assert!(names(r#"permit (principal, action == Action::"relase", resource);"#));
    assert!(names(r#"permit (principal, action, resource == Kye::"a/b/c");"#));
    assert!(names(r#"permit (principal, action, resource) when { context.assurance == 1 };"#));
    let reason = r#"@reason("Because") forbid (principal, action, resource);"#;
    assert!(matches!(load(reason), Err(PolicyError::Reason { reason, .. }) if reason == "Because"));
    assert!(matches!(load(&" ".repeat(POLICY_BYTES_MAX + 1)), Err(PolicyError::TooLarge(_))));
}

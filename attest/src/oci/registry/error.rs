//! Why a registry was not read.

use reqwest::StatusCode;

/// Why a registry was not read. No message has a secret in it, nor an address to which the registry redirected, as that
/// may hold one.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No client can be made of what was given, such as certificates that cannot be read.
    #[error("the registry's client: {}", why(.0))]
    Client(reqwest::Error),
    /// A name of which no address can be made.
    #[error("{0:?}: expected a registry and a repository, as in registry.example/team/app:v1")]
    Name(String),
    /// Plain HTTP to another machine.
    #[error("{0}: plain HTTP is for a registry on this machine alone: localhost, 127.0.0.0/8 or [::1]")]
    Insecure(String),
    /// A registry that is not reached, or that stopped in the middle.
    #[error("{url}: {}", why(error))]
    Unreached {
        /// What was asked for.
        url: String,
        /// What is wrong.
        error: reqwest::Error,
    },
    /// Content that the registry named, and does not have.
    #[error("{0}: the registry has nothing there")]
    Absent(String),
    /// An answer that is none to the question.
    #[error("{url}: the registry answered {status}{}", said(code))]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The registry's own code for it.
        code: Option<String>,
    },
    /// The registry wants to know who asks, or says no to them.
    #[error("{url}: the registry refused {}: {status}{}", who(user), said(code))]
    Refused {
        /// What was asked for.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The registry's own code for it.
        code: Option<String>,
        /// Who asked; nobody without credentials.
        user: Option<String>,
    },
    /// A question of who asks that is not understood.
    #[error("{url}: expected a Bearer or Basic challenge in WWW-Authenticate, got {challenge:?}")]
    Challenge {
        /// What was asked for.
        url: String,
        /// The challenge, at most 160 characters of it.
        challenge: String,
    },
    /// A place that tokens are not fetched from.
    #[error("the registry's token realm {0:?}: expected an https address")]
    Realm(String),
    /// An answer without a token that a header can hold.
    #[error("{0:?}: expected a token in the answer")]
    Token(String),
    /// Credentials that no header can hold.
    #[error("the credentials have characters that no header can hold")]
    Header,
    /// A list of referrers that goes on at another place.
    #[error("{url}: the next page is {next:?}: expected one of the same registry")]
    Page {
        /// The page.
        url: String,
        /// The next one, at most 160 characters of it.
        next: String,
    },
}

fn who(user: &Option<String>) -> String {
    user.as_ref().map_or_else(|| "without credentials".to_owned(), |user| format!("the user {user:?}"))
}

fn said(code: &Option<String>) -> String {
    code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default()
}

/// The innermost cause, which says most.
fn why(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

//! What changes while the webhook runs: trust policies with the keys and roots that they name, who asks registries, the
//! certificate. Files are read every few seconds, and what is made of them is replaced as a whole where they changed. While
//! they cannot be read, what was read before stays in force, and that is told once.

use std::time::Duration;
use tarn_attest::Digest;

/// How soon a changed file counts.
pub(super) const PERIOD: Duration = Duration::from_secs(5);

/// Takes files where their digest is not the one given, or in any case; gives their digest.
type Take = Box<dyn FnMut(&Digest, bool) -> anyhow::Result<Digest> + Send>;

/// A thing in force that is made of files.
pub(super) struct Rotating {
    what: &'static str,
    take: Take,
    digest: Digest,
    problem: Option<String>,
}

impl Rotating {
    /// A thing that is in force by files of a digest, how they are read, and how what was read comes into force.
    pub(super) fn new<T>(
        what: &'static str,
        digest: Digest,
        mut read: impl FnMut() -> anyhow::Result<(Digest, T)> + Send + 'static,
        mut take: impl FnMut(T) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        let take = move |known: &Digest, anew| {
            let (digest, value) = read()?;
            if anew || digest != *known {
                take(value)?;
            }
            Ok(digest)
        };
        Self { what, take: Box::new(take), digest, problem: None }
    }

    /// Takes the files where they changed.
    pub(super) fn look(&mut self) {
        self.read(false);
    }

    /// Takes the files, changed or not.
    pub(super) fn reload(&mut self) {
        self.read(true);
    }

    fn read(&mut self, anew: bool) {
        let what = self.what;
        match (self.take)(&self.digest, anew) {
            Ok(digest) => {
                if self.problem.take().is_some() || anew || digest != self.digest {
                    tracing::info!("{what} were read again");
                }
                self.digest = digest;
            }
            Err(error) => {
                let error = format!("{error:#}");
                if anew || self.problem.as_ref() != Some(&error) {
                    tracing::warn!(error, "{what} cannot be read: what was read before stays in force");
                }
                self.problem = Some(error);
            }
        }
    }
}

/// What tells files from changed ones; one that is not there from an empty one.
pub(super) fn digest_of<'a>(files: impl IntoIterator<Item = Option<&'a [u8]>>) -> Digest {
    let part =
        |file: Option<&[u8]>| file.map_or(vec![0], |bytes| [&[1][..], Digest::sha256(bytes).as_bytes()].concat());
    Digest::sha256(&files.into_iter().flat_map(part).collect::<Vec<u8>>())
}

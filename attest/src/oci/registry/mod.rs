//! An image repository of a registry. Specification: OCI distribution 1.1, "Pull" and "Listing Referrers".
//!
//! What is asked: a tag's manifest, manifests and blobs by digest, and the referrers of a digest (of the list that is
//! tagged `sha256-<hex>` where the registry has no such question). Nothing is pushed, and bytes are bounded as they come in.
//!
//! It is not `oci-client` (looked at: 0.18.0, `src/client.rs`), where that cannot be had:
//!
//! * **Size**: `pull_manifest_raw`, `pull_referrers` and `auth` read an answer whole (`Response::bytes`, `text`), however large.
//!   `pull_blob` alone streams.
//! * **Redirects**: `ClientConfig` takes no policy and no HTTP client, so that reqwest's own follows ten, also to plain HTTP.
//! * **Tokens**: `auth` sends user and password to any realm that a challenge names, also by plain HTTP.
//! * **Referrers**: `pull_referrers` reads no `Link`, so one page; and where the registry has no list, any 4xx with an error
//!   code for the tagged one (denied, too many requests) is an empty list: no evidence, where it cannot be told.
//! * **Again**: nothing is asked again after 429 or 503.
//!
//! Its types would not make this shorter. `OciManifest` is untagged, and takes what has layers and manifests, or a key twice
//! (CVE-2021-41190). `Reference` (oci-spec 0.10.0) leaves the case of hosts, knows no address in brackets, and has its digest
//! as text. It would bring reqwest 0.13 beside the 0.12 that is here.

pub mod challenge;
mod credentials;
mod error;
mod http;

pub use credentials::{Credentials, CredentialsError};
pub use error::RegistryError;
pub use http::Access;

use super::attached::Found;
use super::error::OciError;
use super::manifest::{MANIFEST, Manifest};
use super::repository::{COSIGN_SUFFIXES, Candidate, Repository, fallback_tag, within};
use crate::admission::Reference;
use crate::digest::{Algorithm, Digest};
use async_trait::async_trait;
use http::{Answer, Http};
use reqwest::Url;
use reqwest::header::{CONTENT_TYPE, LINK};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// What is read as a manifest or an index.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
/// Pages of one list of referrers.
const PAGES_MAX: usize = 32;

/// A repository of a registry.
pub struct Registry {
    http: Http,
    /// With a slash at its end.
    base: Url,
    reference: Reference,
}

impl Registry {
    /// The repository of an image's reference. Nothing is asked yet.
    ///
    /// **Errors**: a name that is none of a registry, plain HTTP to another machine, certificates that cannot be read.
    pub fn new(reference: Reference, access: Access) -> Result<Self, RegistryError> {
        let name = || RegistryError::Name(reference.name.chars().take(160).collect());
        let (host, path) = reference.name.split_once('/').ok_or_else(name)?;
        // Docker's registry answers under another name than its images have.
        let host = if host == "docker.io" { "registry-1.docker.io" } else { host };
        let scheme = if access.insecure_http { "http" } else { "https" };
        let base = Url::parse(&format!("{scheme}://{host}/v2/{path}/")).map_err(|_| name())?;
        if !http::is_allowed(&base, access.insecure_http) {
            return Err(RegistryError::Insecure(host.to_owned()));
        }
        Ok(Self { http: Http::new(path, access)?, base, reference })
    }

    /// The registry of a reference, as credentials are kept by it: `registry.example:5000`.
    pub fn host(reference: &Reference) -> &str {
        reference.name.split_once('/').map_or(reference.name.as_str(), |(host, _)| host)
    }

    fn url(&self, kind: &str, name: &str) -> Result<Url, RegistryError> {
        // Tags and digests have no characters that mean anything in an address.
        self.base.join(&format!("{kind}/{name}")).map_err(|_| RegistryError::Name(name.chars().take(160).collect()))
    }

    /// The digest of what has a tag: that of the bytes, whatever the registry says.
    async fn tagged(&self, tag: &str) -> Result<Option<(Digest, Vec<u8>)>, OciError> {
        let url = self.url("manifests", tag)?;
        let Some(answer) = self.http.get(&url, MANIFESTS, MANIFEST.bytes_max as u64).await? else { return Ok(None) };
        let got = Digest::sha256(&answer.bytes);
        match header(&answer, "docker-content-digest").and_then(|digest| digest.parse::<Digest>().ok()) {
            Some(expected) if expected.algorithm() == Algorithm::Sha256 && expected != got => {
                Err(OciError::Changed { expected, got })
            }
            _ => Ok(Some((got, answer.bytes))),
        }
    }

    async fn content(&self, kind: &str, digest: &Digest, accept: &str, max: u64) -> Result<Vec<u8>, OciError> {
        let url = self.url(kind, &digest.to_string())?;
        let answer = self.http.get(&url, accept, max).await?;
        Ok(answer.ok_or_else(|| RegistryError::Absent(url.to_string()))?.bytes)
    }

    /// The referrers of an image, as the registry lists them; `None` where it cannot.
    async fn referrers(&self, image: &Digest) -> Result<Option<Vec<Candidate>>, OciError> {
        let mut url = self.url("referrers", &image.to_string())?;
        let mut candidates = Vec::new();
        for page in 0..PAGES_MAX {
            let answer = self.http.get(&url, INDEX, MANIFEST.bytes_max as u64).await?;
            // Some answer with a page of their own, which is no list.
            let is_list = |answer: &Answer| {
                let kind = header(answer, CONTENT_TYPE.as_str()).unwrap_or_default();
                kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(INDEX))
            };
            let Some(answer) = answer.filter(is_list) else {
                return if page == 0 { Ok(None) } else { Err(RegistryError::Absent(url.to_string()).into()) };
            };
            candidates.extend(listed(url.as_str(), &answer.bytes)?);
            within(url.as_str(), candidates.len())?;
            match header(&answer, LINK.as_str()).and_then(next_page) {
                Some(next) => url = self.page(&url, next)?,
                None => return Ok(Some(candidates)),
            }
        }
        Err(OciError::TooMuch { what: url.to_string(), max: PAGES_MAX as u64, unit: "pages" })
    }

    /// The next page's address, which is told who asks: one of the same registry.
    fn page(&self, url: &Url, next: &str) -> Result<Url, RegistryError> {
        let same = |page: &Url| page.origin() == self.base.origin() && page.path().starts_with(self.base.path());
        let refused = || RegistryError::Page { url: url.to_string(), next: next.chars().take(160).collect() };
        url.join(next).ok().filter(same).ok_or_else(refused)
    }
}

#[async_trait]
impl Repository for Registry {
    async fn resolve(&self, name: Option<&str>) -> Result<Digest, OciError> {
        let name = match (name, &self.reference) {
            (Some(name), _) => name,
            // Runtimes do not look at a tag beside a digest.
            (None, Reference { digest: Some(digest), .. }) => return Ok(digest.clone()),
            (None, Reference { tag, .. }) => tag.as_deref().unwrap_or("latest"),
        };
        if let Ok(digest) = name.parse() {
            return Ok(digest);
        }
        // Anything else than a tag would be another address.
        let read = Reference::read(&format!("{}:{name}", self.reference.name));
        let tag = read.ok().and_then(|read| read.tag).filter(|tag| tag == name);
        let absent = || OciError::Absent(name.chars().take(160).collect());
        let tagged = self.tagged(&tag.ok_or_else(absent)?).await?;
        Ok(tagged.ok_or_else(absent)?.0)
    }

    async fn manifest(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, OciError> {
        self.content("manifests", digest, MANIFESTS, bytes_max).await
    }

    async fn blob(&self, digest: &Digest, bytes_max: u64) -> Result<Vec<u8>, OciError> {
        self.content("blobs", digest, "*/*", bytes_max).await
    }

    async fn candidates(&self, image: &Digest) -> Result<Vec<Candidate>, OciError> {
        let base = fallback_tag(image);
        let mut candidates = match self.referrers(image).await? {
            Some(candidates) => candidates,
            None => match self.tagged(&base).await? {
                Some((_, bytes)) => listed(&base, &bytes)?,
                None => Vec::new(),
            },
        };
        for suffix in COSIGN_SUFFIXES {
            if let Some((digest, _)) = self.tagged(&format!("{base}{suffix}")).await? {
                candidates.push(Candidate { digest, size: None, found: Found::Tag });
            }
        }
        Ok(candidates)
    }
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name)?.to_str().ok()
}

/// The manifests of a list.
fn listed(what: &str, bytes: &[u8]) -> Result<Vec<Candidate>, OciError> {
    let list = Manifest::read(what, bytes)?;
    within(what, list.manifests().len())?;
    let candidates = list.manifests().iter().map(|listed| Candidate {
        digest: listed.digest.clone(),
        size: Some(listed.size),
        found: Found::Referrer,
    });
    Ok(candidates.collect())
}

/// Where a list goes on: the target of a `Link` whose relation is `next` (RFC 8288).
fn next_page(link: &str) -> Option<&str> {
    // No address has this sign in it.
    link.split('<').find_map(|link| {
        let (target, params) = link.split_once('>')?;
        let is_next = |param: &str| {
            let (name, value) = param.split_once('=').unwrap_or_default();
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel") && value.eq_ignore_ascii_case("next")
        };
        params.split(';').any(is_next).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::next_page;

    #[test]
    fn a_list_goes_on_where_a_link_says_next() {
        for (link, expected) in [
            (r#"</v2/a/referrers/d?last=x,y>; rel="next""#, Some("/v2/a/referrers/d?last=x,y")),
            (r#"<first>; rel="prev", <second>; title="a"; rel=next"#, Some("second")),
            (r#"<first>; rel="next", <second>; rel="last""#, Some("first")),
            (r#"<first>; rel="prev""#, None),
            ("<first", None),
            ("", None),
        ] {
            assert_eq!(next_page(link), expected, "{link}");
        }
    }
}

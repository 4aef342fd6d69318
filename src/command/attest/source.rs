//! Where an image is, and what is attached to it there: a layout on disk or a registry.

use crate::command::named_file::{NamedFile, SMALL_BYTES_MAX};
use crate::command::{Usage, block_on};
use crate::config;
use clap::Args as ClapArgs;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tarn_attest::admission::Reference;
use tarn_attest::oci::registry::{Access, Credentials, Registry};
use tarn_attest::oci::{self, Attached, Layout, Repository};
use tarn_attest::ocsf::{ArtifactType, Named};
use tarn_attest::{Digest, Policies, TrustPolicy};

/// Where an image is.
#[derive(ClapArgs)]
pub(super) struct ImageArgs {
    /// An OCI image layout: an image in it, and what is attached to it there
    #[arg(long, value_name = "FOLDER")]
    layout: Option<PathBuf>,
    /// An image of a registry, and what is attached to it there: REGISTRY/REPOSITORY[:TAG|@DIGEST]; credentials are
    /// TARN_REGISTRY_USER and TARN_REGISTRY_PASSWORD, or Docker's
    #[arg(long, value_name = "REFERENCE", conflicts_with = "layout")]
    image: Option<String>,
    /// Ask the registry by plain HTTP, on this machine alone
    #[arg(long, requires = "image")]
    insecure_http: bool,
    /// Certificates in PEM that the registry's may chain to, beside the usual ones
    #[arg(long, value_name = "FILE", requires = "image")]
    registry_ca: Option<PathBuf>,
    /// How many seconds all questions to the registry may take
    #[arg(long, value_name = "SECONDS", requires = "image", default_value_t = 120)]
    registry_timeout: u64,
}

/// An image, and what is attached to it.
pub(super) struct Image {
    pub(super) digest: Digest,
    pub(super) attached: Vec<Attached>,
    /// The image, as records name it.
    pub(super) named: Named,
    /// What manifests are named by: this and their digest.
    manifests: String,
}

impl Image {
    /// Where a manifest is.
    pub(super) fn manifest(&self, digest: &Digest) -> String {
        format!("{}{digest}", self.manifests)
    }
}

impl ImageArgs {
    /// Whether there is an image.
    pub(super) fn is_given(&self) -> bool {
        self.layout.is_some() || self.image.is_some()
    }

    /// The policy of a name, else the first one for the image in the registry, else the only one.
    ///
    /// **Errors**: [`Usage`], which says which there are.
    pub(super) fn policy<'a>(&self, policies: &'a Policies, name: Option<&str>) -> anyhow::Result<&'a TrustPolicy> {
        if let (None, Some(image)) = (name, &self.image)
            && let Some(policy) = policies.of_image(&reference(image)?.to_string())
        {
            return Ok(policy);
        }
        super::choose(policies, name)
    }

    /// Finds the image, says which it is, and reads what is attached to it. In a layout a name says which image: a digest,
    /// a tag, or nothing for the only one.
    ///
    /// **Errors**: [`Usage`] for what is no image; what is not reached, or is not what its digest says.
    pub(super) fn read(&self, name: Option<&str>) -> anyhow::Result<Image> {
        match (&self.layout, &self.image) {
            (Some(folder), _) => self.of_layout(folder, name),
            (None, Some(image)) => self.of_registry(&reference(image)?, name),
            (None, None) => Err(Usage("expected --layout or --image".into()).into()),
        }
    }

    fn of_layout(&self, folder: &Path, name: Option<&str>) -> anyhow::Result<Image> {
        let layout = Layout::open(folder)
            .map_err(|e| Usage(format!("--layout: {:#}; expected an OCI image layout", anyhow::Error::from(e))))?;
        let (digest, attached) = block_on(read(&layout, name))??;
        let folder = folder.display();
        let named = named(digest.clone(), None, folder.to_string());
        Ok(Image { digest, attached, named, manifests: format!("{folder}@") })
    }

    fn of_registry(&self, reference: &Reference, name: Option<&str>) -> anyhow::Result<Image> {
        if let Some(name) = name {
            return Err(Usage(format!("{name}: --image names the image already")).into());
        }
        let credentials = match of_environment()? {
            Some(given) => Some(given),
            None => Docker::find()?.map(|docker| docker.credentials(Registry::host(reference))).transpose()?.flatten(),
        };
        let access = Access {
            credentials,
            insecure_http: self.insecure_http,
            authorities: registry_ca(self.registry_ca.as_deref())?,
        };
        let registry = Registry::new(reference.clone(), access).map_err(|e| Usage(format!("--image: {e}")))?;
        let patience = Duration::from_secs(self.registry_timeout);
        let read = block_on(async { tokio::time::timeout(patience, read(&registry, None)).await })?;
        let late = |_| anyhow::anyhow!("{reference}: not read within {} s (--registry-timeout)", patience.as_secs());
        let (digest, attached) = read.map_err(late)?.map_err(|e| e.context(reference.to_string()))?;
        let exact = format!("{}@{digest}", reference.name);
        if reference.digest.is_none() {
            eprintln!("resolved: {reference} is {exact}");
        }
        let named = named(digest.clone(), Some(reference.name.clone()), exact);
        Ok(Image { digest, attached, named, manifests: format!("{}@", reference.name) })
    }
}

async fn read(repository: &dyn Repository, name: Option<&str>) -> anyhow::Result<(Digest, Vec<Attached>)> {
    let image = oci::image(repository, name).await?;
    let attached = oci::attached(repository, &image).await?;
    Ok((image, attached))
}

fn named(digest: Digest, name: Option<String>, uri: String) -> Named {
    Named { digest: Some(digest), name, uri: Some(uri), kind: ArtifactType::ContainerImage }
}

fn reference(text: &str) -> anyhow::Result<Reference> {
    Reference::read(text).map_err(|e| Usage(format!("--image: {e}")).into())
}

/// Whom the environment names to ask the only registry.
///
/// **Errors**: [`Usage`] for half of a pair.
pub(super) fn of_environment() -> anyhow::Result<Option<Credentials>> {
    match config::registry_user() {
        (Some(user), Some(password)) => Ok(Some(Credentials::new(user, password))),
        (None, None) => Ok(None),
        _ => Err(Usage("expected both TARN_REGISTRY_USER and TARN_REGISTRY_PASSWORD, or neither".into()).into()),
    }
}

/// Docker's configuration file.
pub(super) struct Docker {
    path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Docker {
    /// The file, where there is one.
    ///
    /// **Errors**: [`Usage`] for one that cannot be read.
    pub(super) fn find() -> anyhow::Result<Option<Self>> {
        let Some(path) = config::docker_config().filter(|path| path.is_file()) else { return Ok(None) };
        Ok(Some(Self { bytes: NamedFile::argument(&path).bytes(SMALL_BYTES_MAX)?, path }))
    }

    /// Whom it names to ask a registry.
    ///
    /// **Errors**: [`Usage`] for credentials that cannot be read.
    pub(super) fn credentials(&self, registry: &str) -> anyhow::Result<Option<Credentials>> {
        let other = "TARN_REGISTRY_USER and TARN_REGISTRY_PASSWORD go before it";
        let found = Credentials::of_docker(&self.bytes, registry);
        found.map_err(|e| Usage(format!("{}: {e}; {other}", self.path.display())).into())
    }
}

/// The certificates of `--registry-ca`.
///
/// **Errors**: [`Usage`] when they cannot be read.
pub(super) fn registry_ca(path: Option<&Path>) -> Result<Option<Vec<u8>>, Usage> {
    path.map(|path| NamedFile::by("--registry-ca", path).bytes(SMALL_BYTES_MAX)).transpose()
}

//! Where the webhook's evidence comes from, and who asks for it.

use super::super::source::{Docker, of_environment, registry_ca};
use super::rotation::{Rotating, digest_of};
use crate::command::Usage;
use clap::{ArgGroup, Args as ClapArgs};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use tarn_attest::Digest;
use tarn_attest::admission::{Layouts, Reference, Registries, Source};
use tarn_attest::oci::registry::{Access, Registry};

/// Where evidence is.
#[derive(ClapArgs, Clone)]
#[command(group(ArgGroup::new("evidence").required(true).args(["layout", "registry"])))]
pub(super) struct SourceArgs {
    /// An OCI image layout, or a folder with one for each repository, at REGISTRY/REPOSITORY
    #[arg(long, value_name = "FOLDER")]
    layout: Option<PathBuf>,
    /// A registry that is asked, as images name it (registry.example:5000); repeat it for more. Credentials are Docker's, or
    /// those of TARN_REGISTRY_USER and TARN_REGISTRY_PASSWORD where there is one registry
    #[arg(long, value_name = "HOST")]
    registry: Vec<String>,
    /// Ask registries by plain HTTP, on this machine alone
    #[arg(long, requires = "registry")]
    insecure_http: bool,
    /// Certificates in PEM that registries' may chain to, beside the usual ones
    #[arg(long, value_name = "FILE", requires = "registry")]
    registry_ca: Option<PathBuf>,
}

/// How registries are asked.
struct Asked {
    digest: Digest,
    by_host: HashMap<String, Access>,
    /// Whether that is by Docker's configuration.
    docker: bool,
}

impl SourceArgs {
    /// Opens it. Registries are asked by whom Docker's configuration names now, as it changes.
    ///
    /// **Errors**: [`Usage`] for what cannot be read, or is no registry.
    pub(super) fn open(&self) -> anyhow::Result<(Arc<dyn Source>, Option<Rotating>)> {
        if let Some(folder) = &self.layout {
            let layouts = Layouts::open(folder).map_err(|e| Usage(format!("--layout: {e}")))?;
            return Ok((Arc::new(layouts), None));
        }
        let Asked { digest, by_host, mut docker } = self.asked()?;
        let registries = Arc::new(Registries::new(by_host));
        let (arguments, replaced) = (self.clone(), registries.clone());
        let read = move || {
            let asked = arguments.asked()?;
            // While it is replaced, it may not be there for a moment: nobody becomes anonymous by that.
            anyhow::ensure!(asked.docker || !docker, "Docker's configuration has gone");
            docker = asked.docker;
            Ok((asked.digest, asked.by_host))
        };
        let rotating = Rotating::new("credentials of registries", digest, read, move |by_host| {
            replaced.replace(by_host);
            Ok(())
        });
        Ok((registries, Some(rotating)))
    }

    fn asked(&self) -> anyhow::Result<Asked> {
        let authorities = registry_ca(self.registry_ca.as_deref())?;
        // The environment says no registry, and one's credentials are not for another.
        let given = if self.registry.len() == 1 { of_environment()? } else { None };
        let docker = if given.is_none() { Docker::find()? } else { None };
        let mut by_host = HashMap::new();
        for host in &self.registry {
            let wrong = |why: &dyn std::fmt::Display| Usage(format!("--registry {host}: {why}"));
            let reference = Reference::read(&format!("{host}/any")).map_err(|e| wrong(&e))?;
            if Registry::host(&reference) != host {
                return Err(wrong(&"expected a host as images name it, such as registry.example:5000").into());
            }
            let credentials = match (&given, &docker) {
                (Some(given), _) => Some(given.clone()),
                (None, Some(docker)) => docker.credentials(host)?,
                (None, None) => None,
            };
            let access = Access { credentials, insecure_http: self.insecure_http, authorities: authorities.clone() };
            // What is wrong with it is said now, and not to the first workload.
            Registry::new(reference, access.clone()).map_err(|e| wrong(&e))?;
            by_host.insert(host.clone(), access);
        }
        let digest = digest_of([docker.as_ref().map(|docker| docker.bytes.as_slice()), authorities.as_deref()]);
        Ok(Asked { digest, by_host, docker: docker.is_some() })
    }
}

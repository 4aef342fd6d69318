//! The API server's question, and the images that the workload in it runs.

use super::reference::{Reference, ReferenceError};
use crate::json::{self, JsonError, Limits};
use serde::Deserialize;
use serde_json::Value;

/// An object in the API server has at most 1.5 MiB; a review has it twice on updates, and some more.
const REVIEW: Limits = Limits { bytes_max: 4 << 20, depth_max: 64, values_max: 400_000 };
/// Images of one workload.
const IMAGES_MAX: usize = 256;
/// Characters of names that go into answers and records.
const NAME_CHARS_MAX: usize = 253;
/// Groups of who asks that go into records.
const GROUPS_MAX: usize = 64;

/// A question of the API server.
#[derive(Clone, Debug)]
pub struct Review {
    /// Its id, which the answer repeats.
    pub uid: String,
    /// `CREATE` or `UPDATE`.
    pub operation: String,
    /// The workload's kind, such as `Deployment`.
    pub kind: String,
    /// The kind's name in the API, such as `deployments`.
    pub resource: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name, or what its name is made of.
    pub name: String,
    /// Its uid, where it has one already.
    pub object_uid: String,
    /// Who asks for it.
    pub user: String,
    /// The groups that who asks is in, the first ones.
    pub groups: Vec<String>,
    /// Whether it is only tried: nothing of it will run.
    pub dry_run: bool,
    /// The images that it runs, in the order of the object; or why that cannot be told.
    pub images: Result<Vec<Used>, WorkloadError>,
}

/// An image that a workload runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The container's or volume's name.
    pub by: String,
    /// The image, as the workload names it.
    pub image: String,
    /// The same, read.
    pub reference: Result<Reference, ReferenceError>,
}

/// What is no question, to which there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// Not of a review's shape.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// Another version, or something else.
    #[error("expected an AdmissionReview of admission.k8s.io/v1, got {kind:?} of {version:?}")]
    Version {
        /// The version.
        version: String,
        /// The kind.
        kind: String,
    },
    /// An id that cannot be repeated.
    #[error("expected a uid of 1 to {NAME_CHARS_MAX} characters, got {0}")]
    Uid(usize),
}

/// Why a workload's images cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// Something that is not created or updated.
    #[error("expected CREATE or UPDATE, got {0:?}")]
    Operation(String),
    /// A kind whose images are not known here.
    #[error("the images of the kind {0:?} are not known")]
    Kind(String),
    /// An object that is not of its kind.
    #[error("the object is no {kind}: {why}")]
    Object {
        /// Its kind.
        kind: String,
        /// What is wrong with it.
        why: String,
    },
    /// More images than are looked at.
    #[error("{0} images, at most {IMAGES_MAX} are looked at")]
    TooMany(usize),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    api_version: String,
    kind: String,
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: Kind,
    #[serde(default)]
    resource: Resource,
    operation: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    user_info: User,
    dry_run: Option<bool>,
    #[serde(default)]
    object: Value,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    kind: String,
}

#[derive(Default, Deserialize)]
struct Resource {
    #[serde(default)]
    resource: String,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
    groups: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodSpec {
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    ephemeral_containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    name: String,
    #[serde(default)]
    image: String,
}

/// A volume; one kind of them is an image's files.
#[derive(Deserialize)]
struct Volume {
    #[serde(default)]
    name: String,
    image: Option<VolumeImage>,
}

#[derive(Deserialize)]
struct VolumeImage {
    #[serde(default)]
    reference: String,
}

impl Review {
    /// Reads a question.
    ///
    /// **Errors**: what is none. A question about something that is not known here is one, and its images say so.
    pub fn read(bytes: &[u8]) -> Result<Self, ReviewError> {
        let Wire { api_version, kind, request } = json::read(bytes, REVIEW)?;
        if api_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
            return Err(ReviewError::Version { version: short(&api_version), kind: short(&kind) });
        }
        if request.uid.is_empty() || request.uid.len() > NAME_CHARS_MAX {
            return Err(ReviewError::Uid(request.uid.len()));
        }
        let images = images(&request);
        let of_object = |name| request.object.pointer(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        // A name that was made of `generateName` is in the object alone.
        let asked = Some(request.name.as_str()).filter(|name| !name.is_empty());
        let name = asked.or_else(|| of_object("/metadata/name")).or_else(|| of_object("/metadata/generateName"));
        Ok(Self {
            operation: short(&request.operation),
            kind: short(&request.kind.kind),
            resource: short(&request.resource.resource),
            namespace: short(&request.namespace),
            name: short(name.unwrap_or_default()),
            object_uid: short(of_object("/metadata/uid").unwrap_or_default()),
            user: short(&request.user_info.username),
            groups: request.user_info.groups.iter().flatten().take(GROUPS_MAX).map(|group| short(group)).collect(),
            dry_run: request.dry_run.unwrap_or(false),
            uid: request.uid,
            images,
        })
    }
}

fn images(request: &Request) -> Result<Vec<Used>, WorkloadError> {
    if !matches!(request.operation.as_str(), "CREATE" | "UPDATE") {
        return Err(WorkloadError::Operation(short(&request.operation)));
    }
    let path = match (request.kind.group.as_str(), request.kind.kind.as_str()) {
        ("", "Pod") => "/spec",
        ("", "PodTemplate") => "/template/spec",
        ("", "ReplicationController")
        | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
        | ("batch", "Job") => "/spec/template/spec",
        ("batch", "CronJob") => "/spec/jobTemplate/spec/template/spec",
        (_, kind) => return Err(WorkloadError::Kind(short(kind))),
    };
    let wrong = |why: String| WorkloadError::Object { kind: short(&request.kind.kind), why };
    let spec = request.object.pointer(path).ok_or_else(|| wrong(format!("it has no {path}")))?;
    let spec = PodSpec::deserialize(spec).map_err(|e| wrong(e.to_string()))?;
    let containers = [spec.init_containers, spec.containers, spec.ephemeral_containers];
    let containers = containers.into_iter().flatten().flatten().map(|c| (c.name, c.image));
    let volumes = spec.volumes.into_iter().flatten().filter_map(|v| v.image.map(|image| (v.name, image.reference)));
    let used: Vec<Used> = containers.chain(volumes).map(|(by, image)| Used::new(&by, &image)).collect();
    match used.len() {
        0 => Err(wrong("it has no containers".into())),
        n if n > IMAGES_MAX => Err(WorkloadError::TooMany(n)),
        _ => Ok(used),
    }
}

impl Used {
    fn new(by: &str, image: &str) -> Self {
        Self { by: short(by), image: image.chars().take(1024).collect(), reference: Reference::read(image) }
    }
}

fn short(text: &str) -> String {
    text.chars().take(NAME_CHARS_MAX).collect()
}

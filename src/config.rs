//! The environment, which nothing else reads.

/// Options of object stores that the environment gives, under their names there.
pub fn store_options() -> impl Iterator<Item = (String, String)> {
    const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];
    let text = |(k, v): (std::ffi::OsString, std::ffi::OsString)| Some((k.into_string().ok()?, v.into_string().ok()?));
    std::env::vars_os().filter_map(text).filter(|(key, _)| PREFIXES.iter().any(|p| key.starts_with(p)))
}

/// Variables that configure the daemon.
pub fn serve_variables() -> impl Iterator<Item = (String, String)> {
    let text = |(k, v): (std::ffi::OsString, std::ffi::OsString)| Some((k.into_string().ok()?, v.into_string().ok()?));
    std::env::vars_os().filter_map(text).filter(|(key, _)| key.starts_with("TARN_SERVE__"))
}

/// A variable that a configuration refers to for a secret.
pub fn secret(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The user and the password for the registry that a command names.
pub fn registry_user() -> (Option<String>, Option<String>) {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    (set("TARN_REGISTRY_USER"), set("TARN_REGISTRY_PASSWORD"))
}

/// Docker's configuration file, where its own programs look for it.
pub fn docker_config() -> Option<std::path::PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(std::path::PathBuf::from);
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}

/// Where a debug build is to die (`src/serve/crash.rs`).
#[cfg(debug_assertions)]
pub fn crash_at() -> Option<String> {
    std::env::var("TARN_SERVE_CRASH_AT").ok()
}

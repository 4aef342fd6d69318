//! The rules and log sources of a configuration.

use super::config::Config;
use crate::command::Usage;
use crate::report::{report_load, report_rules};
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_ingest::source::Sources;
use tarn_rules::LoadOptions;

/// The log sources.
///
/// **Errors**: a mapping that does not compile.
pub fn sources(config: &Config) -> anyhow::Result<Arc<Sources>> {
    Ok(Arc::new(match &config.sources {
        None => Sources::builtin()?,
        Some(folder) => Sources::with_folder(folder).map_err(|e| Usage(format!("sources: {e}")))?,
    }))
}

/// The rules, bound to these sources.
///
/// **Errors**: a path that is not there, no rule that can run.
pub fn engine(config: &Config, sources: Arc<Sources>) -> anyhow::Result<Arc<Engine>> {
    let set = if config.rules.is_empty() {
        tarn_rules::pack()
    } else {
        for path in &config.rules {
            std::fs::metadata(path).map_err(|e| Usage(format!("rules: {}: {e}", path.display())))?;
        }
        tarn_rules::load(&config.rules, &LoadOptions::default())
    };
    report_load(&set);
    let (engine, reports) = Engine::new(sources, set);
    report_rules(&reports);
    if engine.is_empty() {
        return Err(Usage("rules: no rule can run: `tarn rules check` says why".into()).into());
    }
    Ok(Arc::new(engine))
}

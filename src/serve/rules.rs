//! The rules and log sources of a configuration.

use super::config::Config;
use crate::command::Usage;
use crate::report::{report_load, report_rules};
use std::sync::Arc;
use tarn_engine::Engine;
use tarn_ingest::source::Sources;
use tarn_rules::LoadOptions;

/// Reads them.
///
/// **Errors**: a path that is not there, a mapping that does not compile, no rule that can run.
pub fn load(config: &Config) -> anyhow::Result<(Arc<Sources>, Arc<Engine>)> {
    let sources = Arc::new(match &config.sources {
        None => Sources::builtin()?,
        Some(folder) => Sources::with_folder(folder).map_err(|e| Usage(format!("sources: {e}")))?,
    });
    let set = if config.rules.is_empty() {
        tarn_rules::pack()
    } else {
        for path in &config.rules {
            std::fs::metadata(path).map_err(|e| Usage(format!("rules: {}: {e}", path.display())))?;
        }
        tarn_rules::load(&config.rules, &LoadOptions::default())
    };
    report_load(&set);
    let (engine, reports) = Engine::new(sources.clone(), set);
    report_rules(&reports);
    if engine.is_empty() {
        return Err(Usage("rules: no rule can run: `tarn rules check` says why".into()).into());
    }
    Ok((sources, Arc::new(engine)))
}

//! Running what was asked for.

use crate::cli::Failure;
use crate::config::{DemoConfig, EmulatorConfig, Settings};

/// `tidegate proxy`, until told to stop.
pub fn proxy(settings: &Settings) -> Result<(), Failure> {
    let _loaded = settings.load().map_err(Failure::Usage)?;
    Err(Failure::Runtime("not built yet".to_owned()))
}

/// `tidegate backend`, until told to stop.
pub fn backend(_config: &EmulatorConfig) -> Result<(), Failure> {
    Err(Failure::Runtime("not built yet".to_owned()))
}

/// `tidegate demo`, to its table.
pub fn demo(_config: &DemoConfig) -> Result<(), Failure> {
    Err(Failure::Runtime("not built yet".to_owned()))
}

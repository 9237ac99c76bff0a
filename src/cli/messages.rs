//! The flags that every command has: what is told on standard error.

use clap::Args;

use crate::config::given::Given;
use crate::config::messages::{Format, Level, Messages};

/// As typed, before or after the command.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct MessageArgs {
    /// The least important message told on standard error
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_LOG_LEVEL",
        hide_env_values = true,
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Messages"
    )]
    pub log_level: Given<Level>,

    /// Its form: a line for people, or a JSON object per line
    #[arg(
        long,
        global = true,
        env = "TIDEGATE_LOG_FORMAT",
        hide_env_values = true,
        value_name = "FORMAT",
        default_value = "text",
        help_heading = "Messages"
    )]
    pub log_format: Given<Format>,
}

impl MessageArgs {
    /// What is meant by them.
    pub(super) fn messages(&self) -> Messages {
        Messages { level: self.log_level.0, format: self.log_format.0 }
    }
}

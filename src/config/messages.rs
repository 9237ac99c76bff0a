//! What is told on standard error, and in which form: the operational messages, not the log of requests.

use tracing_subscriber::filter::LevelFilter;

use super::value::{Value, choose};

/// Everything that can be said about messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// The least important that is told.
    pub level: Level,
    /// How each is written.
    pub format: Format,
}

/// How important a message is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Level {
    /// Something does not work.
    Error,
    /// Something is likely not as meant.
    Warn,
    /// What an operator wants to see in a quiet log.
    #[default]
    Info,
    /// For looking into one matter.
    Debug,
    /// Everything.
    Trace,
    /// Nothing is told.
    Off,
}

/// How a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object per line: timestamp, level, message.
    Json,
}

const LEVELS: [(&str, Level); 6] = [
    ("error", Level::Error),
    ("warn", Level::Warn),
    ("info", Level::Info),
    ("debug", Level::Debug),
    ("trace", Level::Trace),
    ("off", Level::Off),
];

impl Value for Level {
    fn parse(text: &str) -> Result<Level, String> {
        choose(text, &LEVELS)
    }

    fn show(&self) -> String {
        let named = LEVELS.iter().find(|(_, level)| level == self);
        named.map_or("info", |(name, _)| name).to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["error", "warn", "info", "debug", "trace", "off"]
    }
}

impl Value for Format {
    fn parse(text: &str) -> Result<Format, String> {
        choose(text, &[("text", Format::Text), ("json", Format::Json)])
    }

    fn show(&self) -> String {
        match self {
            Format::Text => "text",
            Format::Json => "json",
        }
        .to_owned()
    }

    fn names() -> &'static [&'static str] {
        &["text", "json"]
    }
}

impl From<Level> for LevelFilter {
    fn from(level: Level) -> LevelFilter {
        match level {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
            Level::Off => LevelFilter::OFF,
        }
    }
}

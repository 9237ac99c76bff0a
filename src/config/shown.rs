//! The settings in force as a file that means the same, each with a note of where it came from.

use std::path::Path;

use super::Loaded;
use super::origin::{Origin, variable};

impl Loaded {
    /// The effective configuration as a TOML file, each line that is no default saying where it came from.
    pub fn to_toml(&self) -> Result<String, String> {
        let text = toml::to_string(&self.effective).map_err(|error| error.to_string())?;
        let mut tables = 0;
        let noted = text.lines().map(|line| {
            let key = line.split(['=', ']']).next().unwrap_or("").trim_matches(['[', ' ']);
            let origin = match line.starts_with("[[") {
                true => {
                    tables += 1;
                    self.origins.of_backend(tables - 1).by_key.get(key).copied()
                }
                false => self.origins.by_key.get(key).copied(),
            };
            let note = match origin {
                Some(Origin::Flag) => "flag".to_owned(),
                Some(Origin::Environment) => variable(key),
                Some(Origin::File(line, _)) => {
                    let file = self.origins.file.as_deref().unwrap_or(Path::new(""));
                    format!("{}:{line}", file.display())
                }
                None => return format!("{line}\n"),
            };
            format!("{line}  # {note}\n")
        });
        Ok(noted.collect())
    }
}

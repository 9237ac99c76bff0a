//! How a command ends badly, and which exit code that is.

use std::fmt;

/// One line for stderr; who is at fault decides the exit code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The flags, the environment or the file: exit code 2.
    Usage(String),
    /// The world, such as a port in use: exit code 1.
    Runtime(String),
    /// A comparison's second run is worse: exit code 3.
    Worse {
        /// What is worse, and by how much.
        line: String,
        /// Every figure compared, for stdout.
        table: String,
    },
}

impl Failure {
    /// What the process exits with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => 2,
            Failure::Runtime(_) => 1,
            Failure::Worse { .. } => 3,
        }
    }
}

impl From<String> for Failure {
    /// A complaint about what was typed.
    fn from(line: String) -> Failure {
        Failure::Usage(line)
    }
}

impl fmt::Display for Failure {
    /// Always a single line, whatever the values quoted in it held.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Usage(line) | Failure::Runtime(line) | Failure::Worse { line, .. }) = self;
        for character in line.chars() {
            match character {
                '\n' => f.write_str("\\n")?,
                control if control.is_control() => write!(f, "{}", control.escape_default())?,
                plain => write!(f, "{plain}")?,
            }
        }
        Ok(())
    }
}

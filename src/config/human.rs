//! What serde and the TOML parser have to say, in the words of the rest of the command line.
//!
//! Both write for programmers ("invalid type: sequence, expected a string"). Their texts are no contract, so whatever
//! is not recognized stays as it is. Absent: where in the file it was, which the caller knows.

use super::value::nearest;

/// The complaint, rewritten where it is one of those that are known.
pub(crate) fn human(message: &str) -> String {
    let message = message.trim();
    let rewritten = unknown(message)
        .or_else(|| missing(message))
        .or_else(|| wrong_type(message))
        .or_else(|| doubled(message));
    rewritten.unwrap_or_else(|| message.replace('`', "'"))
}

/// The line for a name that is none of `known`.
pub(crate) fn unknown_key<'n>(name: &str, known: impl Iterator<Item = &'n str> + Clone) -> String {
    match nearest(name, known.clone()) {
        Some(near) => format!("unknown key '{name}': did you mean '{near}'?"),
        None => format!("unknown key '{name}': must be one of {}", known.collect::<Vec<_>>().join(", ")),
    }
}

/// "unknown field `a`, expected one of `b`, `c`".
fn unknown(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut quoted = rest.split('`').skip(1).step_by(2);
    let name = quoted.next()?;
    Some(unknown_key(name, quoted.collect::<Vec<_>>().into_iter()))
}

/// "missing field `a`".
fn missing(message: &str) -> Option<String> {
    let name = message.strip_prefix("missing field `")?.split('`').next()?;
    Some(format!("'{name}' is missing"))
}

/// "invalid type: string \"a\", expected a sequence".
fn wrong_type(message: &str) -> Option<String> {
    let rest = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let found = match found.split([' ', '`']).next()? {
        "sequence" => "a list",
        "map" => "a table",
        "string" => "text",
        "integer" | "floating" => "a number",
        "boolean" => "true or false",
        _ => found,
    };
    let expected = match expected {
        "a sequence" => "a list, like [\"one\", \"two\"]",
        "a string" | "path string" => "text in quotes",
        "a map" => "a table",
        "a boolean" => "true or false",
        "u64" | "u32" | "i64" => "a whole number",
        "f64" => "a number",
        other if other.starts_with("struct ") => "a table",
        other => other,
    };
    Some(format!("must be {expected}, not {found}"))
}

fn doubled(message: &str) -> Option<String> {
    let is = message.starts_with("duplicate key") || message.starts_with("duplicate field");
    is.then(|| "is there twice: once is enough".to_owned())
}

#[cfg(test)]
mod tests {
    use super::human;

    #[test]
    fn programmers_words_become_everybodys() {
        for (from, to) in [
            (
                "unknown field `wieght`, expected `address` or `weight`",
                "unknown key 'wieght': did you mean 'weight'?",
            ),
            (
                "unknown field `zz`, expected one of `at`, `pause`",
                "unknown key 'zz': must be one of at, pause",
            ),
            ("missing field `address`", "'address' is missing"),
            ("invalid type: sequence, expected a single value", "must be a single value, not a list"),
            (
                "invalid type: string \"h, expected x\", expected a sequence",
                "must be a list, like [\"one\", \"two\"], not text",
            ),
            ("invalid type: integer `5`, expected a string", "must be text in quotes, not a number"),
            ("invalid type: map, expected f64", "must be a number, not a table"),
            ("duplicate key", "is there twice: once is enough"),
            ("something `else`", "something 'else'"),
        ] {
            assert_eq!(human(from), to);
        }
    }
}

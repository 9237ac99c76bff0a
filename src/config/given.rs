//! Carries a [`Value`] through clap and serde, so that flags and file refuse the same things in the same words.

use std::ffi::OsStr;
use std::fmt;
use std::marker::PhantomData;

use clap::builder::{PossibleValue, TypedValueParser, ValueParserFactory};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::value::Value;

/// A [`Value`] as clap and serde want it.
#[derive(Clone, Debug, PartialEq)]
pub struct Given<T>(pub T);

impl<T: Value> fmt::Display for Given<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.show())
    }
}

impl<T: Value> ValueParserFactory for Given<T> {
    type Parser = GivenParser<T>;

    fn value_parser() -> GivenParser<T> {
        GivenParser(PhantomData)
    }
}

/// Reads a [`Given`] from an argument, and tells help and completions its names.
#[derive(Clone, Debug)]
pub struct GivenParser<T>(PhantomData<T>);

impl<T: Value> TypedValueParser for GivenParser<T> {
    type Value = Given<T>;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<Given<T>, clap::Error> {
        // clap's own refusal of what is no UTF-8 names neither flag nor value.
        let readable = value.to_str().is_some();
        let parse = move |text: &str| match readable {
            true => T::parse(text).map(Given),
            false => Err("must be UTF-8".to_owned()),
        };
        TypedValueParser::parse_ref(&parse, command, arg, OsStr::new(value.to_string_lossy().as_ref()))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        if T::names().is_empty() {
            return None;
        }
        Some(Box::new(T::names().iter().map(PossibleValue::new)))
    }
}

impl<T: Value> Serialize for Given<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.show() {
            text if !self.0.is_integer() => serializer.serialize_str(&text),
            text => serializer.serialize_u64(text.parse().map_err(serde::ser::Error::custom)?),
        }
    }
}

impl<'de, T: Value> Deserialize<'de> for Given<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Given<T>, D::Error> {
        deserializer.deserialize_any(AnyScalar(PhantomData))
    }
}

/// Takes whatever scalar TOML has as the text a flag would have had, so there is one parser and one complaint.
struct AnyScalar<T>(PhantomData<T>);

impl<T: Value> AnyScalar<T> {
    fn read<E: de::Error>(text: &str, typed: &str) -> Result<Given<T>, E> {
        T::parse(text).map(Given).map_err(|why| E::custom(format_args!("'{typed}': {why}")))
    }
}

impl<T: Value> de::Visitor<'_> for AnyScalar<T> {
    type Value = Given<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a single value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Given<T>, E> {
        Self::read(text, text)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Given<T>, E> {
        Self::read(&number.to_string(), &number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Given<T>, E> {
        Self::read(&number.to_string(), &number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Given<T>, E> {
        Self::read(&number.to_string(), &number.to_string())
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<Given<T>, E> {
        Self::read(if yes { "on" } else { "off" }, &yes.to_string())
    }
}

//! Settings that are one of a few words.

use super::AbortOnClose;
use super::value::{Value, choose};
use crate::http1::persist::Trust;
use crate::http1::rewrite::{ForwardedFields, ViaFields};

/// Spells a type by a table of its words.
macro_rules! words {
    ($type:ty: $($word:literal => $value:expr),+ $(,)?) => {
        impl Value for $type {
            fn parse(text: &str) -> Result<Self, String> {
                choose(text, &[$(($word, $value)),+])
            }

            fn show(&self) -> String {
                let named = [$(($word, $value)),+];
                let word = named.iter().find(|(_, value)| value == self).map_or("", |(word, _)| *word);
                word.to_owned()
            }

            fn names() -> &'static [&'static str] {
                &[$($word),+]
            }
        }
    };
}

words!(Trust: "strict" => Trust::Strict, "learned" => Trust::Learned, "always" => Trust::Always);
words!(AbortOnClose: "auto" => AbortOnClose::Auto, "on" => AbortOnClose::On, "off" => AbortOnClose::Off);
words!(ForwardedFields:
    "all" => ForwardedFields::All,
    "x-forwarded" => ForwardedFields::XForwarded,
    "forwarded" => ForwardedFields::Forwarded,
    "off" => ForwardedFields::Off,
);
words!(ViaFields: "on" => ViaFields::Both, "request" => ViaFields::Request, "off" => ViaFields::Off);

#[cfg(test)]
mod tests {
    use super::*;

    fn reads_what_it_shows<T: Value + PartialEq + std::fmt::Debug>() {
        for name in T::names() {
            assert_eq!(T::parse(name).unwrap().show(), *name);
        }
        assert!(T::parse("no such word").is_err());
    }

    #[test]
    fn each_word_stands_for_itself() {
        reads_what_it_shows::<Trust>();
        reads_what_it_shows::<AbortOnClose>();
        reads_what_it_shows::<ForwardedFields>();
        reads_what_it_shows::<ViaFields>();
    }
}

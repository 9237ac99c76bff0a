//! The flags of `tidegate top`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::Failure;
use crate::config::address::Address;
use crate::config::given::Given;
use crate::config::value::Value;
use crate::top::TopConfig;

/// As typed.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct TopArgs {
    /// Where a proxy serves its figures, its --admin: host:port or http://host:port
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:5002", help_heading = "Source")]
    pub admin: Given<Admin>,

    /// File with the token that an admin address other than loopback wants [default: none is shown]
    #[arg(long, value_name = "FILE", help_heading = "Source")]
    pub admin_token_file: Option<PathBuf>,

    /// Print one plain table and end; so too when standard output is no terminal
    #[arg(
        long,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_value = "off",
        default_missing_value = "on",
        help_heading = "Display"
    )]
    pub once: Given<bool>,
}

/// An address that may be written as a URL. `None` is the proxy's `none`, which the environment variable, being the
/// proxy's too, may hold; it is not offered, as there is nothing to watch then.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Admin(Option<Address>);

impl Value for Admin {
    fn parse(text: &str) -> Result<Admin, String> {
        if text == "none" {
            return Ok(Admin(None));
        }
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err("is asked in plain HTTP: write http://host:port".to_owned()),
            None => text,
        };
        match rest.strip_suffix('/').unwrap_or(rest) {
            path if path.contains('/') => Err("has no path: write http://host:port".to_owned()),
            address => Address::parse(address).map(|address| Admin(Some(address))),
        }
    }

    fn show(&self) -> String {
        self.0.as_ref().map_or_else(|| "none".to_owned(), |address| format!("http://{}", address.show()))
    }
}

impl TopArgs {
    /// What is meant by them.
    pub(crate) fn config(self) -> Result<TopConfig, Failure> {
        let admin = self.admin.0;
        let Some(address) = &admin.0 else {
            let why = "--admin 'none': a proxy without an admin address has nothing to show: name one";
            return Err(Failure::Usage(why.to_owned()));
        };
        let resolved = address.resolve();
        let resolved =
            resolved.map_err(|why| Failure::Runtime(format!("--admin '{}': {why}", admin.show())))?;
        let token = self.admin_token_file.as_deref().map(token).transpose()?;
        Ok(TopConfig { address: resolved, url: admin.show(), token, once: self.once.0 })
    }
}

/// The file's only line.
fn token(path: &Path) -> Result<String, String> {
    let refuse = |why: &str| format!("--admin-token-file '{}': {why}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| refuse(&error.to_string()))?;
    match text.trim() {
        token if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(token.to_owned())
        }
        _ => Err(refuse("must hold one line of printable characters")),
    }
}

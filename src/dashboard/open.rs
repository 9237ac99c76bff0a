//! The admin address of a proxy, from its configuration.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use super::{About, Access, Board, Control, Delays, Token, View};
use crate::config::ProxyConfig;
use crate::reactor;

/// The token of this configuration, if it has one.
///
/// # Errors
/// One line: what is wrong with its file.
pub fn token(config: &ProxyConfig) -> Result<Option<Token>, String> {
    config.admin_token_file.as_deref().map(read_token).transpose()
}

/// The token in this file.
///
/// # Errors
/// As [`token`].
pub fn read_token(path: &Path) -> Result<Token, String> {
    Token::read(path).map_err(|why| format!("--admin-token-file '{}': {why}", path.display()))
}

/// What the admin address of this proxy is to show. `delays` are those of backends in this process, if this is a demo.
pub fn view(
    config: &ProxyConfig,
    address: SocketAddr,
    board: Arc<Board>,
    token: Option<Token>,
    control: reactor::Control,
    delays: Option<Delays>,
) -> View {
    let about = About {
        version: crate::VERSION.to_owned(),
        upstream: Some(config.upstream.to_string()),
        listen: Some(config.listen.to_string()),
        control: token.is_some(),
        workers: 1,
        demo: delays.is_some(),
    };
    let access = Arc::new(Access::new(address.ip(), &config.admin_hosts, token));
    let control = Some(Control::new(control, delays.unwrap_or_default()));
    View { board, about, log: None, access, control }
}

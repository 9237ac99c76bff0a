//! The flags of `tidegate dashboard`: a log on the page.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use crate::config::DashboardConfig;
use crate::config::given::Given;
use crate::config::value::HostName;

/// As typed. `DASHBOARD_PORT` is the original's.
#[derive(Args, Clone, Debug)]
#[allow(missing_docs)] // each field's comment is its help text
pub(super) struct DashboardArgs {
    /// The CSV: a proxy's own or the original's, finished or growing
    #[arg(long, value_name = "FILE", help_heading = "Log")]
    pub log: PathBuf,

    /// Port of the page; 0 is any free one
    #[arg(
        long,
        env = "DASHBOARD_PORT",
        value_name = "PORT",
        default_value = "5002",
        help_heading = "Listening"
    )]
    pub port: Given<u16>,

    /// IP address of the page; whoever reaches it can read it
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", help_heading = "Listening")]
    pub host: Given<IpAddr>,

    /// Further names the page may go by, besides localhost and its address (repeat, or separate with commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Listening")]
    pub admin_host: Vec<Given<HostName>>,
}

impl DashboardArgs {
    /// What is meant by them.
    pub(crate) fn config(self) -> DashboardConfig {
        DashboardConfig {
            log: self.log,
            listen: SocketAddr::new(self.host.0, self.port.0),
            hosts: self.admin_host.into_iter().map(|host| host.0.0).collect(),
        }
    }
}

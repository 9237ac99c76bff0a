//! The flags of `tidegate proxy` exactly as typed; the TOML file has the same shape and names.
//!
//! Every field is optional, so that what was not said can come from the next source down (flag, environment, file,
//! default). Neither the environment variables nor the defaults are written here: [`super::command`] derives the
//! first from the flag and the second from [`ProxyConfig::default`], so that help cannot disagree with the code.
//!
//! [`ProxyConfig::default`]: crate::config::ProxyConfig

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::config::address::{Address, BackendSpec};
use crate::config::given::Given;
use crate::config::statuses::Statuses;
use crate::config::value::{Bytes, HostName, OrNone, Percent, Switch};
use crate::config::workers::Workers;
use crate::config::{
    AbortOnClose, Average, Cidr, ForwardedFields, Objective, Routing, Trust, UpstreamMode, Variant, ViaFields,
};

/// One optional value per flag and per key of the file.
#[derive(Args, Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)] // each field's comment is its help text, which speaks of the flag
pub struct ProxyArgs {
    /// Where clients connect; port 0 is any free one
    #[arg(long, value_name = "HOST:PORT", help_heading = "Listening")]
    pub listen: Option<Given<Address>>,

    /// Where the live page, metrics and health endpoints are served
    #[arg(long, value_name = "HOST:PORT|none", help_heading = "Admin page")]
    pub admin: Option<Given<OrNone<Address>>>,

    /// File with a token of 16 characters or more: who shows it may drain backends, change weights and routing there
    #[arg(long, value_name = "FILE|none", help_heading = "Admin page")]
    pub admin_token_file: Option<Given<OrNone<PathBuf>>>,

    /// Further names --admin may go by, besides localhost and its address (repeat, or separate with commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Admin page")]
    pub admin_host: Option<Vec<Given<HostName>>>,

    /// Threads that serve, each its own share of the clients, all knowing what the others learn of the backends; auto: as
    /// many as the machine has cores. Not pinned to any: taskset does that
    #[arg(long, value_name = "N|auto", help_heading = "Listening")]
    pub workers: Option<Given<Workers>>,

    /// How the backend of each request is chosen
    #[arg(long, value_name = "NAME", help_heading = "Routing")]
    pub routing: Option<Given<Routing>>,

    /// What elastic makes small: the mean latency, or its slow end
    #[arg(long, value_name = "mean|tail", help_heading = "Routing")]
    pub objective: Option<Given<Objective>>,

    /// The average that least-time keeps: exponential, or of the last 100 answers
    #[arg(long, value_name = "ewma|sma", help_heading = "Routing")]
    pub least_time_average: Option<Given<Average>>,

    /// Policies that watch, 16 at most: asked and told all that the one in force is, to see where they would have agreed
    /// and how those requests fared. That says little of the others: nobody sent them elsewhere, and all of it happened
    /// under the load that the policy in force made (repeat, or separate with commas)
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Routing")]
    pub shadow: Option<Vec<Given<Variant>>>,

    /// Keep connections to backends for reuse, or dial one per request
    #[arg(long, value_name = "MODE", help_heading = "Backends")]
    pub upstream: Option<Given<UpstreamMode>>,

    /// Which connections to backends may serve another client's request. strict: those about which there is no doubt;
    /// learned: also those of backends that were seen to be reliable; always: all that HTTP allows
    #[arg(long, value_name = "WORD", help_heading = "Backends")]
    pub pool_trust: Option<Given<Trust>>,

    /// Say to backends who the client is and which host it asked for: in X-Forwarded-For, -Proto and -Host and in
    /// Forwarded, in only one of the two forms, or not at all. In a form not sent, what an untrusted client says is
    /// dropped and what a trusted proxy says goes on as it came
    #[arg(long, value_name = "WORD", help_heading = "Backends")]
    pub forwarded: Option<Given<ForwardedFields>>,

    /// Say to backends in X-Real-IP who the client is, unless a trusted proxy has said so; what anyone else says
    /// there is dropped either way
    #[arg(long, value_name = "on|off", help_heading = "Backends")]
    pub x_real_ip: Option<Given<bool>>,

    /// Put Via into requests and answers, into requests only, or into none; RFC 9110 section 7.6.3 wants it in requests
    #[arg(long, value_name = "WORD", help_heading = "Backends")]
    pub via: Option<Given<ViaFields>>,

    /// Connections to one backend at once
    #[arg(long, value_name = "N|none", help_heading = "Backends")]
    pub max_connections_per_backend: Option<Given<OrNone<u32>>>,

    /// Requests that may wait while every backend has all its connections (further ones get 503), or while none can be
    /// connected to (502)
    #[arg(long, value_name = "N", help_heading = "Backends")]
    pub queue_max: Option<Given<u32>>,

    /// How long a request may wait there: 503; where there is no other backend, also for one that is slow to accept: 504
    #[arg(long, value_name = "DURATION", help_heading = "Backends")]
    pub queue_timeout: Option<Given<Duration>>,

    /// Keep client connections after an answer; independent of --upstream
    #[arg(long, value_name = "on|off", help_heading = "Clients")]
    pub client_keepalive: Option<Given<bool>>,

    /// Give a request up when its client closes its side of the connection. auto: while it waits for a place on a backend;
    /// on: always; off: only at a time-out or a failed write, so that a half-close is always honoured
    #[arg(long, value_name = "auto|on|off", help_heading = "Clients")]
    pub abort_on_close: Option<Given<AbortOnClose>>,

    /// Client connections at once; none: as many as file descriptors allow
    #[arg(long, value_name = "N|none", help_heading = "Clients")]
    pub max_clients: Option<Given<OrNone<u32>>>,

    /// Learn of a client only with its first bytes (TCP_DEFER_ACCEPT, Linux): cheaper where most clients send one request and go;
    /// one that connects and says nothing is seen about a second later, and its time-outs begin then
    #[arg(long, value_name = "on|off", help_heading = "Clients")]
    pub defer_accept: Option<Given<bool>>,

    /// Peers whose X-Forwarded-* fields are believed; nobody unless named (repeat, or separate with commas)
    #[arg(long, value_name = "CIDR", value_delimiter = ',', help_heading = "Clients")]
    pub trusted_proxies: Option<Vec<Given<Cidr>>>,

    /// Give an X-Request-Id to requests that come without one
    #[arg(long, value_name = "on|off", help_heading = "Clients")]
    pub request_id: Option<Given<bool>>,

    /// Request line: 414 beyond it
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub request_line_max: Option<Given<Bytes>>,

    /// Whole request head: 431 beyond it
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub request_head_max: Option<Given<Bytes>>,

    /// Whole response head, at most 65535 bytes: 502 beyond it
    #[arg(long, value_name = "SIZE", help_heading = "Limits")]
    pub response_head_max: Option<Given<Bytes>>,

    /// Fields in one head, at most 1000: 431 or 502 beyond it
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub fields_max: Option<Given<u32>>,

    /// Request body: 413 beyond it
    #[arg(long, value_name = "SIZE|none", help_heading = "Limits")]
    pub request_body_max: Option<Given<OrNone<Bytes>>>,

    /// From the first byte of a request head to its end: 408
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub request_head_timeout: Option<Given<Duration>>,

    /// Without a byte of the request body: 408
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub request_body_timeout: Option<Given<Duration>>,

    /// Bytes a second a request body must average; 0 asks for nothing
    #[arg(long, value_name = "SIZE", help_heading = "Time-outs")]
    pub request_body_rate: Option<Given<Bytes>>,

    /// Without the client taking a byte of its answer: cut
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub client_write_timeout: Option<Given<Duration>>,

    /// A kept client connection without a request: closed
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub client_idle_timeout: Option<Given<Duration>>,

    /// Connecting to a backend: the next one, else again until --queue-timeout, then 504. When all refuse, as in a restart, a
    /// request waits so long: 502
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub connect_timeout: Option<Given<Duration>>,

    /// From sending a request to the head of its answer: 504
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub upstream_timeout: Option<Given<Duration>>,

    /// The same in all, when a backend says by 102 answers that work goes on: each restarts --upstream-timeout
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub interim_timeout: Option<Given<Duration>>,

    /// Without a byte of the answer's body: cut
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub response_body_timeout: Option<Given<Duration>>,

    /// An unused connection to a backend: closed
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub upstream_idle_timeout: Option<Given<Duration>>,

    /// A tunnel (WebSocket) without a byte either way: closed
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub tunnel_idle_timeout: Option<Given<Duration>>,

    /// Reading on after a last answer, so that a reset does not erase it: until nothing has come for so long
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub linger_timeout: Option<Given<Duration>>,

    /// The same, in all
    #[arg(long, value_name = "DURATION", help_heading = "Time-outs")]
    pub linger_total_timeout: Option<Given<Duration>>,

    /// Further attempts a request may have, elsewhere if possible; with 0 none waits for a backend that cannot be connected to
    #[arg(long, value_name = "N", help_heading = "Retries")]
    pub retries: Option<Given<u32>>,

    /// Bytes of a request body kept so that the request can be sent again, at most 256KiB; GET, PUT, DELETE and the like
    /// with a longer body are sent once
    #[arg(long, value_name = "SIZE", help_heading = "Retries")]
    pub retry_body_max: Option<Given<Bytes>>,

    /// Share of all requests that may be retried
    #[arg(long, value_name = "PERCENT", help_heading = "Retries")]
    pub retry_budget: Option<Given<Percent>>,

    /// Retries a second that are allowed whatever the share
    #[arg(long, value_name = "N", help_heading = "Retries")]
    pub retry_budget_floor: Option<Given<u32>>,

    /// Take failing backends out for a while; auto: unless --routing is round-robin, adaptive_sma or adaptive_ewma
    #[arg(long, value_name = "on|off|auto", help_heading = "Health and ejection")]
    pub ejection: Option<Given<Switch>>,

    /// Failures in a row that take a backend out
    #[arg(long, value_name = "N", help_heading = "Health and ejection")]
    pub ejection_failures: Option<Given<u32>>,

    /// How long it is out the first time; doubled with each further one
    #[arg(long, value_name = "DURATION", help_heading = "Health and ejection")]
    pub ejection_time: Option<Given<Duration>>,

    /// How long it is out at most
    #[arg(long, value_name = "DURATION", help_heading = "Health and ejection")]
    pub ejection_time_max: Option<Given<Duration>>,

    /// Share of the backends that may be out; when more are, those that answer are used all the same
    #[arg(long, value_name = "PERCENT", help_heading = "Health and ejection")]
    pub ejection_share_max: Option<Given<Percent>>,

    /// GET this path of each backend regularly to learn whether it is well
    #[arg(long, value_name = "PATH|none", help_heading = "Health and ejection")]
    pub health_path: Option<Given<OrNone<String>>>,

    /// Host of the checks, instead of each backend's name as configured
    #[arg(long, value_name = "HOST|none", help_heading = "Health and ejection")]
    pub health_host: Option<Given<OrNone<HostName>>>,

    /// Statuses of a backend that is well, like 200-399, 2xx or 200,204
    #[arg(long, value_name = "STATUSES", help_heading = "Health and ejection")]
    pub health_status: Option<Given<Statuses>>,

    /// Between two checks of one backend; at least 100ms
    #[arg(long, value_name = "DURATION", help_heading = "Health and ejection")]
    pub health_interval: Option<Given<Duration>>,

    /// For one check
    #[arg(long, value_name = "DURATION", help_heading = "Health and ejection")]
    pub health_timeout: Option<Given<Duration>>,

    /// Failed checks in a row that take a backend out
    #[arg(long, value_name = "N", help_heading = "Health and ejection")]
    pub health_fall: Option<Given<u32>>,

    /// Good checks in a row that bring it back
    #[arg(long, value_name = "N", help_heading = "Health and ejection")]
    pub health_rise: Option<Given<u32>>,

    /// Do not start while no backend's name resolves
    #[arg(
        long,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "Backends"
    )]
    pub require_backends: Option<Given<bool>>,

    /// From failing readiness to refusing connections, on SIGTERM, SIGINT or SIGQUIT
    #[arg(long, value_name = "DURATION", help_heading = "Shutdown")]
    pub drain_delay: Option<Given<Duration>>,

    /// From refusing connections to the hard stop
    #[arg(long, value_name = "DURATION", help_heading = "Shutdown")]
    pub drain_timeout: Option<Given<Duration>>,

    /// CSV with a row per request; an old one is continued, - is standard output
    #[arg(long, value_name = "FILE|-|none", help_heading = "Logging")]
    pub log: Option<Given<OrNone<PathBuf>>>,

    /// Empty an old log at the start, as for an experiment
    #[arg(
        long,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "Logging"
    )]
    pub log_truncate: Option<Given<bool>>,

    /// Tell each decision on the console
    #[arg(
        long,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "Logging"
    )]
    pub log_decisions: Option<Given<bool>>,

    /// Keep the last 200 decisions, for the admin address; say in the log's reason what each was made from, and in
    /// X-Tidegate-Explain of the answer when the request has that field with the value 1 and comes from one of
    /// --trusted-proxies
    #[arg(
        long,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on",
        help_heading = "Logging"
    )]
    pub explain: Option<Given<bool>>,

    /// CSV with a row per --shadow every 10 s
    #[arg(long, value_name = "FILE|none", help_heading = "Logging")]
    pub shadow_log: Option<Given<OrNone<PathBuf>>>,

    /// A backend: host:port or http://host:port, with @WEIGHT behind it if not 1 (repeat, or separate with commas)
    #[arg(
        long,
        value_name = "ADDR[@WEIGHT]",
        value_delimiter = ',',
        help_heading = "Backends",
        display_order = 0
    )]
    pub backend: Option<Vec<BackendSpec>>, // last, for TOML wants tables after plain values
}

impl ProxyArgs {
    /// These, and where these say nothing, `other`.
    pub fn or(self, other: ProxyArgs) -> ProxyArgs {
        // A field left out here does not compile.
        macro_rules! each {
            ($($field:ident)*) => { ProxyArgs { $($field: self.$field.or(other.$field)),* } };
        }
        each! {
            listen admin admin_token_file admin_host workers routing objective least_time_average shadow upstream
            max_connections_per_backend queue_max queue_timeout client_keepalive
            max_clients defer_accept trusted_proxies request_id request_line_max request_head_max response_head_max fields_max
            request_body_max request_head_timeout request_body_timeout request_body_rate client_write_timeout
            client_idle_timeout connect_timeout upstream_timeout response_body_timeout upstream_idle_timeout
            tunnel_idle_timeout interim_timeout linger_timeout linger_total_timeout pool_trust abort_on_close
            forwarded x_real_ip via retry_body_max retries retry_budget retry_budget_floor ejection ejection_failures
            ejection_time ejection_time_max ejection_share_max health_path health_host health_status health_interval health_timeout
            health_fall health_rise require_backends drain_delay drain_timeout log log_truncate log_decisions explain shadow_log backend
        }
    }
}

//! Reloading (SIGHUP), on a thread of its own: a name server that does not answer, or a file that cannot be read now,
//! may take minutes, and whoever wants the proxy to stop is not to wait for them.
//!
//! Absent: what a new configuration changes (proxy/reload.rs).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use super::messages::{tell_what_stays, warn_of_unheeded};
use super::{RunningProxy, runtime, systemd};
use crate::cli::Failure;
use crate::config::{ProxyConfig, Settings};
use crate::dashboard::{self, Access};
use crate::proxy::Inbox;
use crate::reactor::Control;

/// What a running proxy can be told without holding it.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) control: Control,
    pub(super) inboxes: Vec<Inbox>,
    pub(super) access: Option<Arc<Access>>,
}

impl Target {
    /// Has it adopt another configuration.
    pub(super) fn reload(&self, config: ProxyConfig) {
        for (worker, inbox) in self.inboxes.iter().enumerate() {
            let share = config.share_of(worker, self.inboxes.len());
            *inbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(share));
        }
        self.control.reload();
    }

    /// Reads the token of its admin address anew; the old one stays when that fails.
    fn reload_token(&self, config: &ProxyConfig) {
        let (Some(access), Some(path)) = (&self.access, &config.admin_token_file) else { return };
        match dashboard::open::read_token(path) {
            Ok(token) => access.set_token(token),
            Err(complaint) => tracing::error!("the token stays as it was: {complaint}"),
        }
    }
}

/// The thread. It ends with the process.
pub(super) struct Reloads {
    orders: mpsc::Sender<()>,
    /// False from the first signal to stop on.
    wanted: Arc<Mutex<bool>>,
}

impl Reloads {
    /// Starts it for a proxy that began with `started`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(
        settings: Settings,
        started: ProxyConfig,
        running: &RunningProxy,
    ) -> Result<Reloads, Failure> {
        let (orders, ordered) = mpsc::channel();
        let wanted = Arc::new(Mutex::new(true));
        let (target, address, is_wanted) = (running.target.clone(), running.address, wanted.clone());
        let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(move || {
            while ordered.recv().is_ok() {
                while ordered.try_recv().is_ok() {} // one reload does for all that were ordered before it
                reload(&settings, &started, &target, address, &is_wanted);
            }
        });
        thread.map_err(|error| runtime("cannot start a thread", &error))?;
        Ok(Reloads { orders, wanted })
    }

    /// Orders one.
    pub(super) fn order(&self) {
        // It fails only when the thread has panicked, and then that was said.
        let _ = self.orders.send(());
    }

    /// Whatever one under way comes to, it is of no use any more.
    pub(super) fn end(&self) {
        *lock(&self.wanted) = false;
    }
}

fn reload(
    settings: &Settings,
    started: &ProxyConfig,
    target: &Target,
    address: SocketAddr,
    wanted: &Mutex<bool>,
) {
    if settings.file.is_none() {
        target.reload_token(started);
        tracing::warn!("nothing to reload but a token: there is no --config");
        return;
    }
    let loaded = settings.load();
    if let Ok(loaded) = &loaded {
        target.reload_token(&loaded.config);
    }
    let wanted = lock(wanted); // held, so that a stop comes before it or after
    match loaded {
        _ if !*wanted => tracing::warn!("not reloaded: stopping"),
        Ok(loaded) => {
            systemd::reloading();
            tell_what_stays(started, &loaded.config);
            warn_of_unheeded(&loaded.config);
            target.reload(loaded.config);
            systemd::ready(address);
        }
        Err(complaint) => tracing::error!("not reloaded, nothing changed: {complaint}"),
    }
}

fn lock(wanted: &Mutex<bool>) -> MutexGuard<'_, bool> {
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

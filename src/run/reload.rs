//! Reloading (SIGHUP), on a thread of its own: a name server that does not answer, or a file that cannot be read now,
//! may take minutes, and whoever wants the proxy to stop is not to wait for them.
//!
//! Absent: what a new configuration changes (proxy/reload.rs).

use std::net::SocketAddr;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::messages::{tell_what_stays, warn_of_unheeded, warn_of_unresolved};
use super::{RunningProxy, runtime, systemd};
use crate::cli::Failure;
use crate::config::names::Names;
use crate::config::{Loaded, ProxyConfig, Settings};
use crate::dashboard::{self, Access};
use crate::proxy::Inbox;
use crate::reactor::Control;

/// A name that does not resolve is looked up again after this long, then after twice as long, and so on.
const RETRY_FIRST: Duration = Duration::from_secs(1);
const RETRY_MOST: Duration = Duration::from_secs(30);

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
    /// Starts it for a proxy that began with `started` and `names`.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn start(
        settings: Settings,
        started: Loaded,
        names: Names,
        running: &RunningProxy,
    ) -> Result<Reloads, Failure> {
        let (orders, ordered) = mpsc::channel();
        let wanted = Arc::new(Mutex::new(true));
        let (target, address) = (running.target.clone(), running.address);
        let mut reloading = Reloading {
            settings,
            began: started.config.clone(),
            loaded: started,
            names,
            target,
            address,
            wanted: wanted.clone(),
        };
        let thread =
            std::thread::Builder::new().name("reload".to_owned()).spawn(move || reloading.run(&ordered));
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

/// What the thread knows.
struct Reloading {
    settings: Settings,
    /// What the proxy began with: some of it stays.
    began: ProxyConfig,
    /// What it has now.
    loaded: Loaded,
    names: Names,
    target: Target,
    address: SocketAddr,
    wanted: Arc<Mutex<bool>>,
}

impl Reloading {
    /// Until nobody can order any more. Names that do not resolve are looked up again, less and less often.
    fn run(&mut self, ordered: &mpsc::Receiver<()>) {
        let mut pause = RETRY_FIRST;
        loop {
            let order = if self.loaded.unresolved.is_empty() {
                ordered.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                ordered.recv_timeout(pause)
            };
            match order {
                Ok(()) => {
                    while ordered.try_recv().is_ok() {} // one reload does for all that were ordered before it
                    self.reload();
                    pause = RETRY_FIRST;
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.resolve_again();
                    pause = (pause * 2).min(RETRY_MOST);
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn reload(&mut self) {
        if self.settings.file.is_none() && !self.loaded.has_names() {
            self.target.reload_token(&self.began);
            tracing::warn!(
                "nothing to reload but a token: there is no --config, and no backend is given by name"
            );
            return;
        }
        let loaded = self.settings.load_knowing(&mut self.names);
        if let Ok(loaded) = &loaded {
            self.target.reload_token(&loaded.config);
            warn_of_unresolved(&loaded.unresolved);
        }
        self.adopt(loaded);
    }

    /// The file is not read: whoever writes to it says so when it is done.
    fn resolve_again(&mut self) {
        let found = self.loaded.resolve_again(&mut self.names);
        if let Ok(found) = &found
            && found.config.backends == self.loaded.config.backends
        {
            self.loaded.unresolved.clone_from(&found.unresolved);
            return;
        }
        if let Ok(found) = &found {
            tracing::info!("names of backends resolve now that did not before");
            warn_of_unresolved(&found.unresolved);
        }
        self.adopt(found);
    }

    fn adopt(&mut self, loaded: Result<Loaded, Failure>) {
        let wanted = lock(&self.wanted); // held, so that a stop comes before it or after
        match loaded {
            _ if !*wanted => tracing::warn!("not reloaded: stopping"),
            Ok(loaded) => {
                systemd::reloading();
                tell_what_stays(&self.began, &loaded.config);
                warn_of_unheeded(&loaded.config);
                self.target.reload(loaded.config.clone());
                systemd::ready(self.address);
                drop(wanted);
                self.loaded = loaded;
            }
            Err(complaint) => tracing::error!("not reloaded, nothing changed: {complaint}"),
        }
    }
}

fn lock(wanted: &Mutex<bool>) -> MutexGuard<'_, bool> {
    wanted.lock().unwrap_or_else(PoisonError::into_inner)
}

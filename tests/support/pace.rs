//! For the few tests in which time itself plays a part: a verdict found while the machine stood still is none.
#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// So often a test may be disturbed.
const ATTEMPTS_MAX: u32 = 12;
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Runs a test that holds as long as no thread waits for `still` or longer to go on: a paused or very busy machine. A
/// failure during such a pause is no verdict, and the test is run again; any other is one.
pub fn undisturbed(still: Duration, test: impl Fn()) {
    for attempt in 1.. {
        let watch = Watch::start();
        let outcome = catch_unwind(AssertUnwindSafe(&test));
        let longest = watch.stop();
        match outcome {
            Ok(()) => return,
            Err(_) if longest >= still && attempt < ATTEMPTS_MAX => {
                println!("attempt {attempt} does not count: the machine stood still for {longest:?}");
            }
            Err(panic) => {
                println!("at attempt {attempt}; the machine stood still for {longest:?} at most");
                resume_unwind(panic)
            }
        }
    }
}

/// A thread that wakes all the time, and notes how late it ever was.
struct Watch {
    longest_ms: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
}

impl Watch {
    fn start() -> Watch {
        let watch = Watch { longest_ms: Arc::default(), over: Arc::default() };
        let (longest_ms, over) = (watch.longest_ms.clone(), watch.over.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let before = Instant::now();
                std::thread::sleep(LOOK_EVERY);
                let late = before.elapsed().saturating_sub(LOOK_EVERY);
                longest_ms.fetch_max(late.as_millis() as u64, Ordering::Relaxed);
            }
        });
        watch
    }

    fn stop(self) -> Duration {
        std::thread::sleep(2 * LOOK_EVERY); // a pause that is only just over is seen, too
        self.over.store(true, Ordering::Relaxed);
        Duration::from_millis(self.longest_ms.load(Ordering::Relaxed))
    }
}

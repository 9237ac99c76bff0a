//! wrk as the load generator: its command line, and what its report says. Absent: running it.
//!
//! wrk knows no warm-up, so a run of its own comes first. It writes its figures with three digits and a unit.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::report::run::LoadFigures;

/// The original's; a thread must have a connection.
const THREADS: usize = 4;

/// `wrk -t4 -c<connections> -d<seconds>s --latency http://<target>/`.
pub(super) fn command(target: SocketAddr, connections: usize, duration: Duration) -> Command {
    let mut command = Command::new("wrk");
    command.arg(format!("-t{}", threads(connections))).arg(format!("-c{connections}"));
    command.arg(format!("-d{}s", duration.as_secs())).arg("--latency").arg(format!("http://{target}/"));
    command
}

/// Threads it runs on.
pub(super) fn threads(connections: usize) -> usize {
    THREADS.min(connections).max(1)
}

/// The figures in wrk's report; `None` when it is no such report.
pub(super) fn figures(text: &str) -> Option<LoadFigures> {
    let after = |start: &str| text.lines().find_map(|line| line.trim().strip_prefix(start));
    let total = text.lines().find_map(|line| line.split_once(" requests in "))?;
    let requests: u64 = total.0.trim().parse().ok()?;
    let seconds = millis(total.1.split(',').next()?)? / 1e3;
    let latency: Vec<&str> = after("Latency  ")?.split_ascii_whitespace().collect();
    let errors = after("Socket errors:").map_or(0, |line| {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|count| count.parse::<u64>().ok()).sum()
    });
    let quantile = |name: &str| after(name).filter(|_| requests > 0).and_then(millis);
    Some(LoadFigures {
        requests,
        errors,
        non_2xx: after("Non-2xx or 3xx responses:").and_then(|line| line.trim().parse().ok()).unwrap_or(0),
        seconds,
        rate: after("Requests/sec:")?.trim().parse().ok()?,
        mean_ms: latency.first().filter(|_| requests > 0).and_then(|mean| millis(mean)),
        p50_ms: quantile("50%"),
        p95_ms: None, // it does not say
        p99_ms: quantile("99%"),
        max_ms: latency.get(2).filter(|_| requests > 0).and_then(|max| millis(max)),
        busy_share: None,
    })
}

/// `201.61ms`, `1.50s`, `87.00us` or `1.00m` in milliseconds.
fn millis(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let factor = match &text[unit..] {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" => 6e4,
        "h" => 3.6e6,
        _ => return None,
    };
    text[..unit].parse::<f64>().ok().map(|number| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "Running 2m test @ http://localhost:9090
  4 threads and 100 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   201.61ms  120.84ms   1.42s    58.51%
    Req/Sec   126.03     44.10   260.00     67.93%
  Latency Distribution
     50%  202.00ms
     75%  251.00ms
     90%  402.00ms
     99%  416.12ms
  59420 requests in 2.00m, 10.88MB read
  Socket errors: connect 1, read 2, write 0, timeout 3
  Non-2xx or 3xx responses: 7
Requests/sec:    494.89
Transfer/sec:     92.80KB
";

    #[test]
    fn a_report_is_read() {
        let figures = figures(REPORT).unwrap();
        assert_eq!((figures.requests, figures.errors, figures.non_2xx), (59_420, 6, 7));
        assert_eq!((figures.seconds, figures.rate), (120.0, 494.89));
        assert_eq!(
            (figures.mean_ms, figures.p50_ms, figures.p99_ms),
            (Some(201.61), Some(202.0), Some(416.12))
        );
        assert_eq!((figures.max_ms, figures.p95_ms), (Some(1420.0), None));
    }

    #[test]
    fn what_is_no_report_has_no_figures() {
        for text in ["", "unable to connect to localhost:1 Connection refused\n", "x requests in 1.00s, y"] {
            assert_eq!(figures(text), None, "{text}");
        }
    }
}

//! A log on the page: the original's format, shown whole.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};

use super::browser::Browser;
use super::{assert_accessible, assert_quiet, child};

/// The original's columns and times, two minutes of three backends.
fn original_log() -> String {
    let mut text = String::from("timestamp,backend_url,latency_ms,status_code,routing_mode\n");
    for at in 0..1200_u32 {
        let (port, latency) = [(10_082, 200.5), (8081, 15.25), (8083, 250.0)][at as usize % 3];
        let status = if at % 400 == 399 { 502 } else { 200 };
        let (minute, second, micro) = (at / 600, at / 10 % 60, at % 10 * 100_000);
        text += &format!(
            "2025-05-01T12:{minute:02}:{second:02}.{micro:06},http://localhost:{port},{latency},{status},adaptive_ewma\n"
        );
    }
    text
}

/// A page over a log. Killed when dropped.
struct LogPage(Child, String);

impl LogPage {
    fn start(log: &Path) -> LogPage {
        let mut child = child::command(&["dashboard", "--port", "0", "--log", log.to_str().unwrap()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        LogPage(child, url)
    }
}

impl Drop for LogPage {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_log_of_the_original_is_shown_whole() {
    let Some(mut browser) = Browser::launch() else { return };
    let mut file = tempfile::Builder::new().suffix(".csv").tempfile().unwrap();
    file.write_all(original_log().as_bytes()).unwrap();
    let page = LogPage::start(file.path());
    browser.resize(1280, 900);
    browser.open(&page.1);
    browser.wait("document.getElementById('feed').textContent.includes('finished')");
    browser.wait("document.querySelector('[data-w=all]').ariaPressed === 'true'");
    let figures = [
        ("#mode", "adaptive_ewma"),
        ("#tile-rate", "1,200 in all"),
        ("#tile-errors", "3 answers of 5xx"),
        ("#trouble", "3 errors, 0 retries, 0 ejections in 1,200 requests."),
        ("#tile-recent", "155 ms"), // (15.25 + 200.5 + 250) / 3
        ("#bars", "33.3 %"),
        ("#backend-table", "localhost:8083"),
        (
            "#sentence",
            "localhost:8083, which took 250.0 ms. EWMAs since: 8081=15.0ms, 8083=250.0ms, 10082=200.0ms.",
        ),
        // The whole run: exact where figures are, between a band's bounds elsewhere, never above the longest.
        ("#percentiles", "p50 201 ms, p90 between 197 and 250 ms"),
        ("#heat", "Most requests"),
        ("#decisions", "A log holds no decisions."),
    ];
    for (place, words) in figures {
        browser.wait(&format!("document.querySelector('{place}').innerText.includes('{words}')"));
    }
    // By the numbers of the ports, in whatever order the log names them.
    for rows in ["#backend-table tbody tr > th", "#bars tbody th", "#legend .chip"] {
        let all = browser.text(&format!("[...document.querySelectorAll('{rows}')].map((e) => e.textContent.slice(-5).replace(/.*:/, '')).join()"));
        assert_eq!(all, "8081,8083,10082", "{rows}");
    }
    browser.eval("document.getElementById('requests').scrollIntoView()");
    browser.wait("document.querySelectorAll('#request-table tbody tr').length === 200");
    let heads =
        browser.text("document.querySelector('#request-table thead').innerText.replace(/\\s+/g, ' ')");
    assert!(heads.contains("8081 SMA / EWMA 8083 SMA / EWMA 10082 SMA / EWMA"), "{heads}");
    // The last row is of 8083, and its own averages stand out.
    let row = "document.querySelector('#request-table tbody tr')";
    assert_eq!(browser.eval(&format!("[...{row}.cells].indexOf({row}.querySelector('.mine'))")), 8);
    assert_accessible(&mut browser, "a log");
    browser.eval("scrollTo(0, 0)");
    browser.screenshot("log");

    // What rows do not tell is not told: state, weight, in flight, connections.
    let cells = "document.querySelector('#backend-table tbody tr').cells";
    assert_eq!(
        browser.text(&format!("[...{cells}].slice(1, 5).map((cell) => cell.innerText).join()")),
        "–,–,–,–"
    );
    assert_eq!(browser.eval("document.querySelectorAll('#trouble .key').length"), 3);
    // Paper has all charts, those too that nobody has scrolled to.
    browser.eval("window.far = document.querySelector('#percentiles canvas'); far.width = far.width; window.blank = far.toDataURL(); 0");
    browser.eval("dispatchEvent(new Event('beforeprint')); dispatchEvent(new Event('afterprint'))");
    assert_eq!(browser.eval("far.toDataURL() !== blank"), true);

    // The moment can be chosen: the numbers are then those of one second.
    browser.eval("document.getElementById('scrub').focus()");
    browser.key("Home");
    browser.wait("location.hash.includes('at=') && document.getElementById('now-title').textContent === 'At that moment'");
    browser.key("ArrowRight");
    browser.wait("document.querySelector('#tile-rate .big').textContent === '10/s'");
    browser.click("#pause");
    browser.wait("!location.hash.includes('at=')");
    browser.key("1");
    browser.wait(
        "document.querySelector('[data-w=\"1m\"]').ariaPressed === 'true' && location.hash.includes('w=1m')",
    );
    assert_quiet(&mut browser, &page.1);
}

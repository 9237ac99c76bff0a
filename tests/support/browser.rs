//! A headless Chromium driven over the DevTools protocol: one page, told what to do and asked what it shows.
//!
//! The browser is found on the PATH. Where there is none, [`Browser::launch`] gives `None`, and the test says that it
//! is skipped; with `REQUIRE_BROWSER=1` that is a failure.
#![allow(dead_code, unreachable_pub, missing_docs)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)] // a panic here is a failed test

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::support::Patient;

const NAMES: [&str; 5] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome-headless-shell"];
/// A browser on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a page.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The browser with its one page.
pub struct Browser {
    child: Child,
    socket: WebSocket<Patient>,
    session: String,
    last_id: u64,
    /// Everything it has told since it was last taken, in order: (method, params).
    events: Vec<(String, Value)>,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one, if there is any.
    pub fn launch() -> Option<Browser> {
        let Some(program) = find() else {
            assert!(
                std::env::var_os("REQUIRE_BROWSER").is_none_or(|value| value != "1"),
                "REQUIRE_BROWSER=1, but none of {NAMES:?} is on the PATH"
            );
            eprintln!("skipped: none of {NAMES:?} is on the PATH");
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut child = Command::new(program)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"])
            .args(["--no-first-run", "--disable-background-networking", "--disable-component-update"])
            .args(["--disable-sync", "--disable-extensions", "--disable-dev-shm-usage", "--mute-audio"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let url = loop {
            let line = lines.next().unwrap_or_else(|| panic!("the browser ended: {said}")).unwrap();
            if let Some(url) = line.strip_prefix("DevTools listening on ") {
                break url.trim().to_owned();
            }
            said = said + &line + "\n";
        };
        std::thread::spawn(move || lines.for_each(drop)); // it must not block on a full pipe
        let address = url.trim_start_matches("ws://").split('/').next().unwrap();
        let stream = TcpStream::connect(address).unwrap();
        let stream = Patient::new(stream);
        stream.0.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = tungstenite::client(&url, stream).unwrap();
        let mut browser = Browser {
            child,
            socket,
            session: String::new(),
            last_id: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        browser.session =
            browser.call("Target.attachToTarget", attach)["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.prefer("prefers-color-scheme", "light");
        Some(browser)
    }

    /// One command and its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_empty() {
            command["sessionId"] = self.session.clone().into();
        }
        self.socket.send(Message::text(command.to_string())).unwrap();
        loop {
            let heard = self.socket.read().unwrap_or_else(|error| panic!("{method}: {error}"));
            let Message::Text(text) = heard else { continue };
            let mut told: Value = serde_json::from_str(&text).unwrap();
            if told["id"] == self.last_id {
                assert!(told["error"].is_null(), "{method}: {}", told["error"]);
                return told["result"].take();
            }
            if let Some(method) = told["method"].as_str() {
                self.events.push((method.to_owned(), told["params"].clone()));
            }
        }
    }

    /// What it has told since the last time.
    pub fn take_events(&mut self) -> Vec<(String, Value)> {
        self.call("Runtime.evaluate", json!({"expression": "0"})); // whatever is on its way comes first
        std::mem::take(&mut self.events)
    }

    /// Opens a page, anew even if only what is after the # differs.
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.call("Page.navigate", json!({"url": url}));
        let base = url.split('#').next().unwrap_or(url);
        self.wait(&format!("location.href.startsWith('{base}') && document.readyState === 'complete'"));
    }

    /// The value of an expression; promises are awaited.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true});
        let mut result = self.call("Runtime.evaluate", params);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].take()
    }

    /// The same as text.
    pub fn text(&mut self, expression: &str) -> String {
        match self.eval(expression) {
            Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// Waits until an expression is true.
    pub fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        let guarded =
            format!("(() => {{ try {{ return Boolean({expression}) }} catch {{ return false }} }})()");
        while self.eval(&guarded) != true {
            if Instant::now() > deadline {
                let seen = self
                    .text("location.href + ', focus on ' + document.activeElement?.outerHTML.slice(0, 200)");
                let told: Vec<_> =
                    self.events.iter().filter(|(method, _)| method.starts_with("Runtime.e")).collect();
                panic!("waited in vain for {expression}; at {seen}; {told:?}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Clicks the middle of the first element that matches, with the mouse.
    pub fn click(&mut self, selector: &str) {
        let (x, y) = self.middle(selector);
        self.mouse("mouseMoved", x, y);
        self.mouse("mousePressed", x, y);
        self.mouse("mouseReleased", x, y);
    }

    /// Drags across an element, from one share of its width to another.
    pub fn drag(&mut self, selector: &str, from: f64, to: f64) {
        let (_, y) = self.middle(selector);
        let bounds = self.eval(&format!(
            "(b => [b.left, b.width])(document.querySelector({selector:?}).getBoundingClientRect())"
        ));
        let x = |share: f64| bounds[0].as_f64().unwrap() + share * bounds[1].as_f64().unwrap();
        self.mouse("mouseMoved", x(from), y);
        self.mouse("mousePressed", x(from), y);
        for step in 1..=4 {
            self.mouse("mouseMoved", x(from + (to - from) * f64::from(step) / 4.0), y);
        }
        self.mouse("mouseReleased", x(to), y);
    }

    fn middle(&mut self, selector: &str) -> (f64, f64) {
        // A page that is laid out anew each second is hit when it stands still.
        self.wait(&format!(
            "(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect(); \
             return e.contains(document.elementFromPoint(b.left + b.width / 2, b.top + b.height / 2)) }})(document.querySelector({selector:?}))"
        ));
        let script = format!(
            "(e => {{ e.scrollIntoView({{block: 'center'}}); const b = e.getBoundingClientRect(); \
             return [b.left + b.width / 2, b.top + b.height / 2] }})(document.querySelector({selector:?}))"
        );
        let at = self.eval(&script);
        (at[0].as_f64().unwrap(), at[1].as_f64().unwrap())
    }

    fn mouse(&mut self, kind: &str, x: f64, y: f64) {
        let held = if kind == "mouseReleased" { 0 } else { 1 };
        let params = json!({"type": kind, "x": x, "y": y, "button": if kind == "mouseMoved" { "none" } else { "left" },
            "buttons": held, "clickCount": 1});
        self.call("Input.dispatchMouseEvent", params);
    }

    /// Presses a key and lets it go: a character, or a name such as `Tab` or `ArrowLeft`.
    pub fn key(&mut self, key: &str) {
        self.key_with(key, 0);
    }

    /// The same with Shift held.
    pub fn shift(&mut self, key: &str) {
        self.key_with(key, 8);
    }

    fn key_with(&mut self, key: &str, modifiers: u32) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "End" => 35,
            "Home" => 36,
            "ArrowLeft" => 37,
            "ArrowUp" => 38,
            "ArrowRight" => 39,
            "ArrowDown" => 40,
            _ => 0,
        };
        let mut params =
            json!({"type": "keyDown", "key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code});
        if key.chars().count() == 1 {
            params["text"] = key.into();
        } else if key == "Enter" {
            params["text"] = "\r".into();
        }
        self.call("Input.dispatchKeyEvent", params.clone());
        params["type"] = "keyUp".into();
        self.call("Input.dispatchKeyEvent", params);
    }

    /// A viewport of this size in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let params = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", params);
    }

    /// What the reader's system asks for, such as `("prefers-color-scheme", "dark")`; and that nothing moves, so that no
    /// colour is seen halfway.
    pub fn prefer(&mut self, feature: &str, value: &str) {
        let still = json!({"name": "prefers-reduced-motion", "value": "reduce"});
        let features = json!([{"name": feature, "value": value}, still]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Keeps a picture of the page when `BROWSER_SCREENSHOTS` names a directory: for people to look at.
    pub fn screenshot(&mut self, name: &str) {
        let Some(directory) = std::env::var_os("BROWSER_SCREENSHOTS") else { return };
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes = base64(shot["data"].as_str().unwrap());
        std::fs::write(Path::new(&directory).join(format!("{name}.png")), bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.session.clear();
        let bye = json!({"id": 0, "method": "Browser.close"}).to_string();
        if self.socket.send(Message::text(bye)).is_err() {
            let _ = self.child.kill();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                let _ = self.child.kill();
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    NAMES.iter().find_map(|name| {
        std::env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
    })
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|byte| ALPHABET.iter().position(|one| *one == byte))
        .map(|at| at as u32)
        .collect();
    let mut bytes = Vec::new();
    for four in digits.chunks(4) {
        let word = four.iter().enumerate().fold(0, |word, (at, digit)| word | digit << (18 - 6 * at));
        bytes.extend_from_slice(&word.to_be_bytes()[1..four.len()]);
    }
    bytes
}

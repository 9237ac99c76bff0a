//! The layering and the style of the code, as a test.
//!
//! Line by line, with strings and comments blanked and braces counted: enough for formatted code, and no parser to keep
//! up with the language. Tests are held to less: their functions may be as
//! long as their tables, and may panic.

#![allow(clippy::unwrap_used)] // a panic is a verdict

use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;

/// Modules that are told everything: no sockets, no poll, no clock.
const PURE: [&str; 9] = [
    "src/http1/",
    "src/balance/",
    "src/bulletin/",
    "src/buffer.rs",
    "src/digits.rs",
    "src/slab.rs",
    "src/timer.rs",
    "src/record/row.rs",
    "src/record/text.rs",
];
const IMPURE_WORDS: [&str; 5] = ["TcpStream", "TcpListener", "UdpSocket", "mio", "Instant"];

/// Who may ask for the time, and why.
const CLOCKS: [(&str, &str); 12] = [
    ("src/config/file.rs", "whether a file was written to a moment ago"),
    ("src/run.rs", "how far apart two signals are"),
    ("src/reactor.rs", "the loop's own clock, told to everything below"),
    ("src/load/poll.rs", "the load driver's loop, with a clock of its own so that it measures from outside"),
    ("src/record/writer.rs", "the log's thread: waiting for a disk, and the wall clock of the rows"),
    ("src/record/shadow_log.rs", "the shadow log's thread: the stamps of its rows"),
    ("src/bench/mod.rs", "the date a run is named after"),
    ("src/demo/screen.rs", "what a person at a terminal sees"),
    ("src/bench/child.rs", "how long a child process may take to be ready and to end"),
    ("src/bench/drive.rs", "when rounds begin and end, and the wall clock of the run file"),
    ("src/bench/meter.rs", "CPU time over wall time of the children"),
    ("src/emulator/script.rs", "a thread that waits for the next change of its timeline"),
];

/// Who may touch connections.
const NET_USERS: [&str; 13] = [
    "src/net/",
    "src/proxy/",
    "src/session/",
    "src/upstream/", // names connections by key, never opens one
    "src/reactor.rs",
    "src/serve/",
    "src/load/",
    "src/emulator/",
    "src/dashboard/",
    "src/demo/",
    "src/bench/",
    "src/run.rs",
    "src/run/",
];

/// One source file as the rules see it.
struct Source {
    path: String,
    lines: Vec<String>,
    /// The same with strings, characters and comments blanked.
    code: Vec<String>,
    /// First line of the `#[cfg(test)]` module at its end.
    tests_from: usize,
}

impl Source {
    fn new(path: &str, text: &str) -> Source {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let code = blank(text);
        let is_tests = path.contains("tests") || path.starts_with("tests/");
        let module = |at: usize| code.get(at + 1).is_some_and(|next| next.trim_start().starts_with("mod "));
        let marked = (0..code.len()).find(|at| code[*at].trim() == "#[cfg(test)]" && module(*at));
        let tests_from = if is_tests { 0 } else { marked.unwrap_or(code.len()) };
        Source { path: path.to_owned(), lines, code, tests_from }
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }

    /// Code outside the tests, with line numbers from 1.
    fn live(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code[..self.tests_from].iter().enumerate().map(|(at, line)| (at + 1, &line[..]))
    }

    fn complain(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// Everything wrong with one file.
fn check(source: &Source) -> Vec<String> {
    [check_shape, check_functions, check_layers, check_words].iter().flat_map(|rule| rule(source)).collect()
}

fn check_shape(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    if source.lines.len() > FILE_LINES_MAX {
        found.push(source.complain(source.lines.len(), "more than 500 lines"));
    }
    if !source.lines.first().is_some_and(|line| line.starts_with("//!")) {
        found.push(source.complain(1, "no module header"));
    }
    found
}

fn check_functions(source: &Source) -> Vec<String> {
    let (mut found, mut open) = (Vec::new(), Vec::<(usize, i32)>::new());
    let (mut depth, mut waiting) = (0, None);
    for (at, line) in source.code[..source.tests_from].iter().enumerate() {
        if words(line).any(|word| word == "fn") && waiting.is_none() && line.contains('(') {
            waiting = Some(at);
        }
        for letter in line.chars() {
            match letter {
                '{' => {
                    depth += 1;
                    open.extend(waiting.take().map(|start| (start, depth)));
                }
                '}' => {
                    if let Some((start, _)) = open.pop_if(|(_, inner)| *inner == depth)
                        && at - start + 1 > FUNCTION_LINES_MAX
                    {
                        found.push(source.complain(start + 1, "a function of more than 70 lines"));
                    }
                    depth -= 1;
                }
                ';' => waiting = waiting.filter(|_| line.contains('[')), // `[u8; 4]` in a signature ends nothing
                _ => {}
            }
        }
    }
    found
}

fn check_layers(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in source.live() {
        let impure = words(line).find(|word| IMPURE_WORDS.contains(word)).filter(|_| source.is_in(&PURE));
        if let Some(word) = impure {
            found.push(source.complain(at, &format!("{word} in a pure module")));
        }
        let clocks = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", ".elapsed()"];
        let asks = clocks.iter().any(|clock| line.contains(clock));
        let may_ask = CLOCKS.iter().any(|(path, _)| source.path == *path);
        if asks && !may_ask && source.path.starts_with("src/") {
            found.push(source.complain(at, "asks for the time"));
        }
        if line.contains("crate::net") && !source.is_in(&NET_USERS) {
            found.push(source.complain(at, "uses crate::net"));
        }
    }
    found
}

fn check_words(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in source.live() {
        if source.path.starts_with("src/") && (line.contains(".unwrap()") || line.contains(".expect(")) {
            found.push(source.complain(at, "may panic"));
        }
    }
    for (at, line) in source.lines.iter().enumerate() {
        if words(line).any(|word| word == concat!("TO", "DO") || word == concat!("FIX", "ME")) {
            found.push(source.complain(at + 1, "unfinished"));
        }
        let places =
            [concat!("/wo", "rk/"), concat!("/tmp", "/wt"), concat!("/ho", "me/"), concat!("/ro", "ot/")];
        if places.iter().any(|place| line.contains(place)) {
            found.push(source.complain(at + 1, "a path of somebody's machine"));
        }
    }
    found
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').filter(|word| !word.is_empty())
}

/// The text with all that is not code replaced by blanks, so that braces and names can be counted.
fn blank(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = at + piece(&bytes[at..], at.checked_sub(1).map(|before| bytes[before]));
        if end == at {
            at += 1;
            continue;
        }
        code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        at = end;
    }
    String::from_utf8_lossy(&code).lines().map(str::to_owned).collect()
}

/// Length of the comment, string or character at the front; 0 when there is none.
fn piece(bytes: &[u8], before: Option<u8>) -> usize {
    let until = |end: &[u8], from: usize| {
        let found = bytes[from.min(bytes.len())..].windows(end.len()).position(|window| window == end);
        found.map_or(bytes.len(), |at| from + at + end.len())
    };
    let in_word =
        before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && before != Some(b'b');
    match bytes {
        [b'/', b'/', ..] => until(b"\n", 2) - 1,
        [b'/', b'*', ..] => until(b"*/", 2),
        [b'r', rest @ ..] if !in_word => {
            let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
            let end = [&b"\""[..], &rest[..hashes]].concat();
            if rest.get(hashes) == Some(&b'"') { until(&end, hashes + 2) } else { 0 }
        }
        [b'"', ..] => quoted(bytes, b'"'),
        [b'\'', b'\\', ..] => quoted(bytes, b'\''),
        [b'\'', _, b'\'', ..] => 3,
        _ => 0,
    }
}

fn quoted(bytes: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() && entry.file_name().is_some_and(|name| name != "target") {
            files_under(&entry, found);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            found.push(entry);
        }
    }
}

#[test]
fn the_code_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    files_under(&root.join("src"), &mut files);
    files_under(&root.join("tests"), &mut files);
    assert!(files.len() > 50, "looked in the wrong place");
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
        found.extend(check(&Source::new(&path, &std::fs::read_to_string(&file).unwrap())));
    }
    assert!(found.is_empty(), "{} complaints:\n{}", found.len(), found.join("\n"));
}

#[test]
fn every_exception_is_needed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, reason) in CLOCKS {
        let text = std::fs::read_to_string(root.join(path)).unwrap();
        assert!(text.contains("::now()"), "{path} no longer asks for the time ({reason})");
    }
}

#[test]
fn each_rule_finds_its_violation() {
    let long = format!("//! A.\n{}", "\n".repeat(500));
    let body = format!("//! A.\nfn f(a: [u8; 2]) {{\n{}}}\n", "    g();\n".repeat(70));
    let late = concat!("//! A.\nfn f() {} // TO", "DO\n");
    let home = concat!("//! A.\n// see /ho", "me/x\n");
    for (path, text, what) in [
        ("src/a.rs", &long[..], "500 lines"),
        ("src/a.rs", &body, "70 lines"),
        ("src/a.rs", "fn f() {}\n", "no module header"),
        ("src/http1/a.rs", "//! A.\nuse std::net::TcpStream;\n", "pure module"),
        ("src/balance/a.rs", "//! A.\nfn f(at: std::time::Instant) {}\n", "pure module"),
        ("src/timer.rs", "//! A.\nuse mio::Token;\n", "pure module"),
        ("src/proxy/a.rs", "//! A.\nfn f() { Instant::now(); }\n", "asks for the time"),
        ("src/session/a.rs", "//! A.\nfn f() { SystemTime::now(); }\n", "asks for the time"),
        ("src/session/a.rs", "//! A.\nfn f() { jiff::Timestamp::now(); }\n", "asks for the time"),
        ("src/record/a.rs", "//! A.\nuse crate::net::Net;\n", "uses crate::net"),
        ("src/a.rs", "//! A.\nfn f() { g().unwrap(); }\n", "may panic"),
        ("src/a.rs", "//! A.\nfn f() { g().expect(\"x\"); }\n", "may panic"),
        ("src/a.rs", late, "unfinished"),
        ("tests/a.rs", home, "somebody's machine"),
    ] {
        let found = check(&Source::new(path, text));
        assert!(found.len() == 1 && found[0].contains(what), "{what}: {found:?}");
    }
}

#[test]
fn what_is_allowed_is_not_complained_of() {
    for (path, text) in [
        (
            "src/http1/a.rs",
            "//! A.\n// like mio's TcpStream\nfn f() -> &'static str { \"mio { Instant::now\" }\n",
        ),
        ("src/a.rs", "//! A.\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() { h().unwrap(); }\n}\n"),
        (
            "src/a.rs",
            "//! A.\nfn f() -> [char; 3] { ['{', '\\'', '\"'] }\nfn g(a: &'static str) -> u8 { b'{' }\n",
        ),
        ("src/reactor.rs", "//! A.\nfn f() { Instant::now(); }\n"),
        ("src/session/a.rs", "//! A.\nuse crate::net::Net;\nfn f() -> &'static [u8] { br#\"}\"}\"# }\n"),
        ("src/balance/tests/a.rs", "//! A.\nfn f() { g().unwrap(); }\n"),
    ] {
        assert_eq!(check(&Source::new(path, text)), Vec::<String>::new(), "{text}");
    }
}

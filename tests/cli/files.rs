//! Names and files: what may be otherwise tomorrow, and what is in the middle of being changed.

use std::fs;
use std::io::Write as _;

use tempfile::TempDir;

use super::{ONE_BACKEND, printed, refused, tidegate, write};

/// A supervisor tries again.
#[test]
fn what_may_work_tomorrow_exits_with_1() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "backend = [\"a.invalid:1\"]\n");
    let own = ["--listen", "127.0.0.1:0", "--admin", "none"];
    for (words, parts) in [
        (
            &["proxy", "--require-backends", "--backend", "a.invalid:1"][..],
            &["--backend 'a.invalid:1'", "does not resolve"],
        ),
        (
            &["proxy", "--config", &path, "--require-backends"],
            &["tidegate.toml:1:12: backend 'a.invalid:1'", "resolve"],
        ),
        (&["proxy", "--listen", "a.invalid:1"], &["--listen 'a.invalid:1'", "does not resolve"]),
        (
            &["proxy", "--log", "/proc/nosuch/log.csv"],
            &["--log /proc/nosuch/log.csv", "name a file that can be written"],
        ),
        (&["top", "--admin", "a.invalid:1"], &["--admin", "does not resolve"]),
        (&["demo", "--admin", "a.invalid:1"], &["--admin 'a.invalid:1'", "does not resolve"]),
    ] {
        let is_whole = words[0] != "proxy" || words.contains(&"--listen");
        let words = [words, if is_whole { &[] } else { &own }].concat();
        let output = tidegate().args(&words).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(parts.iter().all(|part| stderr.contains(part)), "{words:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
    }
}

#[test]
fn a_file_that_names_no_backend_is_refused_unless_a_flag_does() {
    let dir = TempDir::new().unwrap();
    for text in ["", "# nothing yet\n", "routing = \"p2c\"\n"] {
        let path = write(&dir, text);
        for words in [&["check", &path][..], &["proxy", "--config", &path]] {
            let line = refused(words, &[]);
            assert!(line.contains("tidegate.toml: names no backend: add one"), "{line}");
        }
        let shown = printed(&["check", &path, "--backend", "127.0.0.1:1"], &[]);
        assert!(shown.contains("address = \"127.0.0.1:1\""), "{shown}");
        printed(&["check", &path], &[("TIDEGATE_BACKEND", "127.0.0.1:1")]);
    }
}

#[test]
fn a_file_that_somebody_writes_to_is_read_when_it_rests() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "routing = \"p2c\"\n");
    let mut writer = fs::OpenOptions::new().append(true).open(&path).unwrap();
    let reader = std::thread::spawn(move || printed(&["check", &path], &[]));
    // A dozen pieces, one every 20 ms: the file is read between two of them, and not taken for the whole.
    for index in 0..12 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        writeln!(writer, "[[backend]]\naddress = \"127.0.0.1:{}\"", 9000 + index).unwrap();
    }
    let shown = reader.join().unwrap();
    assert_eq!(shown.matches("[[backend]]").count(), 12, "{shown}");
}

#[test]
fn check_refuses_a_token_that_the_proxy_would_refuse() {
    let dir = TempDir::new().unwrap();
    let token = dir.path().join("token");
    let path = write(&dir, &format!("admin-token-file = {:?}\n{ONE_BACKEND}", token.to_str().unwrap()));
    let line = refused(&["check", &path], &[]);
    assert!(
        line.contains("tidegate.toml:1:1: admin-token-file '") && line.contains("No such file"),
        "{line}"
    );
    fs::write(&token, "short").unwrap();
    assert!(refused(&["check", &path], &[]).contains("at least 16"));
    fs::write(&token, "0123456789abcdef").unwrap();
    assert!(printed(&["check", &path], &[]).contains("admin-token-file = "));
}

/// The rest of the file is right, and a reload would take it.
#[test]
fn check_warns_of_a_name_that_does_not_resolve() {
    let dir = TempDir::new().unwrap();
    let path = write(&dir, "backend = [\"a.invalid:1\", \"127.0.0.1:8085\"]\n");
    let output = tidegate().args(["check", &path]).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(
        stderr.contains("tidegate.toml:1:12: backend 'a.invalid:1': the name does not resolve"),
        "{stderr}"
    );
    assert!(String::from_utf8(output.stdout).unwrap().contains("address = \"a.invalid:1\""));
}

//! Configurations that cannot work: one line that names what to change, and the exit code.

use std::net::TcpListener;

use crate::child::outcome;

fn refused(words: &[&str], code: i32, needles: &[&str]) {
    let (found, stderr) = outcome(words);
    assert_eq!(found, Some(code), "{words:?}: {stderr}");
    assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    for needle in needles {
        assert!(stderr.contains(needle), "{words:?}: no {needle:?} in {stderr}");
    }
}

#[test]
fn bad_flags_are_one_line_naming_them() {
    refused(&["proxy", "--listen", "nonsense"], 2, &["--listen", "nonsense"]);
    refused(&["proxy", "--routing", "fastest"], 2, &["--routing", "fastest"]);
    refused(&["proxy", "--backend", "127.0.0.1:1@-2"], 2, &["--backend", "weight"]);
    refused(&["proxy", "--backend", "127.0.0.1:1", "--backend", "127.0.0.1:1"], 2, &["--backend", "twice"]);
}

#[test]
fn bad_files_are_one_line_naming_file_and_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tidegate.toml");
    let name = file.to_str().unwrap();
    for (text, place, needle) in [
        ("listen = \"127.0.0.1:0\"\nroutng = \"elastic\"\n", ":2:1", "routng"),
        ("routing = \"fastest\"\n", ":1:11", "fastest"),
        ("listen = [1, 2\n", ":1:", "unclosed"),
        ("[[backend]]\naddress = \"127.0.0.1:9\"\nweight = -1.0\n", ":3:10", "weight '-1.0'"),
        ("[[backend]]\naddress = \"h:1\"\n\n[[backend]]\naddres = \"h:2\"\n", ":5:1", "addres"),
        ("backend = []\n", ":1", "backend"),
    ] {
        std::fs::write(&file, text).unwrap();
        let place = format!("{name}{place}");
        refused(&["proxy", "--config", name, "--log", "none"], 2, &[&place, needle]);
    }
    let missing = directory.path().join("missing.toml");
    refused(&["proxy", "--config", missing.to_str().unwrap()], 2, &[missing.to_str().unwrap()]);
}

#[test]
fn a_port_in_use_is_a_run_time_error_naming_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&["proxy", "--listen", &address, "--log", "none"], 1, &["--listen", &address, "free port"]);
    let words = ["proxy", "--listen", "127.0.0.1:0", "--admin", &address, "--log", "none"];
    refused(&words, 1, &["--admin", &address, "free port"]);
}

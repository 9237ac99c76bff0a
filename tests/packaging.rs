//! What is shipped beside the binary: image, compose file, systemd units, Kubernetes manifests. Every flag and variable
//! they use exists, what one part names another has, and what the machine has tools for is checked by these.
#![allow(clippy::unwrap_used, clippy::expect_used)] // a panic here is a failed test
#![allow(unreachable_pub, missing_docs)]

mod support;

#[path = "support/child.rs"]
mod child;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize as _;
use serde_yaml_ng::Value;
use support::port::Reserved;
use support::{Client, Origin, wait_for};
use tidegate::config::{Loaded, Settings};

/// Variables that are no flag's.
const OTHER_VARIABLES: [&str; 1] = ["TIDEGATE_REVISION"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Vec<Value> {
    let text = read(path);
    let documents = serde_yaml_ng::Deserializer::from_str(&text);
    documents.map(|one| Value::deserialize(one).unwrap_or_else(|error| panic!("{path}: {error}"))).collect()
}

/// The value at a path like `spec.template`, or null.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(value, |value, key| match key.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[key],
    })
}

fn words(value: &Value) -> Vec<String> {
    let list = value.as_sequence().unwrap_or_else(|| panic!("no list: {value:?}"));
    list.iter().map(|word| word.as_str().unwrap_or_else(|| panic!("no text: {word:?}")).to_owned()).collect()
}

/// Checks the words after the program's name: the command and its flags exist.
fn assert_command(words: &[String], place: &str) {
    let mut command = tidegate::cli::command();
    command.build();
    let part =
        command.find_subcommand(&words[0]).unwrap_or_else(|| panic!("{place}: no command {}", words[0]));
    for flag in words.iter().filter_map(|word| word.strip_prefix("--")) {
        let name = flag.split('=').next().unwrap();
        let is_known = part.get_arguments().any(|arg| arg.get_long() == Some(name));
        assert!(is_known, "{place}: {} has no --{name}", words[0]);
    }
}

fn variables() -> Vec<String> {
    let command = tidegate::cli::command();
    let parts = command.get_subcommands().flat_map(|part| part.get_arguments());
    let all = command.get_arguments().chain(parts).filter_map(|arg| arg.get_env());
    all.map(|name| name.to_str().unwrap().to_owned()).chain(OTHER_VARIABLES.map(str::to_owned)).collect()
}

fn files_under(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() { files_under(&entry, found) } else { found.push(entry) }
    }
}

#[test]
fn every_variable_is_one_that_something_reads() {
    let known = variables();
    let mut files = vec![root().join("Dockerfile")];
    files_under(&root().join("packaging"), &mut files);
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
            let is_ours = word.starts_with("TIDEGATE_") && word != "TIDEGATE_";
            assert!(!is_ours || known.iter().any(|name| name == word), "{}: {word}", file.display());
        }
    }
}

/// Instructions with their arguments, continuation lines joined.
fn dockerfile() -> Vec<(String, String)> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap()).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// `rust-version` of a manifest.
fn least_rust(manifest: &str) -> String {
    let text = read(manifest);
    let version = text.lines().find_map(|line| line.strip_prefix("rust-version = "));
    version.unwrap().trim_matches('"').to_owned()
}

#[test]
fn the_image_is_static_not_root_and_empty_but_for_the_binary() {
    let steps = dockerfile();
    let stages: Vec<usize> = (0..steps.len()).filter(|at| steps[*at].0 == "FROM").collect();
    let (build, last) = (&steps[stages[0]].1, stages[1]);
    assert_eq!((stages.len(), steps[last].1.as_str()), (2, "scratch"));
    let (image, name) = build.split_once(" AS ").unwrap();
    let minor = |text: &str| text.split('.').nth(1).unwrap().parse::<u32>().unwrap();
    let wanted = least_rust("Cargo.toml");
    let variant = "bench-scripts/tokio-variant/Cargo.toml";
    assert_eq!(least_rust(variant), wanted, "{variant} builds this crate, too");
    assert!(image.starts_with("rust:1.") && image.ends_with("-alpine"), "{image} links musl, statically");
    assert!(minor(image.trim_end_matches("-alpine")) >= minor(&wanted), "{image} is older than {wanted}");
    let runs = steps[..last].iter().filter(|(step, _)| step == "RUN").map(|(_, text)| text.as_str());
    assert!(runs.into_iter().any(|text| text.contains("--locked")));
    let all = |step: &str| {
        let found = steps[last..].iter().filter(|(one, _)| one == step).map(|(_, text)| text.clone());
        found.collect::<Vec<_>>()
    };
    assert!(all("RUN").is_empty() && steps.iter().all(|(step, _)| step != "ADD"));
    assert!(all("COPY").iter().all(|text| text.starts_with(&format!("--from={name} "))));
    let user = all("USER");
    assert!(user.len() == 1 && user[0].split(':').all(|id| id.parse::<u32>().unwrap() >= 1000), "{user:?}");
    assert_eq!(
        (all("ENTRYPOINT"), all("STOPSIGNAL")),
        (vec!["[\"/tidegate\"]".to_owned()], vec!["SIGTERM".to_owned()])
    );
    let ignored = read(".dockerignore");
    for folder in ["target", ".git", "logs"] {
        assert!(ignored.lines().any(|line| line == folder), "{folder} would be sent to the builder");
    }
}

#[test]
fn the_image_by_default_is_the_originals_backend_server() {
    let steps = dockerfile();
    let of = |step: &str| steps.iter().rfind(|(one, _)| one == step).unwrap().1.clone();
    let command: Vec<String> = serde_json::from_str(&of("CMD")).unwrap();
    assert_command(&command, "Dockerfile");
    let reserved = Reserved::new();
    let port = reserved.address.port();
    let mut process = child::command(&command.iter().map(String::as_str).collect::<Vec<_>>());
    process.env_clear().env("PORT", port.to_string()).env("SERVER_ID", "B");
    let own = of("ENV");
    let own = own.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    for (name, value) in own {
        process.env(name, value.replace("0.0.0.0", "127.0.0.1")); // nothing in a test listens to the world
    }
    let backend = child::Process::run(&mut process);
    assert_eq!(backend.address.port(), port);
    let mut client = Client::connect(backend.address);
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let (bytes, _) = client.read_to_end();
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.ends_with("Hello from B – simulated 200ms"), "{text}");
}

#[test]
fn the_compose_file_starts_what_the_demo_has() {
    let [compose] = &yaml("packaging/compose.yaml")[..] else { panic!("one document") };
    let mut compose = compose.clone();
    compose.apply_merge().unwrap();
    let services = compose["services"].as_mapping().unwrap();
    assert_eq!(services.len(), 4);
    for (place, id, port) in [("backend-a", "A", 8081), ("backend-b", "B", 8082), ("backend-c", "C", 8083)] {
        let service = &compose["services"][place];
        assert_eq!(at(service, "environment.SERVER_ID"), id);
        let inside = at(service, "environment.PORT").as_str().unwrap();
        assert_eq!(at(service, "ports.0"), format!("127.0.0.1:{port}:{inside}").as_str());
        assert!(service["command"].is_null(), "the image's own");
    }
    for (name, service) in services {
        assert_eq!(service["image"], "tidegate", "{name:?}");
        assert_eq!(service["read_only"], true, "{name:?}");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name:?}");
    }
    let proxy = &compose["services"]["proxy"];
    let command = words(&proxy["command"]);
    assert_command(&command, "compose.yaml");
    let backends = &command[command.iter().position(|word| word == "--backend").unwrap() + 1];
    for backend in backends.split(',') {
        let (host, port) = backend.split_once(':').unwrap();
        assert_eq!(at(&compose["services"][host], "environment.PORT"), port, "{backend}");
        assert!(words(&proxy["depends_on"]).contains(&host.to_owned()), "{host} is looked up at start");
    }
    assert!(
        root()
            .join("packaging")
            .join(at(proxy, "build.context").as_str().unwrap())
            .join("Dockerfile")
            .exists()
    );
    let admin = at(proxy, "environment.TIDEGATE_ADMIN").as_str().unwrap().rsplit(':').next().unwrap();
    assert_eq!(
        words(&proxy["ports"]),
        ["127.0.0.1:9090:9090".to_owned(), format!("127.0.0.1:{admin}:{admin}")]
    );
    for secret in words(&proxy["secrets"]) {
        assert!(!compose["secrets"][secret.as_str()].is_null());
        assert_eq!(
            at(proxy, "environment.TIDEGATE_ADMIN_TOKEN_FILE"),
            format!("/run/secrets/{secret}").as_str()
        );
    }
    for volume in words(&proxy["volumes"]) {
        assert!(compose["volumes"].get(volume.split(':').next().unwrap()).is_some(), "{volume}");
    }
}

/// `Key=value` lines by key.
fn unit(path: &str) -> BTreeMap<String, Vec<String>> {
    let mut found = BTreeMap::<String, Vec<String>>::new();
    let text = read(path);
    for line in text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty()) {
        let (key, value) = line.split_once('=').unwrap();
        found.entry(key.to_owned()).or_default().push(value.to_owned());
    }
    found
}

#[test]
fn the_systemd_unit_starts_what_exists_and_gives_it_little() {
    let service = unit("packaging/systemd/tidegate.service");
    for key in ["ExecStart", "ExecReload"] {
        for line in service[key].iter().filter_map(|line| line.strip_prefix("/usr/bin/tidegate ")) {
            assert_command(&line.split(' ').map(str::to_owned).collect::<Vec<_>>(), "tidegate.service");
        }
    }
    for (key, value) in [
        ("Type", "notify"),
        ("DynamicUser", "yes"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("RestartPreventExitStatus", "2"),
    ] {
        assert_eq!(service[key], [value], "{key}");
    }
    assert!(service["SystemCallFilter"][0].contains("pidfd_getfd"), "socket activation wants it");
    let drain = Settings::default().load().unwrap().config;
    let stop: u64 = service["TimeoutStopSec"][0].trim_end_matches('s').parse().unwrap();
    assert!(stop > (drain.drain_delay + drain.drain_timeout).as_secs());
    let socket = unit("packaging/systemd/tidegate.socket");
    assert_eq!(socket["ListenStream"][0].rsplit(':').next().unwrap(), drain.listen.port().to_string());
}

#[test]
fn systemd_finds_nothing_to_say_about_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for name in ["tidegate.service", "tidegate.socket"] {
        let text = read(&format!("packaging/systemd/{name}"));
        let text = text.replace("/usr/bin/tidegate", env!("CARGO_BIN_EXE_tidegate"));
        let path = directory.path().join(name);
        fs::write(&path, text.replace("Documentation=man:tidegate-proxy(1)\n", "")).unwrap(); // is not installed here
        paths.push(path);
    }
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&paths).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("tidegate")).collect();
    assert!(output.status.success() && ours.is_empty(), "{said}");
    let words = ["security", "--offline=true", "--threshold=20", "--no-pager"];
    let output = Command::new("systemd-analyze").args(words).arg(&paths[0]).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "exposed more than 2.0: {said}");
}

fn manifest<'a>(all: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let is = |one: &&Value| one["kind"] == kind && at(one, "metadata.name") == name;
    all.iter().find(is).unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn manifests() -> Vec<Value> {
    [yaml("packaging/kubernetes/tidegate.yaml"), yaml("packaging/kubernetes/backends.yaml")].concat()
}

/// The configuration in the ConfigMap, pods' names being ports of loopback.
fn kubernetes_config(all: &[Value]) -> Loaded {
    let text =
        at(manifest(all, "ConfigMap", "tidegate"), "data")["tidegate.toml"].as_str().unwrap().to_owned();
    let mut text = text.replace("0.0.0.0", "127.0.0.1");
    for pod in 0..at(manifest(all, "StatefulSet", "backends"), "spec.replicas").as_u64().unwrap() {
        let name = format!("backends-{pod}.backends:8080");
        assert!(text.contains(&name), "{name} is not balanced over");
        text = text.replace(&name, &format!("127.0.0.1:{}", 18080 + pod));
    }
    assert!(!text.contains("backends-"), "a pod that is not there: {text}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tidegate.toml");
    fs::write(&path, text).unwrap();
    Settings { file: Some(path), ..Settings::default() }.load().unwrap()
}

#[test]
fn what_one_manifest_names_another_has() {
    let all = manifests();
    for (kind, name) in [("Deployment", "tidegate"), ("StatefulSet", "backends")] {
        let workload = manifest(&all, kind, name);
        let pod = at(workload, "spec.template.spec");
        let container = at(pod, "containers.0");
        assert_command(&words(&container["args"]), name);
        let labels = at(workload, "spec.template.metadata.labels");
        assert_eq!(at(workload, "spec.selector.matchLabels"), labels);
        let service = manifest(&all, "Service", name);
        assert_eq!(at(service, "spec.selector"), labels);
        let ports = container["ports"].as_sequence().unwrap();
        let target = at(service, "spec.ports.0.targetPort");
        assert!(ports.iter().any(|port| port["name"] == *target), "{name}: {target:?}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let port = [
                at(container, probe)["httpGet"]["port"].clone(),
                at(container, probe)["tcpSocket"]["port"].clone(),
            ];
            let port = port.into_iter().find(|port| !port.is_null());
            assert!(port.is_none_or(|port| ports.iter().any(|one| one["name"] == port)), "{name}: {probe}");
        }
        for (path, value) in [
            ("securityContext.runAsNonRoot", true),
            ("automountServiceAccountToken", false),
            ("enableServiceLinks", false),
            ("containers.0.securityContext.readOnlyRootFilesystem", true),
            ("containers.0.securityContext.allowPrivilegeEscalation", false),
        ] {
            assert_eq!(*at(pod, path), value, "{name}: {path}");
        }
        assert!(at(container, "resources.limits.memory").is_string(), "{name}");
        let mounts = container["volumeMounts"].as_sequence().into_iter().flatten();
        let volumes = pod["volumes"].as_sequence();
        for mount in mounts {
            let is = |volume: &Value| volume["name"] == mount["name"];
            assert!(volumes.is_some_and(|volumes| volumes.iter().any(is)), "{name}: {mount:?}");
        }
    }
    let backends = manifest(&all, "Service", "backends");
    assert_eq!(at(backends, "spec.clusterIP"), "None", "a headless one");
    assert_eq!(at(manifest(&all, "StatefulSet", "backends"), "spec.serviceName"), "backends");
}

#[test]
fn the_deployment_fits_the_configuration() {
    let all = manifests();
    let config = kubernetes_config(&all).config;
    let pod = at(manifest(&all, "Deployment", "tidegate"), "spec.template.spec");
    let container = at(pod, "containers.0");
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap();
    let drain = (config.drain_delay + config.drain_timeout).as_secs();
    assert!(grace >= drain + 5, "{grace} s for a drain of {drain} s");
    let port = |name: &str| {
        let ports = container["ports"].as_sequence().unwrap();
        ports.iter().find(|port| port["name"] == name).unwrap()["containerPort"].as_u64().unwrap()
    };
    assert_eq!(
        (port("http"), port("admin")),
        (config.listen.port().into(), config.admin.unwrap().port().into())
    );
    // Readiness must be seen to fail before connections are refused.
    let ready = &container["readinessProbe"];
    let seen = ready["periodSeconds"].as_u64().unwrap() * ready["failureThreshold"].as_u64().unwrap();
    assert!(config.drain_delay.as_secs() > seen);
}

#[test]
fn probes_are_answered_by_a_real_proxy() {
    let all = manifests();
    let container = at(manifest(&all, "Deployment", "tidegate"), "spec.template.spec.containers.0");
    let origin = Origin::echo_path();
    let backend = origin.address.to_string();
    let proxy = child::Process::start(&[
        "--backend",
        &backend,
        "--admin",
        "127.0.0.1:0",
        "--log",
        "none",
        "--drain-delay",
        "9s",
    ]);
    let status = |probe: &str| {
        let path = at(&container[probe], "httpGet.path").as_str().unwrap();
        let mut client = Client::connect(proxy.admin());
        client.send(format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"));
        let (bytes, _) = client.read_to_end();
        String::from_utf8(bytes).unwrap().split(' ').nth(1).unwrap().to_owned()
    };
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(status(probe), "200", "{probe}");
    }
    proxy.signal(rustix::process::Signal::TERM);
    wait_for("readiness to fail", || status("readinessProbe") == "503");
    assert_eq!(status("livenessProbe"), "200", "who drains must not be killed");
}

#[test]
fn the_log_is_rotated_by_a_file_that_logrotate_reads() {
    let text = read("packaging/logrotate/tidegate");
    let unit = read("packaging/systemd/tidegate.service");
    let directory = unit.lines().find_map(|line| line.strip_prefix("WorkingDirectory=")).unwrap();
    let unnamed = Settings::default().load().unwrap().config.log.unwrap();
    let below = unnamed.parent().unwrap().display();
    let places = format!("\n{directory}/*.csv {directory}/{below}/*.csv {{");
    assert!(text.contains(&places), "not where the unit has its log, named or not");
    assert!(text.contains("--signal=SIGUSR1 tidegate.service"));
    let Ok(output) =
        Command::new("logrotate").args(["-d", "packaging/logrotate/tidegate"]).current_dir(root()).output()
    else {
        return println!("skipped: no logrotate here");
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("error:"), "{said}");
}

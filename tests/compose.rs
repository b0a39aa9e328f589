//! Goal: what would break `docker compose -f docker-compose.kafka.yml up` on somebody's machine is seen here, where
//! no engine runs. Method: read the file as Compose does (merge keys, variables), and hold each part against what it
//! refers to: the binary's own command line and configuration, the program that the Kafka image configures itself
//! with, HAProxy, the servers of scripts/stack.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use quizstream::cli::{Cli, Command as Task, Role};
use serde_json::Value;

const SECRET: &str = "QUIZ_EDGE__TOKEN_SECRET";
/// What a person has set who follows the head of the file.
const SET: &[(&str, &str)] = &[(SECRET, "0123456789abcdef0123456789abcdef")];
const OURS: &str = concat!("quizstream:", env!("CARGO_PKG_VERSION"));

/// Settings of the tests' broker that the file's need not have, or has otherwise: where this broker is, and what
/// lets a test wait for retention.
const BROKER_OTHERWISE: &[&str] = &[
    "advertised.listeners",
    "controller.quorum.voters",
    "listener.security.protocol.map",
    "listeners",
    "log.dirs",
    "log.initial.task.delay.ms",
    "log.retention.check.interval.ms",
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn file(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|err| panic!("{path}: {err}"))
}

/// `text` with its variables replaced as Compose does: `$$`, `${A}`, `${A:-default}`, `${A:?message}`.
fn interpolate(text: &str, set: &[(&str, &str)]) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(behind) = behind.strip_prefix('$') {
            out.push('$');
            rest = behind;
            continue;
        }
        let inside = behind.strip_prefix('{').and_then(|behind| behind.split_once('}'));
        let (inside, behind) = inside.ok_or_else(|| format!("a $ that is neither $$ nor ${{NAME}}: {behind}"))?;
        let (name, otherwise) = inside.split_once(':').unwrap_or((inside, ""));
        let value = set.iter().find(|(key, value)| *key == name && !value.is_empty()).map(|(_, value)| *value);
        out.push_str(match (value, otherwise.split_at_checked(1)) {
            (Some(value), _) => value,
            (None, Some(("-", default))) => default,
            (None, Some(("?", message))) => return Err(format!("{name}: {message}")),
            _ => return Err(format!("{name} has no value")),
        });
        rest = behind;
    }
    Ok(out + rest)
}

fn replace(value: &mut Value, set: &[(&str, &str)]) -> Result<(), String> {
    match value {
        Value::String(text) => *text = interpolate(text, set)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| replace(item, set))?,
        Value::Object(entries) => entries.values_mut().try_for_each(|entry| replace(entry, set))?,
        _ => {}
    }
    Ok(())
}

fn compose_with(set: &[(&str, &str)]) -> Result<Value, String> {
    let mut yaml: serde_yaml_ng::Value =
        serde_yaml_ng::from_str(&file("docker-compose.kafka.yml")).map_err(|err| err.to_string())?;
    // One call follows one merge key; what it merges may have another.
    let mut before = serde_yaml_ng::Value::Null;
    while yaml != before {
        before = yaml.clone();
        yaml.apply_merge().map_err(|err| err.to_string())?;
    }
    let mut compose = serde_json::to_value(yaml).map_err(|err| err.to_string())?;
    replace(&mut compose, set)?;
    Ok(compose)
}

fn compose() -> Value {
    compose_with(SET).expect("the file reads")
}

fn services(compose: &Value) -> Vec<(&str, &Value)> {
    let services = compose["services"].as_object().expect("services");
    assert!(services.len() > 10, "the services were not found");
    services.iter().map(|(name, service)| (name.as_str(), service)).collect()
}

fn ours(compose: &Value) -> Vec<(&str, &Value)> {
    let ours: Vec<_> = services(compose).into_iter().filter(|(_, service)| service["image"] == OURS).collect();
    assert!(ours.len() > 6, "{OURS} is in the file");
    ours
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is a string"))
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().map(|items| items.iter().map(string).collect()).unwrap_or_default()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|entries| entries.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The roles that the service runs, if it runs any.
fn roles(service: &Value) -> Vec<Role> {
    let arguments = strings(&service["command"]);
    if !service["entrypoint"].is_null() {
        return Vec::new();
    }
    let cli = Cli::try_parse_from(["quizstream"].iter().chain(&arguments)).unwrap_or_else(|err| panic!("{err}"));
    match cli.command {
        Task::Serve(serve) => serve.roles,
        other => panic!("a service serves, and does not {other:?}"),
    }
}

fn is_one_shot(service: &Value) -> bool {
    service["restart"] == "no"
}

fn seconds(value: &Value) -> Duration {
    let number = string(value).strip_suffix('s').and_then(|number| number.parse().ok());
    Duration::from_secs(number.unwrap_or_else(|| panic!("{value} is seconds")))
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|err| panic!("{command:?}: {err}; scripts/setup"))
}

fn both(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The binary with the environment of a container, which has nothing of ours.
fn binary(environment: &Value) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quizstream"));
    command.env_clear();
    for key in keys(environment) {
        command.env(key, string(&environment[key]));
    }
    command
}

#[test]
fn variables_are_replaced_as_compose_does() {
    let set = [("A", "1"), ("EMPTY", "")];
    let right = [("${A}", "1"), ("$$A", "$A"), ("x${B:-2:3}y", "x2:3y"), ("${A:-2}", "1"), ("${EMPTY:-3}", "3")];
    for (text, wanted) in right {
        assert_eq!(interpolate(text, &set).as_deref(), Ok(wanted), "{text}");
    }
    for wrong in ["${B}", "$(date)", "${A", "${B:?say it}", "${EMPTY:?say it}", "5$"] {
        assert!(interpolate(wrong, &set).is_err(), "{wrong}");
    }
}

#[test]
fn a_missing_secret_is_said_and_nothing_else_must_be_set() {
    let missing = compose_with(&[]).expect_err("no secret");
    assert!(missing.starts_with(SECRET) && missing.contains("32"), "{missing}");
    assert!(compose_with(SET).is_ok());
}

#[test]
fn whatever_a_service_names_is_there() {
    let compose = compose();
    let all: BTreeMap<&str, &Value> = services(&compose).into_iter().collect();
    let mut volumes = BTreeSet::new();
    for (name, service) in &all {
        for other in keys(&service["depends_on"]) {
            let needed = all.get(other).unwrap_or_else(|| panic!("{name} depends on {other}, which is no service"));
            let condition = string(&service["depends_on"][other]["condition"]);
            let kept = if is_one_shot(needed) { "service_completed_successfully" } else { "service_healthy" };
            assert_eq!(condition, kept, "{name} waits for {other}");
        }
        let networks = match &service["networks"] {
            Value::Array(_) => strings(&service["networks"]),
            named => keys(named),
        };
        assert!(!networks.is_empty(), "{name} is in a network");
        networks.iter().for_each(|network| assert!(keys(&compose["networks"]).contains(network), "{name}: {network}"));
        for volume in service["volumes"].as_array().into_iter().flatten() {
            match volume.as_str().and_then(|volume| volume.split_once(':')) {
                Some((volume, _)) => assert!(volumes.insert(volume.to_string()), "{volume} has two users"),
                None => assert_eq!(volume["type"], "tmpfs", "{name}"),
            }
        }
        for config in service["configs"].as_array().into_iter().flatten() {
            assert!(keys(&compose["configs"]).contains(&string(&config["source"])), "{name}: {config}");
        }
    }
    let declared: BTreeSet<String> = keys(&compose["volumes"]).into_iter().map(String::from).collect();
    assert_eq!(volumes, declared);
    // Started in the order of their dependencies, all start: there is no ring.
    let mut started = BTreeSet::new();
    while started.len() < all.len() {
        let next = all.iter().filter(|(name, service)| {
            !started.contains(**name) && keys(&service["depends_on"]).iter().all(|other| started.contains(*other))
        });
        let next: Vec<&str> = next.map(|(name, _)| *name).collect();
        assert!(!next.is_empty(), "a ring of dependencies beside {started:?}");
        started.extend(next);
    }
}

#[test]
fn what_ends_is_started_again_and_everything_is_bounded() {
    let compose = compose();
    for (name, service) in services(&compose) {
        assert!(is_one_shot(service) || service["restart"] == "unless-stopped", "{name} has no supervisor");
        let is_checked = service["healthcheck"]["test"].is_array() && service["healthcheck"]["disable"] != true;
        assert_eq!(is_checked, !is_one_shot(service), "{name}: who goes on has a health check, who ends has none");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["memory"].is_string(), "{name} may take all memory");
        // An engine refuses a limit above the processors that it has.
        assert!(string(&limits["cpus"]).parse::<f64>().is_ok_and(|cpus| cpus <= 2.0), "{name}: {limits}");
        assert!(service["logging"]["options"]["max-size"].is_string(), "{name} may fill the disk with its log");
        // Names and ports of the host would keep a second copy from starting.
        assert!(service["container_name"].is_null(), "{name} cannot be scaled");
        assert_eq!(!service["ports"].is_null(), name == "balancer", "only the balancer is reached from outside");
        if !is_one_shot(service) && service["image"] == OURS {
            assert_eq!(service["read_only"], true, "{name}");
        }
    }
    assert_eq!(strings(&compose["services"]["balancer"]["ports"]), ["127.0.0.1:8080:8080"]);
    let elsewhere = [SET[0], ("QUIZSTREAM_LISTEN", "0.0.0.0"), ("QUIZSTREAM_PORT", "80")];
    let elsewhere = compose_with(&elsewhere).expect("it reads");
    assert_eq!(strings(&elsewhere["services"]["balancer"]["ports"]), ["0.0.0.0:80:8080"]);
}

#[test]
fn images_have_a_fixed_version() {
    let compose = compose();
    let dockerfile = file("Dockerfile");
    let bases = dockerfile.lines().filter_map(|line| line.strip_prefix("FROM ")?.split(' ').next());
    let images = services(&compose).into_iter().map(|(_, service)| string(&service["image"])).chain(bases);
    let images: BTreeSet<&str> = images.collect();
    assert!(images.len() > 6, "{images:?}");
    for image in &images {
        let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{image} has no version"));
        let version = tag.split('-').next().unwrap_or_default();
        assert!(version.matches('.').count() >= 1 && version.starts_with(|c: char| c.is_ascii_digit()), "{image}");
    }
    let rust = format!("rust:{}.", env!("CARGO_PKG_RUST_VERSION"));
    assert!(images.iter().any(|image| image.starts_with(&rust)), "the workspace wants {rust}: {images:?}");
    let kafka = file("scripts/lib/paths.sh");
    let kafka = kafka.lines().find_map(|line| line.strip_prefix("KAFKA_VERSION=")).expect("the version of the tests");
    assert_eq!(compose["services"]["kafka"]["image"], format!("apache/kafka:{kafka}"));
    let builders: Vec<_> = ours(&compose).into_iter().filter(|(_, service)| !service["build"].is_null()).collect();
    assert!(builders.len() == 1 && builders[0].1["pull_policy"] == "build", "one service builds the image");
    for (name, service) in ours(&compose) {
        assert!(service["pull_policy"] != Value::Null, "{name} would pull an image of our name from a stranger");
    }
}

#[test]
fn every_role_runs_and_may_be_scaled() {
    let compose = compose();
    let mut running = BTreeMap::new();
    for (_, service) in ours(&compose) {
        for role in roles(service) {
            let copies = service["deploy"]["replicas"].as_u64().unwrap_or(1);
            *running.entry(format!("{role:?}")).or_insert(0) += copies;
        }
    }
    let copies = |role: &Role| if matches!(role, Role::Scoring | Role::Edge) { 2 } else { 1 };
    let every = Role::value_variants().iter().filter(|role| **role != Role::All);
    assert_eq!(running, every.map(|role| (format!("{role:?}"), copies(role))).collect());
}

#[test]
fn each_setting_is_one_that_the_binary_takes() {
    let compose = compose();
    for (name, service) in ours(&compose) {
        let environment = &service["environment"];
        let output = run(binary(environment).args(["config", "print", "--json"]));
        assert!(output.status.success(), "{name}: {}", both(&output));
        let printed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        for key in keys(environment) {
            let setting = key.strip_prefix("QUIZ_").expect("ours").to_lowercase().replace("__", ".");
            assert_eq!(printed[&setting]["source"], "environment", "{name}: {key} sets nothing");
            assert_eq!(printed[&setting]["value"], environment[key], "{name}: {key}");
        }
        assert_eq!(!environment[SECRET].is_null(), roles(service).contains(&Role::Edge), "{name}: only edges sign");
        assert_eq!(environment["QUIZ_ADMIN__LISTEN"], "0.0.0.0:9090", "{name}: its health is asked at that port");
    }
    let misspelled = run(binary(&serde_json::json!({"QUIZ_EDGE__LISTENS": "0.0.0.0:1"})).args(["config", "check"]));
    assert_eq!(misspelled.status.code(), Some(2), "a setting that is none is refused: {}", both(&misspelled));
}

#[test]
fn each_address_is_one_where_a_service_listens() {
    let compose = compose();
    let at = |name: &str, key: &str| string(&compose["services"][name]["environment"][key]).to_string();
    let port = |address: &str| address.rsplit_once(':').expect("a port").1.to_string();
    let advertised = at("kafka", "KAFKA_ADVERTISED_LISTENERS");
    assert_eq!(advertised, format!("PLAINTEXT://{}", at("sessions", "QUIZ_KAFKA__BOOTSTRAP_SERVERS")));
    assert!(at("kafka", "KAFKA_LISTENERS").contains(&format!("PLAINTEXT://0.0.0.0:{},", port(&advertised))));
    let registry = port(&at("registry", "QUIZ_REGISTRY__LISTEN"));
    assert_eq!(at("sessions", "QUIZ_REGISTRY__URL"), format!("http://registry:{registry}"));
    assert_eq!(at("sessions", "QUIZ_MONGO__URI"), "mongodb://mongos:27017/?w=majority");
    assert_eq!(at("sessions", "QUIZ_REDIS__URL"), "redis://redis:6379/", "the port of the image");
    let sets = string(&compose["services"]["mongo-sets"]["command"][0]).to_string();
    for set in ["config", "a", "b"] {
        let command = strings(&compose["services"][format!("mongo-{set}")]["command"]).join(" ");
        assert!(command.contains(&format!("--replSet {set} --port 27017")), "{command}");
        assert!(sets.contains(&format!("{set:?}")), "{set} is initiated");
    }
    let router = strings(&compose["services"]["mongos"]["command"]).join(" ");
    assert!(router.contains("--configdb config/mongo-config:27017 --port 27017"), "{router}");
}

/// The settings of the broker, by the program with which its image makes its properties of the environment.
fn broker_properties(environment: &Value) -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = |name: &str| {
        let folder = dir.path().join(name);
        std::fs::create_dir(&folder).expect("a folder");
        folder
    };
    let (defaults, mounted, made) = (folder("defaults"), folder("mounted"), folder("made"));
    for log in ["log4j2.yaml", "tools-log4j2.yaml"] {
        let text = "Configuration:\n  Loggers:\n    Root: { level: INFO, AppenderRef: [] }\n    Logger: []\n";
        std::fs::write(defaults.join(log), text).expect("written");
    }
    let paths = Command::new("bash")
        .args(["-c", "source scripts/lib/paths.sh && echo $KAFKA_LIBS"])
        .current_dir(root())
        .output();
    let jars = String::from_utf8(paths.expect("bash").stdout).expect("UTF-8");
    let mut java = Command::new("java");
    java.args(["-XX:TieredStopAtLevel=1", "-cp", &format!("{}/*", jars.trim()), "kafka.docker.KafkaDockerWrapper"]);
    java.arg("setup").arg("-D").arg(&defaults).arg("-M").arg(&mounted).arg("-F").arg(&made);
    java.env_clear().env("PATH", std::env::var_os("PATH").expect("a path"));
    for key in keys(environment) {
        java.env(key, string(&environment[key]));
    }
    // The last word has the folder of the data, which it also formats.
    java.env("KAFKA_LOG_DIRS", dir.path().join("data"));
    let output = run(&mut java);
    assert!(output.status.success(), "the image would not start: {}", both(&output));
    properties(&std::fs::read_to_string(made.join("server.properties")).expect("the properties"))
}

fn properties(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect()
}

#[test]
fn the_broker_has_the_settings_of_the_one_that_everything_is_tested_on() {
    let compose = compose();
    let found = broker_properties(&compose["services"]["kafka"]["environment"]);
    let servers = file("scripts/lib/servers.sh");
    let tested = servers.split("<<PROPERTIES\n").nth(1).and_then(|text| text.split("\nPROPERTIES\n").next());
    let tested = properties(tested.expect("the broker's properties"));
    assert!(tested.len() > 25, "{tested:?}");
    for (key, value) in tested.iter().filter(|(key, _)| !BROKER_OTHERWISE.contains(&key.as_str())) {
        assert_eq!(found.get(key), Some(value), "{key}");
    }
    for key in found.keys() {
        assert!(tested.contains_key(key), "{key} is set here only");
    }
    for (key, value) in &found {
        if key.ends_with("replication.factor") || key.ends_with(".isr") {
            assert_eq!(value, "1", "{key}: there is one broker");
        }
    }
    let brokers = services(&compose).iter().filter(|(_, service)| string(&service["image"]).contains("kafka")).count();
    let copies = &compose["services"]["prepare"]["environment"]["QUIZ_KAFKA__REPLICATION_FACTOR"];
    assert_eq!(*copies, brokers.to_string(), "our topics fit the brokers");
}

/// A folder in which a program of this name runs as `script`, for a path.
fn program(name: &str, script: &str) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    std::fs::write(&path, format!("#!/bin/bash\n{script}\n")).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("made a program");
    dir
}

#[test]
fn preparing_waits_for_servers_and_for_nothing_else() {
    let compose = compose();
    let prepare = &compose["services"]["prepare"];
    let script = strings(&prepare["command"])[0];
    // Exit codes of the calls in their order; a server is away while it is 5.
    let outcome = |codes: &str| {
        let dir = program(
            "quizstream",
            r#"
            here=$(dirname "$0"); calls=$here/calls; codes=($(<"$here/codes"))
            [[ -e $calls ]] && number=$(wc -l <"$calls") || number=0
            echo "$*" >>"$calls"; exit "${codes[$number]}""#,
        );
        std::fs::write(dir.path().join("codes"), codes).expect("written");
        std::os::unix::fs::symlink("/bin/true", dir.path().join("sleep")).expect("time flies");
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let mut command = Command::new(strings(&prepare["entrypoint"])[0]);
        let output = run(command.arg(strings(&prepare["entrypoint"])[1]).arg(script).env_clear().env("PATH", path));
        let calls = std::fs::read_to_string(dir.path().join("calls")).expect("it was called");
        (output.status.code(), calls.lines().map(String::from).collect::<Vec<_>>())
    };
    let (topics, store) = ("topics apply", "admin store apply");
    assert_eq!(outcome("0 0"), (Some(0), vec![topics.into(), store.into()]));
    assert_eq!(outcome("5 5 0 5 0").0, Some(0), "it waits for both");
    assert_eq!(outcome("5 4"), (Some(4), vec![topics.into(), topics.into()]), "a topic that differs needs a person");
    assert_eq!(outcome("0 2").0, Some(2));
    let (code, calls) = outcome(&"5 ".repeat(100));
    assert!(code == Some(5) && calls.len() < 50, "it gives up: {code:?} after {}", calls.len());
    for words in [topics, store] {
        let arguments = ["quizstream"].into_iter().chain(words.split(' '));
        assert!(Cli::try_parse_from(arguments).is_ok(), "{words} is a command");
    }
}

#[test]
fn the_balancer_knows_the_edges_and_they_know_it() {
    let compose = compose();
    let config = string(&compose["configs"]["balancer"]["content"]);
    let balancer = &compose["services"]["balancer"];
    let mut here = config.to_string();
    let mut sockets = 0;
    for (name, edge) in ours(&compose).into_iter().filter(|(_, service)| roles(service) == [Role::Edge]) {
        let environment = &edge["environment"];
        let connections = string(&environment["QUIZ_EDGE__CONNECTIONS_MAX"]);
        let (_, port) = string(&environment["QUIZ_EDGE__LISTEN"]).rsplit_once(':').expect("a port");
        for line in [
            format!("server {name} {name}:{port} check addr 127.0.0.1 port 8404 cookie {name} maxconn {connections}"),
            format!("server {name} {name}:{port} track edges/{name} maxconn {connections}"),
            format!("server admin {name}:9090"),
            format!("use_backend ready-{name} if {{ path /ready/{name} }}"),
            format!("backend ready-{name}"),
        ] {
            assert_eq!(config.lines().filter(|found| found.trim() == line).count(), 1, "{line}");
        }
        assert!(keys(&balancer["depends_on"]).contains(&name));
        assert_eq!(environment["QUIZ_EDGE__TRUSTED_PROXIES"], balancer["networks"]["front"]["ipv4_address"]);
        assert!(strings(&edge["networks"]).contains(&"front"));
        let connections: u64 = connections.parse().expect("a number");
        assert!(edge["ulimits"]["nofile"]["soft"].as_u64() > Some(connections + 1_000), "{name} has files for all");
        let drain = quiz_ingest::EdgeConfig::new([1; 32]).drain_deadline;
        assert!(seconds(&edge["stop_grace_period"]) > drain, "{name} is killed while it drains");
        sockets += connections;
        here = here.replace(&format!(" {name}:"), " 127.0.0.1:");
    }
    assert!(config.contains(&format!("maxconn {sockets}\n")), "the balancer holds what its edges hold");
    assert!(balancer["ulimits"]["nofile"]["soft"].as_u64() > Some(2 * sockets + 1_000));
    // The fixed address is outside of what others get.
    let pool = &compose["networks"]["front"]["ipam"]["config"][0];
    let front = string(&pool["subnet"]).strip_suffix("0/24").expect("a network of 256");
    assert_eq!(pool["ip_range"], format!("{front}128/25"));
    assert_eq!(balancer["networks"]["front"]["ipv4_address"], format!("{front}2"));
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("haproxy.cfg");
    std::fs::write(&path, here).expect("written");
    let output = run(Command::new("haproxy").args(["-c", "-f"]).arg(&path));
    let said = both(&output);
    assert!(output.status.success() && !said.contains("WARNING") && !said.contains("ALERT"), "{said}");
}

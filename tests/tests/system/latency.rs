//! Latency geolocation from end to end: landmarks in network namespaces whose networks answer as late as light and
//! routes would make them, pings by the real program, handshakes through the real kernel programs and daemons.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use lynceus_enrich::latency::{FIBER_KM_PER_MS, LatLon};
use lynceus_tests::late::{LINK, LateNetwork};
use lynceus_tests::need_root;
use lynceus_tests::netns::Netns;
use lynceus_tests::program::{Running, built};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
const TARGET: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);
const OWN: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);

/// Where landmarks are, in degrees.
const LANDMARKS: [(&str, f64, f64); 4] = [
    ("vienna", 48.208, 16.373),
    ("belgrade", 44.787, 20.457),
    ("prague", 50.075, 14.438),
    ("bucharest", 44.427, 26.103),
];
/// Budapest.
const TRUTH: (f64, f64) = (47.498, 19.040);

fn place((lat, lon): (f64, f64)) -> LatLon {
    LatLon::new(lat, lon).unwrap()
}

/// The time of a way a third longer than the great circle, and a last mile.
fn delay(landmark: LatLon, target: LatLon) -> Duration {
    let way = 2.0 * landmark.distance_km(target) * 1.3 / FIBER_KM_PER_MS;
    Duration::from_secs_f64((way + 0.5) / 1e3)
}

fn landmark_file(folder: &Path) -> String {
    let mut text = String::from("id,latitude,longitude,address\n");
    for (number, (id, lat, lon)) in LANDMARKS.iter().enumerate() {
        let _ = writeln!(text, "{id},{lat},{lon},198.18.1.{number}");
    }
    let path = folder.join("landmarks.csv");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8(output.stdout)?)
}

fn locate(folder: &Path, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new(built("lynceus")?);
    command
        .args(["landmarks", "locate", &TARGET.to_string(), "--json"])
        .args(arguments)
        .env("HOME", folder)
        .env_remove("XDG_STATE_HOME");
    serde_json::from_str(&output(&mut command)?).context("JSON of locate")
}

fn ping(namespace: &Netns, folder: &Path, arguments: &[&str]) -> Result<String> {
    let mut command = namespace.command(built("lynceus")?);
    command
        .args(["landmarks", "ping", &TARGET.to_string()])
        .args(arguments)
        .env("HOME", folder)
        .env_remove("XDG_STATE_HOME");
    output(&mut command)
}

/// The region holds the truth, says so in all its numbers, and is not much larger than the times allow.
fn check_region(found: &Value, largest_km: f64) {
    assert_eq!(found["outcome"], "region", "{found:#}");
    let region = &found["region"];
    let number = |value: &Value| value.as_f64().unwrap();
    let centroid = &region["centroid"];
    let centroid = place((number(&centroid["latitude"]), number(&centroid["longitude"])));
    let truth = place(TRUTH);
    let error = centroid.distance_km(truth);
    println!(
        "centroid {centroid}, {error:.0} km off; {:.0} km at most",
        number(&region["radius_max_km"])
    );
    assert!(error <= number(&region["radius_max_km"]));
    assert!(number(&region["radius_max_km"]) < largest_km, "{region:#}");
    let bounds = &region["box"];
    assert!((number(&bounds["south"])..=number(&bounds["north"])).contains(&truth.lat()));
    assert!((number(&bounds["west"])..=number(&bounds["east"])).contains(&truth.lon()));
    for landmark in found["landmarks"].as_array().unwrap() {
        let here = &landmark["place"];
        let here = place((number(&here["latitude"]), number(&here["longitude"])));
        assert!(
            here.distance_km(truth) <= number(&landmark["within_km"]),
            "{landmark}"
        );
    }
    let refuted = |index: usize| !found["claims"][index]["refuted_by"].is_null();
    assert!(refuted(0), "light permits Montreal");
    assert!(!refuted(1), "light forbids the truth");
}

const CLAIMS: [&str; 4] = ["--claim", "45.5,-73.57", "--claim", "47.498,19.04"];

#[test]
fn pings_by_landmarks_hold_the_truth() {
    let Some(_root) = need_root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let landmarks = landmark_file(folder.path());
    let mut rows = String::from("landmark,target,rtt_ms\n");
    for (number, (id, lat, lon)) in LANDMARKS.into_iter().enumerate() {
        let namespace = Netns::new(id).unwrap();
        let late = delay(place((lat, lon)), place(TRUTH));
        let _network = LateNetwork::start(&namespace, OWN, vec![(TARGET, late)]).unwrap();
        if number == 0 {
            // Without leave nothing is sent.
            assert!(ping(&namespace, folder.path(), &["--as", id]).is_err());
            assert!(!folder.path().join(".local").exists());
        }
        let text = ping(
            &namespace,
            folder.path(),
            &["--as", id, "--active", "--count", "5"],
        )
        .unwrap();
        let row = text.lines().nth(1).unwrap();
        let rtt: f64 = row.rsplit(',').next().unwrap().parse().unwrap();
        assert!(rtt >= late.as_secs_f64() * 1e3, "{row}: light is not that fast");
        rows += row;
        rows.push('\n');
    }
    let log = std::fs::read_to_string(folder.path().join(".local/state/lynceus/probes.jsonl")).unwrap();
    assert_eq!(
        log.lines().count(),
        LANDMARKS.len(),
        "each probe is in the log: {log}"
    );
    let found = by_measurements(folder.path(), &landmarks, &rows, &CLAIMS).unwrap();
    assert_eq!(found["landmarks"].as_array().unwrap().len(), LANDMARKS.len());
    check_region(&found, 1500.0);
}

/// Where the target is by the times in `rows` alone.
fn by_measurements(folder: &Path, landmarks: &str, rows: &str, more: &[&str]) -> Result<Value> {
    let measurements = folder.join("rtt.csv");
    std::fs::write(&measurements, rows)?;
    let measurements = measurements.display().to_string();
    let files = [
        "--no-sensors",
        "--landmarks",
        landmarks,
        "--measurements",
        &measurements,
    ];
    locate(folder, &[&files[..], more].concat())
}

#[test]
fn an_address_that_is_near_to_two_distant_landmarks_is_in_no_single_place() {
    let Some(_root) = need_root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let landmarks = landmark_file(folder.path());
    let mut rows = String::from("landmark,target,rtt_ms\n");
    for id in ["prague", "bucharest"] {
        let namespace = Netns::new(id).unwrap();
        let late = vec![(TARGET, Duration::from_millis(1))];
        let _network = LateNetwork::start(&namespace, OWN, late).unwrap();
        let text = ping(
            &namespace,
            folder.path(),
            &["--as", id, "--active", "--count", "10"],
        )
        .unwrap();
        rows += text.lines().nth(1).unwrap();
        rows.push('\n');
    }
    let found = by_measurements(folder.path(), &landmarks, &rows, &[]).unwrap();
    assert_eq!(found["outcome"], "no_place", "{rows}{found:#}");
    assert_eq!(found["no_place"]["separate"].as_array().unwrap().len(), 2);
}

#[test]
fn pings_from_a_place_that_nobody_knows_hold_the_truth() {
    let Some(_root) = need_root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let landmarks = landmark_file(folder.path());
    // From Bratislava to the target and to all landmarks.
    let here = place((48.149, 17.107));
    let mut delays = vec![(TARGET, delay(here, place(TRUTH)))];
    for (number, (_, lat, lon)) in LANDMARKS.iter().enumerate() {
        let address = Ipv4Addr::new(198, 18, 1, number as u8);
        delays.push((address, delay(here, place((*lat, *lon)))));
    }
    let namespace = Netns::new("anywhere").unwrap();
    let _network = LateNetwork::start(&namespace, OWN, delays).unwrap();
    let arguments = ["--active", "--landmarks", &landmarks, "--count", "5"];
    let rows = ping(&namespace, folder.path(), &arguments).unwrap();
    assert_eq!(rows.lines().count(), 1 + LANDMARKS.len(), "{rows}");
    let found = by_measurements(folder.path(), &landmarks, &rows, &CLAIMS).unwrap();
    check_region(&found, 2500.0);
}

#[test]
fn handshakes_that_sensors_saw_hold_the_truth_and_cost_no_packet() {
    let Some(_root) = need_root() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let socket = format!("unix:{path}/ingest.sock");
    std::fs::write(
        folder.path().join("collector.toml"),
        format!("listen = \"{socket}\"\nhttp_listen = \"\"\n[store]\ndirectory = \"{path}/store\"\n"),
    )
    .unwrap();
    let mut command = Command::new(built("lynceus-collector").unwrap());
    command.arg("--config").arg(folder.path().join("collector.toml"));
    let collector = Running::start(command, "listening", PATIENCE).unwrap();
    for (id, lat, lon) in LANDMARKS {
        let namespace = Netns::new(id).unwrap();
        let late = delay(place((lat, lon)), place(TRUTH));
        let _network = LateNetwork::start(&namespace, OWN, vec![(TARGET, late)]).unwrap();
        let sensor = sensor(&namespace, folder.path(), id, (lat, lon), &socket).unwrap();
        namespace.run(|| {
            for port in [443, 80, 22] {
                let begun = Instant::now();
                TcpStream::connect_timeout(&SocketAddr::from((TARGET, port)), PATIENCE).unwrap();
                assert!(begun.elapsed() >= late);
            }
        });
        std::thread::sleep(Duration::from_millis(500));
        let ended = sensor.terminate(PATIENCE).unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    // Everything that the collector acknowledged is there; its tables follow within moments.
    let deadline = Instant::now() + PATIENCE;
    let found = loop {
        let arguments = ["--connect", &socket];
        let found = locate(folder.path(), &[&arguments[..], &CLAIMS].concat()).unwrap();
        if found["landmarks"].as_array().unwrap().len() == LANDMARKS.len() {
            break found;
        }
        assert!(Instant::now() < deadline, "{found:#}");
        std::thread::sleep(Duration::from_millis(200));
    };
    check_region(&found, 1500.0);
    // The dossier has it too.
    let mut dossier = Command::new(built("lynceus").unwrap());
    dossier
        .args(["ip", "--where", "--json", &TARGET.to_string()])
        .env("HOME", folder.path())
        .env("LYNCEUS_COLLECTOR", &socket);
    let dossier: Value = serde_json::from_str(&output(&mut dossier).unwrap()).unwrap();
    assert_eq!(dossier["where"]["region"], found["region"]);
    // Its collector puts the same region among the fields, unasked.
    let fields = &dossier["fields"];
    for (field, known) in [
        ("light_radius_max_km", &found["region"]["radius_max_km"]),
        ("light_radius_90_km", &found["region"]["radius_90_km"]),
        ("light_latitude", &found["region"]["centroid"]["latitude"]),
        ("light_longitude", &found["region"]["centroid"]["longitude"]),
    ] {
        assert_eq!(&fields[field]["value"], known, "{field}");
    }
    let landmarks = fields["light_landmarks"]["value"].as_array().unwrap();
    assert_eq!(landmarks.len(), LANDMARKS.len(), "{landmarks:?}");
    let probes = folder.path().join(".local/state/lynceus/probes.jsonl");
    assert!(!probes.exists(), "locating sends nothing");
    collector.terminate(PATIENCE).unwrap();
}

fn sensor(
    namespace: &Netns,
    folder: &Path,
    id: &str,
    (latitude, longitude): (f64, f64),
    collector: &str,
) -> Result<Running> {
    let state = folder.join(id);
    std::fs::create_dir_all(&state)?;
    let config = state.join("sensor.toml");
    std::fs::write(
        &config,
        format!(
            "name = \"{id}\"\nstate_dir = \"{}\"\n[position]\nlatitude = {latitude}\nlongitude = {longitude}\n\
             error_km = 5\n[capture]\ninterfaces = [\"{LINK}\"]\n[collector]\nurl = \"{collector}\"\n\
             [status]\nlisten = \"\"\nreport = \"1s\"\n",
            state.display()
        ),
    )?;
    let mut command = namespace.command(built("lynceus-sensor")?);
    command.arg("--config").arg(config);
    Running::start(command, "the sensor runs", PATIENCE)
}

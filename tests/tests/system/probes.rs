//! Ping, traceroute and connect scan through real routers: three namespaces in a row.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;
use std::net::{IpAddr, TcpListener};
use std::time::{Duration, Instant};

use lynceus_enrich::provider::{Fault, connect_scan, echo, trace};
use lynceus_tests::need_root;
use lynceus_tests::netns::{Netns, VethOptions, veth};
use lynceus_tests::program::built;

/// client — router — server, IPv4 and IPv6.
struct Row {
    client: Netns,
    _router: Netns,
    server: Netns,
}

const SERVER: &str = "10.79.2.2";
const SERVER6: &str = "fd79:2::2";

fn row() -> Row {
    let [client, router, server] = ["client", "router", "server"].map(|name| Netns::new(name).unwrap());
    for namespace in [&client, &router, &server] {
        for scope in ["all", "default"] {
            let key = format!("net/ipv6/conf/{scope}/disable_ipv6");
            namespace.sysctl(&key, "0").unwrap();
        }
    }
    veth((&client, "c0"), (&router, "left"), VethOptions::default()).unwrap();
    veth((&server, "s0"), (&router, "right"), VethOptions::default()).unwrap();
    client.ip("addr add 10.79.1.2/24 dev c0").unwrap();
    router.ip("addr add 10.79.1.1/24 dev left").unwrap();
    router.ip("addr add 10.79.2.1/24 dev right").unwrap();
    server.ip("addr add 10.79.2.2/24 dev s0").unwrap();
    client.ip("-6 addr add fd79:1::2/64 dev c0 nodad").unwrap();
    router.ip("-6 addr add fd79:1::1/64 dev left nodad").unwrap();
    router.ip("-6 addr add fd79:2::1/64 dev right nodad").unwrap();
    server.ip("-6 addr add fd79:2::2/64 dev s0 nodad").unwrap();
    client.ip("route add default via 10.79.1.1").unwrap();
    server.ip("route add default via 10.79.2.1").unwrap();
    client.ip("-6 route add default via fd79:1::1").unwrap();
    server.ip("-6 route add default via fd79:2::1").unwrap();
    router.sysctl("net/ipv4/ip_forward", "1").unwrap();
    router.sysctl("net/ipv6/conf/all/forwarding", "1").unwrap();
    // Linux answers with few time-exceeded messages a second, which is not what is tested here.
    router.sysctl("net/ipv4/icmp_ratelimit", "0").unwrap();
    router.sysctl("net/ipv6/icmp/ratelimit", "0").unwrap();
    let row = Row {
        client,
        _router: router,
        server,
    };
    // New links take a second or two until they have found their IPv6 neighbors.
    let begin = Instant::now();
    while row
        .client
        .run(|| echo(ip(SERVER6), 1, Duration::from_millis(300)))
        .is_ok_and(|echoes| echoes.times.is_empty())
    {
        assert!(
            begin.elapsed() < Duration::from_secs(15),
            "IPv6 does not pass the router"
        );
    }
    row
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn echoes_come_back_and_missing_ones_are_counted() {
    let Some(_root) = need_root() else { return };
    let row = row();
    let wait = Duration::from_millis(500);
    for (address, ttl) in [(SERVER, 63), (SERVER6, 63)] {
        let before = row.server.snmp("Icmp", "InEchos").unwrap();
        let echoes = row.client.run(|| echo(ip(address), 3, wait)).unwrap();
        assert_eq!((echoes.sent, echoes.times.len()), (3, 3), "{address}: {echoes:?}");
        assert!(echoes.min() <= echoes.average() && echoes.average() <= echoes.max());
        assert!(echoes.max().unwrap() < wait && echoes.loss() < 1e-9);
        if address == SERVER {
            assert_eq!(row.server.snmp("Icmp", "InEchos").unwrap() - before, 3);
            // One router on the way takes one off 64, where the kernel tells it.
            assert!(echoes.ttl.is_none_or(|seen| seen == ttl), "{echoes:?}");
        }
    }
    row.server.sysctl("net/ipv4/icmp_echo_ignore_all", "1").unwrap();
    let begin = Instant::now();
    let echoes = row.client.run(|| echo(ip(SERVER), 2, wait)).unwrap();
    assert_eq!((echoes.sent, echoes.times.len(), echoes.min()), (2, 0, None));
    assert!((echoes.loss() - 100.0).abs() < 1e-9);
    assert!(begin.elapsed() < Duration::from_secs(15));
    // A machine without a route learns that at once.
    let alone = Netns::new("alone").unwrap();
    let fault = alone.run(|| echo(ip("192.0.2.1"), 3, wait)).unwrap_err();
    assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}");
}

#[test]
fn the_way_is_seen_router_by_router() {
    let Some(_root) = need_root() else { return };
    let row = row();
    for (address, router) in [(SERVER, "10.79.1.1"), (SERVER6, "fd79:1::1")] {
        let route = row
            .client
            .run(|| trace(ip(address), 8, Duration::from_secs(1)))
            .unwrap();
        assert!(route.reached, "{route:?}");
        let way: Vec<(u8, Vec<IpAddr>)> = route
            .hops
            .iter()
            .map(|hop| (hop.ttl, hop.addresses.clone()))
            .collect();
        assert_eq!(way, [(1, vec![ip(router)]), (2, vec![ip(address)])], "{route:?}");
        assert!(
            route
                .hops
                .iter()
                .all(|hop| hop.best_ms.is_some_and(|ms| ms < 500.0) && hop.received > 0)
        );
    }
    // Somebody who is not there: the way ends at the router.
    let route = row
        .client
        .run(|| trace(ip("10.79.2.77"), 4, Duration::from_millis(500)));
    match route {
        Ok(route) => assert!(!route.reached, "{route:?}"),
        Err(fault) => assert!(matches!(fault, Fault::Unreachable(_)), "{fault:?}"),
    }
}

#[test]
fn open_closed_and_silent_ports_are_told_apart() {
    let Some(_root) = need_root() else { return };
    let row = row();
    let listener = row.server.run(|| TcpListener::bind("0.0.0.0:2222").unwrap());
    let talker = row
        .server
        .spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"SSH-2.0-probe\r\n").unwrap();
            std::thread::sleep(Duration::from_millis(500));
        })
        .unwrap();
    // Packets to this port vanish.
    row.server.ip("route add blackhole 10.79.9.0/24").unwrap();
    // Who is there answers at once, as far as the machine lets him.
    let long = Duration::from_secs(20);
    let (open, silent) = row
        .client
        .run(|| connect_scan(ip(SERVER), &[2222, 2223], long, long));
    assert_eq!(open.len(), 1);
    assert_eq!(
        (open[0].port, open[0].banner.as_deref()),
        (2222, Some("SSH-2.0-probe"))
    );
    assert_eq!(silent, [] as [u16; 0]);
    let wait = Duration::from_millis(700);
    let (open, silent) = row
        .client
        .run(|| connect_scan(ip("10.79.9.9"), &[80], wait, wait));
    assert_eq!((open.len(), silent), (0, vec![80]));
    talker.join().unwrap();
}

#[test]
fn a_machine_without_network_answers_at_once() {
    let Some(_root) = need_root() else { return };
    let alone = Netns::new("alone").unwrap();
    let program = built("lynceus").unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("ip.toml");
    std::fs::write(&config, "[virustotal]\napi_key = \"none\"\n").unwrap();
    let ask = |more: &[&str]| {
        let begin = Instant::now();
        let mut command = alone.command(&program);
        command.args([
            "ip", "--json", "8.8.8.8", "8.8.4.4", "1.1.1.1", "9.9.9.9", "--config",
        ]);
        command.arg(&config).args(more).env("HOME", home.path());
        for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 4);
        begin.elapsed()
    };
    let passive = ask(&[]);
    let providers = "ranges,reverse_dns,cymru,dnsbl,rdap,internetdb,virustotal,ping,traceroute";
    let active = ask(&["--active", "--providers", providers]);
    println!("passive {passive:?}, active {active:?}");
    // The dossier itself is slow in a debug build; what asking adds is what counts.
    assert!(active < passive * 2 + Duration::from_secs(4), "{active:?}");
}

/// What `lynceus ip` prints of its own probes: Know Your IP's columns, the dossier, and the log of what was sent.
#[test]
fn probes_fill_their_columns_and_the_log() {
    let Some(_root) = need_root() else { return };
    let row = row();
    let listener = row.server.run(|| TcpListener::bind("0.0.0.0:2222").unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let _ = stream.write_all(b"SSH-2.0-probe\r\n");
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let program = built("lynceus").unwrap();
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join("ip.toml");
    // Nobody waits that long here, but on a loaded machine answers may be late.
    std::fs::write(
        &config,
        "[ping]\ncount = 2\ntimeout = 10000\n[traceroute]\nmax_hops = 8\ntimeout = 10000\n[scan]\nports = [2222, 2223]\ntimeout = 10000\nbanner = 10000\n",
    )
    .unwrap();
    let columns = [
        "ip",
        "ping.count",
        "ping.min",
        "ping.avg",
        "ping.max",
        "ping.percent_loss",
        "traceroute.max_hops",
        "traceroute.reached",
        "traceroute.hops",
        "scan.ports",
        "scan.services",
        "scan.silent",
        "scan.tried",
    ];
    let list = home.path().join("columns.txt");
    std::fs::write(&list, columns.join("\n")).unwrap();
    let run = |more: &[&str]| {
        let mut command = row.client.command(&program);
        command.args([
            "ip",
            "--active",
            "--providers",
            "ping,traceroute,scan",
            "--config",
        ]);
        command
            .arg(&config)
            .args(more)
            .arg(SERVER)
            .env("HOME", home.path());
        for name in ["XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{told}");
        assert!(told.contains("asks ping"), "who learns what comes first: {told}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let list = list.to_str().unwrap();
    let line = run(&["--shape", "raw", "--format", "jsonl", "--columns", list]);
    let cells: serde_json::Value = serde_json::from_str(&line).unwrap();
    let number = |name: &str| {
        let value = cells[name].as_f64();
        value.unwrap_or_else(|| panic!("{name}: {cells}"))
    };
    assert_eq!(cells["ip"], SERVER);
    assert_eq!(cells["ping.count"], 2);
    assert_eq!(cells["ping.percent_loss"], 0.0);
    assert!(number("ping.min") > 0.0 && number("ping.min") <= number("ping.avg"));
    assert!(number("ping.avg") <= number("ping.max"));
    assert_eq!(cells["traceroute.reached"], true);
    assert_eq!(cells["traceroute.max_hops"], 8);
    let hops = cells["traceroute.hops"].as_array().unwrap();
    assert_eq!(hops.len(), 2, "{cells}");
    assert_eq!(hops[0]["addresses"], serde_json::json!(["10.79.1.1"]));
    assert_eq!(hops[1]["addresses"], serde_json::json!([SERVER]));
    assert_eq!(cells["scan.ports"], serde_json::json!(["2222"]));
    assert_eq!(
        cells["scan.services"],
        serde_json::json!(["2222/tcp SSH-2.0-probe"])
    );
    assert_eq!(cells["scan.silent"], serde_json::json!([]));
    assert_eq!(cells["scan.tried"], serde_json::json!(["2222", "2223"]));

    let log = std::fs::read_to_string(home.path().join(".local/state/lynceus/probes.jsonl")).unwrap();
    let sent: Vec<(String, String)> = log
        .lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(
                (&line["about"], &line["leak"]),
                (&SERVER.into(), &"target".into())
            );
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("provider"), text("to"))
        })
        .collect();
    for (provider, to) in [
        ("ping", "10.79.2.2"),
        ("traceroute", "10.79.2.2"),
        ("scan", "10.79.2.2:2222"),
        ("scan", "10.79.2.2:2223"),
    ] {
        let lines = sent.iter().filter(|line| line.0 == provider && line.1 == to);
        assert_eq!(lines.count(), 1, "{provider} {to}: {log}");
    }

    let dossier = run(&[]);
    let words: Vec<String> = dossier
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let has = |start: &str| words.iter().any(|line| line.starts_with(start));
    for start in [
        "open ports 2222 of 2 tried scan from here",
        "what probes found",
        "ping ",
        "route 1 10.79.1.1 ",
        "2 10.79.2.2 ",
    ] {
        assert!(has(start), "{start}\n{dossier}");
    }
    assert!(dossier.contains("0 % of 2 lost"), "{dossier}");
}

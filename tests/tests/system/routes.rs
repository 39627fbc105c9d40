//! A packet that passes several observation points counts once: routed and bridged.

use lynceus_model::flow::SeenAt;
use lynceus_sensor::kernel::attach::HookChoice;
use lynceus_tests::need_root;
use lynceus_tests::netns::{Netns, VethOptions, veth};
use lynceus_tests::traffic::{Bulk, bulk_tcp};

use super::live::{Captured, Live, config};

const PAYLOAD: u64 = 5_000_000;

#[test]
fn a_router_counts_nothing_twice() {
    let Some(_root) = need_root() else { return };
    for hook in [HookChoice::Tcx, HookChoice::Xdp] {
        let [client, gateway, server] = ["client", "gateway", "server"].map(|name| Netns::new(name).unwrap());
        veth((&client, "c0"), (&gateway, "left"), VethOptions::default()).unwrap();
        veth((&server, "s0"), (&gateway, "right"), VethOptions::default()).unwrap();
        client.ip("addr add 10.78.1.2/24 dev c0").unwrap();
        gateway.ip("addr add 10.78.1.1/24 dev left").unwrap();
        gateway.ip("addr add 10.78.2.1/24 dev right").unwrap();
        server.ip("addr add 10.78.2.2/24 dev s0").unwrap();
        client.ip("route add default via 10.78.1.1").unwrap();
        server.ip("route add default via 10.78.2.1").unwrap();
        gateway.sysctl("net/ipv4/ip_forward", "1").unwrap();

        let live = Live::start(&gateway, config(&["left", "right"], hook)).unwrap();
        let bulk = bulk_tcp(&client, &server, "10.78.2.2:5001".parse().unwrap(), PAYLOAD).unwrap();
        assert_counted_once(&live.finish().unwrap(), &bulk, hook);
    }
}

#[test]
fn a_bridge_counts_nothing_twice() {
    let Some(_root) = need_root() else { return };
    for hook in [HookChoice::Tcx, HookChoice::Xdp] {
        let [client, switch, server] = ["client", "switch", "server"].map(|name| Netns::new(name).unwrap());
        veth((&client, "c0"), (&switch, "left"), VethOptions::default()).unwrap();
        veth((&server, "s0"), (&switch, "right"), VethOptions::default()).unwrap();
        switch.ip("link add name br0 type bridge").unwrap();
        switch.ip("link set dev left master br0").unwrap();
        switch.ip("link set dev right master br0").unwrap();
        switch.ip("link set dev br0 up").unwrap();
        client.ip("addr add 10.78.1.2/24 dev c0").unwrap();
        server.ip("addr add 10.78.1.3/24 dev s0").unwrap();

        let live = Live::start(&switch, config(&["left", "right", "br0"], hook)).or_else(|error| {
            // A bridge device has no XDP of its own in the driver.
            assert_eq!(hook, HookChoice::Xdp, "{error:#}");
            Live::start(&switch, config(&["left", "right"], hook))
        });
        let bulk = bulk_tcp(&client, &server, "10.78.1.3:5001".parse().unwrap(), PAYLOAD).unwrap();
        assert_counted_once(&live.unwrap().finish().unwrap(), &bulk, hook);
    }
}

/// The one TCP flow has the packets of its senders, although each was seen at two points.
fn assert_counted_once(captured: &Captured, bulk: &Bulk, hook: HookChoice) {
    captured.assert_accounted();
    let mut flows = captured
        .flows
        .iter()
        .map(|update| &update.flow)
        .filter(|flow| flow.tuple.protocol == 6);
    let flow = flows.next().expect("the connection");
    assert!(flows.next().is_none(), "{hook:?} {:#?}", captured.flows);
    assert_eq!(flow.out.packets, bulk.client_packets, "{hook:?} {flow:?}");
    assert_eq!(flow.back.packets, bulk.server_packets, "{hook:?} {flow:?}");
    let at = |interface: &str, egress| {
        let is_it = |seen: &&SeenAt| seen.interface == interface && seen.egress == egress;
        flow.seen_at.iter().find(is_it).map(|seen| seen.packets)
    };
    assert_eq!(
        (flow.seen_at[0].interface.as_str(), flow.seen_at[0].egress),
        ("left", false),
        "{hook:?}"
    );
    assert_eq!(at("left", false), Some(bulk.client_packets), "{hook:?} {flow:?}");
    assert_eq!(at("right", true), Some(bulk.client_packets), "{hook:?} {flow:?}");
    assert_eq!(at("right", false), Some(bulk.server_packets), "{hook:?} {flow:?}");
    assert_eq!(at("left", true), Some(bulk.server_packets), "{hook:?} {flow:?}");
}

use lynceus_model::flow::{ConnState, FlowUpdate};
use lynceus_model::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::source::log::What;

const HEADER: &str = "StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,SrcPkts,Label";

fn read(lines: &[&str]) -> Vec<Result<FlowUpdate, Refusal>> {
    let (mut argus, mut rows) = (Argus::default(), Vec::new());
    let mut found = Vec::new();
    for line in lines {
        match argus.line(line, &mut rows) {
            Ok(_) => found.extend(rows.drain(..).map(|row| match row.what {
                What::Flow(update) => Ok(*update),
                _ => unreachable!("Argus has flows only"),
            })),
            Err(refusal) => found.push(Err(refusal)),
        }
    }
    found
}

#[test]
fn rows_with_commas_and_tabs() {
    let row = "2019/04/04 16:23:00.325010,0.027947,udp,10.8.0.69,48427,  <->,8.8.8.8,53,CON,0,0,2,142,63,1,flow=From,To";
    let commas = read(&[HEADER, row]);
    let tabs = read(&[
        &HEADER.replace(',', "\t"),
        &row.replace("From,To", "From;To").replace(',', "\t"),
    ]);
    let (one, other) = (commas[0].as_ref().unwrap(), tabs[0].as_ref().unwrap());
    assert_eq!(one.flow.first, Timestamp(1_554_394_980_325_010_000));
    assert_eq!(one.flow.duration().as_micros(), 27_947);
    assert_eq!(
        (
            one.flow.out.packets,
            one.flow.out.bytes,
            one.flow.back.packets,
            one.flow.back.bytes
        ),
        (1, 63, 1, 79)
    );
    assert_eq!(
        one.flow.reported.as_ref().unwrap().label.as_deref(),
        Some("flow=From,To")
    );
    assert!(one.flow.established());
    assert_eq!((one.flow.tuple, one.flow.out), (other.flow.tuple, other.flow.out));
}

#[test]
fn states() {
    let row = |proto: &str, state: &str, packets: u64, sent: u64| {
        format!(
            "2018/12/18 14:00:00.5,1.0,{proto},10.0.0.1,1000,->,10.0.0.2,80,{state},0,0,{packets},900,500,{sent},"
        )
    };
    for (proto, state, packets, sent, expected, established) in [
        ("tcp", "FSPA_FSPA", 10, 5, ConnState::Sf, true),
        ("tcp", "S_", 1, 1, ConnState::S0, false),
        ("tcp", "S_RA", 2, 1, ConnState::Rej, false),
        ("tcp", "SRPA_SPA", 10, 6, ConnState::Rsto, true),
        ("tcp", "PA_PA", 2, 1, ConnState::Oth, true),
        ("tcp", "RST", 3, 2, ConnState::Rej, false),
        ("tcp", "RST", 4, 2, ConnState::Rstr, true),
        ("tcp", "FIN", 9, 5, ConnState::Sf, true),
        ("udp", "CON", 2, 1, ConnState::Sf, true),
        ("udp", "INT", 3, 3, ConnState::S0, false),
        ("udp", "UNK", 2, 1, ConnState::Sf, true),
    ] {
        let found = read(&[HEADER, &row(proto, state, packets, sent)]);
        let flow = &found[0].as_ref().unwrap().flow;
        assert_eq!(
            (flow.state, flow.established()),
            (expected, established),
            "{proto} {state} {packets}"
        );
    }
}

#[test]
fn icmp_directions_and_what_is_not_ip() {
    let found = read(&[
        HEADER,
        "2019/04/04 16:25:29.2,3469.4,icmp,10.8.0.1,0x0403,   ->,10.8.0.69,0x0000,URF,192,,96,55296,55296,96,",
        "2019/04/04 16:25:29.2,1.0,tcp,10.0.0.1,80,   <-,10.0.0.2,4000,SPA_SPA,0,0,5,500,300,3,",
        "2019/04/04 16:25:29.2,1.0,arp,10.0.0.1,,who,10.0.0.2,,INT,0,0,1,60,60,1,",
        "2019/04/04 16:25:29.2,1.0,tcp,10.0.0.1,http,->,10.0.0.2,80,S_,0,0,1,60,60,1,",
        "2019/04/04 16:25:29.2,1.0",
    ]);
    assert_eq!(found[0].as_ref().unwrap().flow.icmp, Some((3, 4)));
    let turned = &found[1].as_ref().unwrap().flow;
    assert_eq!(
        (
            turned.tuple.originator.port,
            turned.out.packets,
            turned.back.packets
        ),
        (4000, 2, 3)
    );
    assert_eq!(found[2], Err(Reason::NotIp.into()));
    assert_eq!(
        found[3],
        Err(bad("`Sport` is `http`, not a number (let ra print with -n)"))
    );
    assert_eq!(found[4], Err(bad("2 columns, and the header names 16")));
    assert_eq!(
        read(&["1,2,3"])[0],
        Err(bad("a row before the header that names its columns"))
    );
}

proptest! {
    #[test]
    fn no_line_panics(values in prop::collection::vec("\\PC{0,12}", 0..20)) {
        read(&[HEADER, &values.join(",")]);
    }
}

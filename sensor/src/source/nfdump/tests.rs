use std::io::Cursor;

use lynceus_model::flow::{ConnState, FlowUpdate};
use lynceus_model::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::source::input::Place;
use crate::source::log::{Log, LogSource};
use crate::source::{Event, Source, Status};

fn read(text: &str) -> (Vec<FlowUpdate>, Vec<String>) {
    let input = Input::new(Cursor::new(text.to_owned().into_bytes())).unwrap();
    let mut source = LogSource::new(vec![Log {
        places: [Place::Open("flows.csv".to_owned(), Box::new(input))].into(),
        parser: Box::new(Nfdump::default()),
    }]);
    let (mut events, mut faults) = (Vec::new(), Vec::new());
    loop {
        match source.next(&mut events) {
            Ok(Status::Ended) => break,
            Ok(_) => {}
            Err(error) => faults.push(error.to_string()),
        }
    }
    let flows: Vec<_> = events
        .into_iter()
        .filter_map(|event| match event {
            Event::Flow(update) => Some(*update),
            Event::App(_) => None,
        })
        .collect();
    let packets: u64 = flows
        .iter()
        .map(|update| update.new_out.packets + update.new_back.packets)
        .sum();
    assert_eq!(packets, source.counts().packets, "every packet is in one report");
    (flows, faults)
}

const OLD: &str = "ts,te,td,sa,da,sp,dp,pr,flg,fwd,stos,ipkt,ibyt,opkt,obyt";

#[test]
fn directions_are_joined() {
    let (flows, faults) = read(&format!(
        "{OLD}\n\
         2018-01-12 15:37:30,2018-01-12 15:37:31,1.000,10.0.0.1,10.0.0.2,52324,902,TCP,......S.,0,0,1,60,0,0\n\
         2018-01-12 15:37:30,2018-01-12 15:37:31,1.000,10.0.0.2,10.0.0.1,902,52324,TCP,...A.R..,0,0,1,40,0,0\n\
         2018-01-12 15:37:40,2018-01-12 15:37:40,0.000,10.0.0.1,10.0.0.2,0,8.0,ICMP,........,0,0,2,120,2,120\n\
         Summary\nflows,bytes,packets\n2,100,2\n"
    ));
    assert!(faults.is_empty(), "{faults:?}");
    assert_eq!(flows.len(), 2);
    let refused = flows
        .iter()
        .find(|update| update.flow.tuple.protocol == 6)
        .unwrap();
    assert_eq!(refused.flow.tuple.originator.port, 52324);
    assert_eq!((refused.flow.out.bytes, refused.flow.back.bytes), (60, 40));
    assert_eq!(
        (refused.flow.state, refused.flow.established()),
        (ConnState::Rej, false)
    );
    assert_eq!(refused.flow.first, Timestamp::from_secs(1_515_771_450));
    let echo = flows
        .iter()
        .find(|update| update.flow.tuple.protocol == 1)
        .unwrap();
    assert_eq!((echo.flow.icmp, echo.flow.state), (Some((8, 0)), ConnState::Sf));
}

#[test]
fn columns_of_newer_versions() {
    let (flows, faults) = read(
        "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n\
         2024-05-01 10:00:00.250,2.500,UDP,2001:db8::1,5000,2001:db8::2,53,3,200,1\n",
    );
    assert!(faults.is_empty(), "{faults:?}");
    let flow = &flows[0].flow;
    assert_eq!(
        (flow.first, flow.last),
        (
            Timestamp(1_714_557_600_250_000_000),
            Timestamp(1_714_557_602_750_000_000)
        )
    );
    assert_eq!((flow.out.packets, flow.state), (3, ConnState::S0));
}

#[test]
fn bad_rows_are_named() {
    let (flows, faults) = read(&format!(
        "{OLD}\n2018-01-12 15:37:30,x,1.0,nowhere,10.0.0.2,1,2,TCP,,0,0,1,60,0,0\n1,2\n"
    ));
    assert!(flows.is_empty());
    assert_eq!(
        faults,
        [
            "flows.csv: line 2: `sa` is `nowhere`, not an address",
            "flows.csv: line 3: 2 columns, and the header names 15",
        ]
    );
}

proptest! {
    #[test]
    fn no_row_panics(values in prop::collection::vec("[-.0-9a-zA-Z: ]{0,12}", 0..17)) {
        read(&format!("{OLD}\n{}\n", values.join(",")));
    }
}

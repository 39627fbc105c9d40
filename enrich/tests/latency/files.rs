//! Landmark files, RIPE Atlas anchors and measurement files: what they hold comes back, what they must not is named.

use std::net::IpAddr;

use lynceus_enrich::latency::landmark::{self, Landmark};
use lynceus_enrich::latency::measurement::{self, Measurement, gather};
use lynceus_enrich::latency::{FIBER_KM_PER_MS, LatLon, Settings, atlas};
use proptest::prelude::*;

use crate::{at, cities};

const ANCHORS: &str = r#"{"count": 5, "next": null, "previous": null, "results": [
  {"id": 3003, "type": "Anchor", "fqdn": "nl-ams.anchors.example", "probe": 6001, "is_ipv4_only": false,
   "ip_v4": "192.0.2.1", "as_v4": 64500, "ip_v4_gateway": "192.0.2.254", "ip_v6": "2001:db8::1", "as_v6": 64500,
   "city": "Amsterdam", "country": "NL", "company": "Example", "nic_handle": "X", "tlsa_record": null,
   "is_disabled": false, "date_live": "2014-01-01", "hardware_version": 3,
   "geometry": {"type": "Point", "coordinates": [4.895, 52.37]}},
  {"id": 3004, "fqdn": "off.anchors.example", "ip_v4": "192.0.2.2", "is_disabled": true,
   "geometry": {"type": "Point", "coordinates": [4.9, 52.4]}},
  {"id": 3005, "ip_v4": "192.0.2.3", "geometry": null},
  {"id": 3006, "ip_v4": null, "ip_v6": "", "geometry": {"type": "Point", "coordinates": [23.3, 99.0]}},
  {"id": 3007, "geometry": {"type": "Point", "coordinates": [23.322, 42.698]}, "city": "Sofia\n", "country": "BG"}]}"#;

#[test]
fn anchors_become_landmarks() {
    let imported = atlas::import(ANCHORS.as_bytes(), 10.0).unwrap();
    assert_eq!(
        (imported.disabled, imported.without_place, imported.twice),
        (1, 2, 0)
    );
    let [amsterdam, sofia] = &imported.landmarks[..] else {
        panic!("{imported:?}")
    };
    assert_eq!(amsterdam.id, "atlas-3003");
    assert_eq!(amsterdam.place, at(52.37, 4.895));
    assert_eq!(amsterdam.address, Some("192.0.2.1".parse().unwrap()));
    assert_eq!(amsterdam.address6, Some("2001:db8::1".parse().unwrap()));
    assert_eq!(
        (&*sofia.city, &*sofia.country, sofia.address),
        ("Sofia", "BG", None)
    );
    // Two pages of which one repeats the other, and a bare list.
    let twice = atlas::import(format!("{ANCHORS}\n{ANCHORS}").as_bytes(), 10.0).unwrap();
    assert_eq!((twice.landmarks.len(), twice.twice), (2, 5));
    let list = br#"[{"id": 1, "geometry": {"coordinates": [0, 0]}}]"#;
    assert_eq!(atlas::import(list, 0.0).unwrap().landmarks.len(), 1);
}

#[test]
fn what_is_no_list_of_anchors_is_said() {
    for text in [
        "",
        " ",
        "{}",
        r#"{"results": 1}"#,
        r#"[{"id": "x"}]"#,
        "[1,",
        "\u{0}",
    ] {
        let outcome = atlas::import(text.as_bytes(), 0.0);
        let empty = text.trim().is_empty();
        assert_eq!(outcome.is_ok(), empty, "{text}: {outcome:?}");
    }
}

#[test]
fn the_file_of_cities_comes_back() {
    let mut text = Vec::new();
    landmark::write(&cities(), &mut text).unwrap();
    assert_eq!(landmark::read(&text[..]).unwrap(), cities());
}

#[test]
fn faults_name_line_and_field() {
    for (text, said) in [
        ("latitude,longitude\n", "no column `id`"),
        ("id,latitude,longitude\na,north,3\n", "line 2: latitude: `north`"),
        (
            "id,latitude,longitude\na,1,2\nb,91,3\n",
            "line 3: latitude: `91, 3`",
        ),
        ("id,latitude,longitude\na,1,2\na,1,3\n", "line 3: a second id `a`"),
        (
            "id,latitude,longitude,error_km\na,1,2,-1\n",
            "line 2: error_km: `-1`",
        ),
        (
            "id,latitude,longitude,address\na,1,2,x\n",
            "line 2: address: `x` is not an IPv4 address",
        ),
        ("id,latitude,longitude\n,1,2\n", "line 2: id"),
        ("id,latitude,longitude\na,NaN,2\n", "line 2: latitude"),
    ] {
        let error = landmark::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(said), "{text:?}: {error}");
    }
    let error = measurement::read(&b"landmark,target,rtt_ms\na,1.2.3.4,-1\n"[..]).unwrap_err();
    assert!(error.to_string().contains("line 2: rtt_ms"), "{error}");
    let error = measurement::read(&b"landmark,target,rtt_ms\na,b,1\n"[..]).unwrap_err();
    assert!(error.to_string().contains("line 2: target: `b`"), "{error}");
}

#[test]
fn the_smallest_time_of_each_landmark_counts_and_landmarks_calibrate() {
    let target: IpAddr = "203.0.113.5".parse().unwrap();
    let mut landmarks = Vec::new();
    for number in 0..5u8 {
        let mut landmark = Landmark::new(format!("l{number}"), at(40.0, f64::from(number) * 5.0));
        landmark.address = Some([192, 0, 2, number].into());
        landmarks.push(landmark);
    }
    let mut measurements: Vec<Measurement> = [("l1", 9.0), ("l0", 7.5), ("l1", 8.0), ("gone", 1.0)]
        .map(|(landmark, rtt_ms)| Measurement {
            landmark: landmark.to_owned(),
            target,
            rtt_ms,
        })
        .to_vec();
    for other in 1..5u8 {
        let km = landmarks[0]
            .place
            .distance_km(landmarks[usize::from(other)].place);
        measurements.push(Measurement {
            landmark: "l0".to_owned(),
            target: [192, 0, 2, other].into(),
            rtt_ms: 2.0 * km / FIBER_KM_PER_MS * 1.5 + 2.0,
        });
    }
    let gathered = gather(target, &measurements, &landmarks, &Settings::default());
    let times: Vec<_> = gathered
        .observations
        .iter()
        .map(|one| (&*one.landmark, one.rtt_ms))
        .collect();
    assert_eq!(times, [("l0", 7.5), ("l1", 8.0)]);
    assert_eq!(gathered.unknown, ["gone"]);
    let line = gathered.bestlines[0].unwrap();
    assert!(
        (line.slope - 3.0 / FIBER_KM_PER_MS).abs() < 1e-9 && (line.intercept - 2.0).abs() < 1e-6,
        "{line:?}"
    );
    assert_eq!(gathered.bestlines[1], None);
}

proptest! {
    #[test]
    fn any_landmarks_come_back(
        list in prop::collection::vec((any::<u32>(), "[^\\p{C}]{0,20}", -90.0f64..=90.0, -180.0f64..180.0, 0.0f64..500.0, any::<Option<u32>>(), any::<Option<u128>>()), 0..20)
    ) {
        let mut landmarks: Vec<Landmark> = Vec::new();
        for (at, (id, city, lat, lon, error_km, four, six)) in list.into_iter().enumerate() {
            let mut landmark = Landmark::new(format!("{id}-{at}"), LatLon::new(lat, lon).unwrap());
            landmark.error_km = error_km;
            landmark.city = city.trim().to_owned();
            landmark.address = four.map(Into::into);
            landmark.address6 = six.map(Into::into);
            landmarks.push(landmark);
        }
        let mut text = Vec::new();
        landmark::write(&landmarks, &mut text).unwrap();
        prop_assert_eq!(landmark::read(&text[..]).unwrap(), landmarks);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(mut text in prop::collection::vec(any::<u8>(), 0..300), as_rows in any::<bool>()) {
        if as_rows {
            text.splice(0..0, *b"id,latitude,longitude,error_km,address,landmark,target,rtt_ms\n");
        }
        let _ = landmark::read(&text[..]);
        let _ = measurement::read(&text[..]);
        let _ = atlas::import(&text, 1.0);
    }

    /// JSON in the shape of anchors with any values.
    #[test]
    fn no_anchor_makes_the_importer_panic(
        id in any::<u64>(), numbers in prop::collection::vec(any::<f64>(), 0..4), four in ".{0,20}", city in ".{0,80}", off in any::<Option<bool>>()
    ) {
        let anchor = serde_json::json!([{"id": id, "geometry": {"coordinates": numbers}, "ip_v4": four, "city": city, "is_disabled": off}]);
        // Numbers that JSON cannot write become null, which is no coordinate.
        if let Ok(imported) = atlas::import(anchor.to_string().as_bytes(), 1.0) {
            let all = imported.landmarks.len() + imported.disabled + imported.without_place;
            prop_assert_eq!(all, 1);
            for landmark in imported.landmarks {
                prop_assert!(landmark.city.len() <= 256);
                let mut text = Vec::new();
                landmark::write(&[landmark], &mut text).unwrap();
                prop_assert!(landmark::read(&text[..]).is_ok());
            }
        }
    }
}

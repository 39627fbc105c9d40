//! From the wire to views.

use std::net::IpAddr;

use lynceus_model::status::{Gap, SensorStatus};
use lynceus_model::time::Timestamp;
use lynceus_model::window::SensorId;
use lynceus_proto::glance::Glance;
use lynceus_proto::{Invalid, v1};

use crate::view::{Overview, ProfileView, WindowView};

/// Sensors, gaps and the collector itself.
#[derive(Clone, Debug)]
pub struct StatusView {
    pub sensors: Vec<SensorView>,
    pub collector: Option<v1::CollectorStatus>,
    /// The newest ones.
    pub gaps: Vec<(Option<SensorId>, Gap)>,
    pub gaps_total: u64,
}

/// A sensor as the collector knows it.
#[derive(Clone, Debug)]
pub struct SensorView {
    pub id: Option<SensorId>,
    pub status: SensorStatus,
    /// Collector's clock.
    pub received_at: Timestamp,
    pub connected: bool,
}

pub(super) fn status(answer: v1::GetStatusResponse) -> Result<StatusView, Invalid> {
    let mut sensors = Vec::with_capacity(answer.sensors.len());
    for sensor in answer.sensors {
        let status = sensor.status.map(SensorStatus::try_from).transpose()?;
        sensors.push(SensorView {
            id: sensor_id(&sensor.id),
            status: status.unwrap_or_default(),
            received_at: Timestamp(sensor.received_at),
            connected: sensor.connected,
        });
    }
    let mut gaps = Vec::with_capacity(answer.gaps.len());
    for gap in answer.gaps {
        if let Some(what) = gap.gap {
            gaps.push((sensor_id(&gap.sensor_id), Gap::try_from(what)?));
        }
    }
    Ok(StatusView {
        sensors,
        collector: answer.collector,
        gaps,
        gaps_total: answer.gaps_total,
    })
}

fn sensor_id(bytes: &[u8]) -> Option<SensorId> {
    bytes.try_into().ok().map(SensorId)
}

/// What a store kept of itself.
pub(crate) fn overview(glance: Glance) -> anyhow::Result<Overview> {
    Ok(Overview {
        profiles: glance
            .profiles
            .profiles
            .iter()
            .take(super::MAX_PROFILES)
            .map(|own| profile(own, &[]))
            .collect::<anyhow::Result<_>>()?,
        more: glance.profiles.profiles.len() > super::MAX_PROFILES,
        sensors: status(glance.status)?
            .sensors
            .into_iter()
            .map(|sensor| sensor.status)
            .collect(),
    })
}

pub(super) fn profile(profile: &v1::Profile, me: &[IpAddr]) -> anyhow::Result<ProfileView> {
    let mut view = new_profile(address(&profile.ip)?, me);
    view.windows = profile.windows.iter().map(window).collect();
    view.earlier_windows = profile.earlier_windows;
    Ok(view)
}

pub(super) fn new_profile(ip: IpAddr, me: &[IpAddr]) -> ProfileView {
    ProfileView {
        ip,
        me: me.contains(&ip),
        windows: Vec::new(),
        earlier_windows: 0,
    }
}

/// Replaces what was known of the window, or adds it at its place in time.
pub(super) fn put_window(profile: &mut ProfileView, window: WindowView) {
    match profile
        .windows
        .binary_search_by_key(&window.start, |known| known.start)
    {
        Ok(at) => profile.windows[at] = window,
        Err(at) => profile.windows.insert(at, window),
    }
}

pub(super) const fn window(summary: &v1::WindowSummary) -> WindowView {
    WindowView {
        start: Timestamp(summary.start),
        end: Timestamp(summary.end),
        number: summary.number,
        flows: summary.flows,
        packets: summary.packets,
        bytes: summary.bytes,
        evidence: summary.evidence,
        alerts: summary.alerts,
        threat: summary.threat,
        threshold: summary.threshold,
    }
}

pub(super) fn address(bytes: &[u8]) -> anyhow::Result<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Ok(IpAddr::from(v4));
    }
    let v6 = <[u8; 16]>::try_from(bytes)
        .map_err(|_| anyhow::anyhow!("an address of {} bytes in the collector's answer", bytes.len()))?;
    Ok(IpAddr::from(v6))
}

pub(super) fn address_bytes(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// `[from, to)`; both ends of a span on the wire are inclusive.
pub(super) const fn span((from, to): (Timestamp, Timestamp)) -> v1::Span {
    v1::Span {
        first: from.0,
        last: to.0.saturating_sub(1),
    }
}

//! Checks of single fields, and the error that names the field.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use lynceus_model::flow::CommunityId;

/// Most that a receiver takes. Senders cut or split to the same limits.
pub mod limits {
    /// Bytes of an encoded batch payload. Far above what a batch normally has (see the sensor's batcher), far below
    /// what would hurt a collector with many sensors.
    pub const BATCH_BYTES: usize = 4 << 20;
    /// Bytes of a gRPC message: a payload and its envelope.
    pub const MESSAGE_BYTES: usize = BATCH_BYTES + (64 << 10);
    /// Items of one kind in a batch.
    pub const BATCH_ITEMS: usize = 65_536;
    /// Bytes of a text that came from traffic: a payload head has at most 8 KiB.
    pub const TEXT: usize = 16 << 10;
    /// Bytes of a name that we or an administrator chose (interface, reason, unit).
    pub const NAME: usize = 256;
    /// Answers of one DNS message.
    pub const DNS_ANSWERS: usize = 256;
    /// Protocols in one ALPN list.
    pub const ALPN: usize = 64;
    /// VLAN tags of one frame.
    pub const VLANS: usize = 8;
    /// Observation points of one sensor.
    pub const POINTS: usize = 1024;
    /// Reasons, losses or fills in one list of a status.
    pub const COUNTERS: usize = 256;
    /// Features in an explanation.
    pub const FEATURES: usize = 64;
    /// Evidence related to one evidence.
    pub const RELATED: usize = 16;
    /// Names in one certificate.
    pub const CERTIFICATE_NAMES: usize = 128;
    /// Recipients of one mail.
    pub const RECIPIENTS: usize = 128;
    /// Terms of one alert; the lightest are left out when sent.
    pub const TERMS: usize = 4096;
    /// Streams that a sensor may still hold batches of: one for each start since the collector was last reached.
    pub const STREAMS: usize = 4096;
    /// Blocks of one sensor.
    pub const BLOCKS: usize = 4096;
}

/// What is wrong with a received message.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// Path of the field, as `flows[3].flow.tuple.originator_ip`.
    pub field: String,
    pub problem: Problem,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    #[error("missing")]
    Missing,
    #[error("has {length} bytes, must have {expected}")]
    Length { length: usize, expected: &'static str },
    #[error("has {length}, at most {limit} are allowed")]
    TooMany { length: usize, limit: usize },
    #[error("{value} is out of range")]
    Range { value: i128 },
    #[error("{value} is not a finite number in its range")]
    Number { value: f64 },
    #[error("{value:?} is not known")]
    Unknown { value: String },
    #[error("does not match: {what}")]
    Mismatch { what: &'static str },
    #[error("cannot be decoded: {reason}")]
    Decode { reason: String },
}

impl Invalid {
    pub(crate) fn new(field: impl Into<String>, problem: Problem) -> Self {
        Self {
            field: field.into(),
            problem,
        }
    }

    /// Puts the name of the field around it in front.
    #[must_use]
    pub(crate) fn inside(mut self, outer: impl fmt::Display) -> Self {
        self.field = format!("{outer}.{}", self.field);
        self
    }
}

pub(crate) type Checked<T> = Result<T, Invalid>;

pub(crate) fn required<T>(field: &'static str, value: Option<T>) -> Checked<T> {
    value.ok_or_else(|| Invalid::new(field, Problem::Missing))
}

/// Converts a nested message.
pub(crate) fn nested<W, M>(field: &'static str, value: W) -> Checked<M>
where
    M: TryFrom<W, Error = Invalid>,
{
    M::try_from(value).map_err(|error| error.inside(field))
}

pub(crate) fn nested_required<W, M>(field: &'static str, value: Option<W>) -> Checked<M>
where
    M: TryFrom<W, Error = Invalid>,
{
    nested(field, required(field, value)?)
}

pub(crate) fn nested_optional<W, M>(field: &'static str, value: Option<W>) -> Checked<Option<M>>
where
    M: TryFrom<W, Error = Invalid>,
{
    value.map(|value| nested(field, value)).transpose()
}

/// Converts each element of a bounded list.
pub(crate) fn list<W, M>(
    field: &'static str,
    values: Vec<W>,
    limit: usize,
    mut convert: impl FnMut(W) -> Checked<M>,
) -> Checked<Vec<M>> {
    bounded(field, values.len(), limit)?;
    let mut converted = Vec::with_capacity(values.len());
    for (index, value) in values.into_iter().enumerate() {
        converted.push(convert(value).map_err(|error| error.inside(format_args!("{field}[{index}]")))?);
    }
    Ok(converted)
}

pub(crate) fn bounded(field: &'static str, length: usize, limit: usize) -> Checked<()> {
    if length > limit {
        return Err(Invalid::new(field, Problem::TooMany { length, limit }));
    }
    Ok(())
}

/// A text of at most [`limits::TEXT`] bytes.
pub(crate) fn text(field: &'static str, value: String) -> Checked<String> {
    bounded(field, value.len(), limits::TEXT)?;
    Ok(value)
}

pub(crate) fn optional_text(field: &'static str, value: Option<String>) -> Checked<Option<String>> {
    value.map(|value| text(field, value)).transpose()
}

/// A text of at most [`limits::NAME`] bytes.
pub(crate) fn name(field: &'static str, value: String) -> Checked<String> {
    bounded(field, value.len(), limits::NAME)?;
    Ok(value)
}

/// A number that the wire carries wider than it is.
pub(crate) fn narrow<T: TryFrom<u32>>(field: &'static str, value: u32) -> Checked<T> {
    T::try_from(value).map_err(|_| {
        Invalid::new(
            field,
            Problem::Range {
                value: i128::from(value),
            },
        )
    })
}

pub(crate) fn address(field: &'static str, value: &[u8]) -> Checked<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Ok(IpAddr::from(four));
    }
    match <[u8; 16]>::try_from(value) {
        Ok(sixteen) => Ok(IpAddr::from(sixteen)),
        Err(_) => Err(Invalid::new(
            field,
            Problem::Length {
                length: value.len(),
                expected: "4 or 16",
            },
        )),
    }
}

pub(crate) fn address6(field: &'static str, value: &[u8]) -> Checked<Ipv6Addr> {
    let sixteen = <[u8; 16]>::try_from(value).map_err(|_| {
        let (length, expected) = (value.len(), "16");
        Invalid::new(field, Problem::Length { length, expected })
    })?;
    Ok(Ipv6Addr::from(sixteen))
}

pub(crate) fn optional_address(field: &'static str, value: Option<Vec<u8>>) -> Checked<Option<IpAddr>> {
    value.map(|value| address(field, &value)).transpose()
}

pub(crate) fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(four) => four.octets().to_vec(),
        IpAddr::V6(six) => six.octets().to_vec(),
    }
}

pub(crate) fn mac(field: &'static str, value: &[u8]) -> Checked<[u8; 6]> {
    array(field, value, "6")
}

pub(crate) fn community_id(field: &'static str, value: &[u8]) -> Checked<CommunityId> {
    array(field, value, "20").map(CommunityId)
}

pub(crate) fn array<const N: usize>(
    field: &'static str,
    value: &[u8],
    expected: &'static str,
) -> Checked<[u8; N]> {
    value.try_into().map_err(|_| {
        Invalid::new(
            field,
            Problem::Length {
                length: value.len(),
                expected,
            },
        )
    })
}

/// A finite number.
pub(crate) fn finite(field: &'static str, value: f64) -> Checked<f64> {
    if value.is_finite() {
        Ok(value)
    } else {
        Err(Invalid::new(field, Problem::Number { value }))
    }
}

/// The named value, or an error with the name that nobody knows.
pub(crate) fn known<T>(field: &'static str, name: String, value: Option<T>) -> Checked<T> {
    value.ok_or_else(|| {
        let mut shown = name;
        cut(&mut shown, limits::NAME);
        Invalid::new(field, Problem::Unknown { value: shown })
    })
}

pub(crate) fn unknown_number(field: &'static str, value: i32) -> Invalid {
    Invalid::new(
        field,
        Problem::Range {
            value: i128::from(value),
        },
    )
}

/// Cuts a text to at most `limit` bytes without splitting a character.
pub(crate) fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
    }
}

pub(crate) fn cut_text(mut text: String) -> String {
    cut(&mut text, limits::TEXT);
    text
}

pub(crate) fn cut_name(text: impl Into<String>) -> String {
    let mut text = text.into();
    cut(&mut text, limits::NAME);
    text
}

/// Nanoseconds, saturating at 584 years.
pub(crate) fn nanos(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_whole_characters() {
        let mut text = "aü".to_owned();
        cut(&mut text, 2);
        assert_eq!(text, "a");
    }

    #[test]
    fn the_error_names_the_whole_path() {
        let error = list("flows", vec![vec![1, 2, 3]], 4, |bytes| {
            address("originator_ip", &bytes)
        })
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "flows[0].originator_ip: has 3 bytes, must have 4 or 16"
        );
    }
}

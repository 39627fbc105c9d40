//! Lines about refused and degraded packets, for who looks for a fault: `aya-log`, in a program of its own that is
//! loaded only where the log was asked for.

use aya_log_ebpf::info;
use sensor_ebpf::parse::{Degraded, Refused};

use crate::programs::maps::{DEGRADED, Work};

/// A function for each line: each has its own stack, and text of a known length, which the verifier wants.
macro_rules! lines {
    ($($name:ident: $text:literal;)*) => {
        $(
            #[inline(never)]
            fn $name(ifindex: u32, egress: u32, bytes: u32) {
                info!(&(), $text, ifindex, egress, bytes);
            }
        )*
    };
}

lines! {
    truncated_link: "interface {}, egress {}: {} bytes refused: truncated_link";
    other_ether_type: "interface {}, egress {}: {} bytes refused: other_ethertype";
    truncated_ip: "interface {}, egress {}: {} bytes refused: truncated_ip";
    bad_ip_header: "interface {}, egress {}: {} bytes refused: bad_ip_header";
    truncated_transport: "interface {}, egress {}: {} bytes degraded: truncated_transport";
    bad_transport_length: "interface {}, egress {}: {} bytes degraded: bad_transport_length";
    too_many_extension_headers: "interface {}, egress {}: {} bytes degraded: too_many_extension_headers";
    tunnel_not_opened: "interface {}, egress {}: {} bytes degraded: tunnel_not_opened";
    bad_ip_length: "interface {}, egress {}: {} bytes degraded: bad_ip_length";
}

/// Writes the line that `work.told` names; ARP frames, which are refused in the order of things, have none.
#[inline(always)]
pub(crate) fn line(work: &Work, bytes: u32) {
    const TRUNCATED_LINK: u32 = Refused::TruncatedLink as u32;
    const OTHER_ETHER_TYPE: u32 = Refused::OtherEtherType as u32;
    const TRUNCATED_IP: u32 = Refused::TruncatedIp as u32;
    const BAD_IP_HEADER: u32 = Refused::BadIpHeader as u32;
    const TRUNCATED_TRANSPORT: u32 = DEGRADED + Degraded::TruncatedTransport as u32;
    const BAD_TRANSPORT_LENGTH: u32 = DEGRADED + Degraded::BadTransportLength as u32;
    const TOO_MANY_EXTENSION_HEADERS: u32 = DEGRADED + Degraded::TooManyExtensionHeaders as u32;
    const TUNNEL_NOT_OPENED: u32 = DEGRADED + Degraded::TunnelNotOpened as u32;
    const BAD_IP_LENGTH: u32 = DEGRADED + Degraded::BadIpLength as u32;
    let (ifindex, egress) = (work.point >> 1, work.point & 1);
    match work.told {
        TRUNCATED_LINK => truncated_link(ifindex, egress, bytes),
        OTHER_ETHER_TYPE => other_ether_type(ifindex, egress, bytes),
        TRUNCATED_IP => truncated_ip(ifindex, egress, bytes),
        BAD_IP_HEADER => bad_ip_header(ifindex, egress, bytes),
        TRUNCATED_TRANSPORT => truncated_transport(ifindex, egress, bytes),
        BAD_TRANSPORT_LENGTH => bad_transport_length(ifindex, egress, bytes),
        TOO_MANY_EXTENSION_HEADERS => too_many_extension_headers(ifindex, egress, bytes),
        TUNNEL_NOT_OPENED => tunnel_not_opened(ifindex, egress, bytes),
        BAD_IP_LENGTH => bad_ip_length(ifindex, egress, bytes),
        _ => {}
    }
}

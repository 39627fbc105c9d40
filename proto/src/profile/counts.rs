//! Plain counters.

use lynceus_model::profile::{AppCounts, Counts, NotCarried, Totals};

use crate::v1;

impl From<v1::FlowCounts> for Counts {
    fn from(wire: v1::FlowCounts) -> Self {
        Self {
            flows: wire.flows,
            packets_sent: wire.packets_sent,
            packets_received: wire.packets_received,
            bytes_sent: wire.bytes_sent,
            bytes_received: wire.bytes_received,
        }
    }
}

impl From<Counts> for v1::FlowCounts {
    fn from(counts: Counts) -> Self {
        Self {
            flows: counts.flows,
            packets_sent: counts.packets_sent,
            packets_received: counts.packets_received,
            bytes_sent: counts.bytes_sent,
            bytes_received: counts.bytes_received,
        }
    }
}

/// Nothing is sent for nothing.
pub(super) fn counts_of(counts: Counts) -> Option<v1::FlowCounts> {
    (counts != Counts::default()).then(|| counts.into())
}

impl From<v1::ProfileTotals> for Totals {
    fn from(wire: v1::ProfileTotals) -> Self {
        Self {
            client_established: wire.client_established.unwrap_or_default().into(),
            client_not_established: wire.client_not_established.unwrap_or_default().into(),
            server_established: wire.server_established.unwrap_or_default().into(),
            server_not_established: wire.server_not_established.unwrap_or_default().into(),
            tcp_flows: wire.tcp_flows,
            udp_flows: wire.udp_flows,
            icmp_flows: wire.icmp_flows,
            other_flows: wire.other_flows,
        }
    }
}

impl From<&Totals> for v1::ProfileTotals {
    fn from(totals: &Totals) -> Self {
        Self {
            client_established: counts_of(totals.client_established),
            client_not_established: counts_of(totals.client_not_established),
            server_established: counts_of(totals.server_established),
            server_not_established: counts_of(totals.server_not_established),
            tcp_flows: totals.tcp_flows,
            udp_flows: totals.udp_flows,
            icmp_flows: totals.icmp_flows,
            other_flows: totals.other_flows,
        }
    }
}

impl From<v1::AppCounts> for AppCounts {
    fn from(wire: v1::AppCounts) -> Self {
        Self {
            dns: wire.dns,
            dns_nxdomain: wire.dns_nxdomain,
            tls_client: wire.tls_client,
            tls_server: wire.tls_server,
            http_request: wire.http_request,
            http_response: wire.http_response,
            ssh: wire.ssh,
            dhcp: wire.dhcp,
            arp: wire.arp,
        }
    }
}

impl From<AppCounts> for v1::AppCounts {
    fn from(counts: AppCounts) -> Self {
        Self {
            dns: counts.dns,
            dns_nxdomain: counts.dns_nxdomain,
            tls_client: counts.tls_client,
            tls_server: counts.tls_server,
            http_request: counts.http_request,
            http_response: counts.http_response,
            ssh: counts.ssh,
            dhcp: counts.dhcp,
            arp: counts.arp,
        }
    }
}

impl From<v1::NotCarried> for NotCarried {
    fn from(wire: v1::NotCarried) -> Self {
        Self {
            flows: wire.flows,
            apps: wire.apps,
            letters: wire.letters,
        }
    }
}

impl From<NotCarried> for v1::NotCarried {
    fn from(counts: NotCarried) -> Self {
        Self {
            flows: counts.flows,
            apps: counts.apps,
            letters: counts.letters,
        }
    }
}

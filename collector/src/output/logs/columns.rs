//! The columns of each log: names, types and order of Zeek 7; what its packages add (Community ID, JA3, JA4, HASSH) behind.

/// A log of Zeek.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) path: &'static str,
    pub(super) columns: &'static [(&'static str, &'static str)],
}

macro_rules! logs {
    ($($name:ident = $path:literal { $($column:literal: $kind:literal),* $(,)? })*) => {
        $(pub(super) static $name: Log = Log {
            path: $path,
            columns: &[$(($column, $kind)),*],
        };)*
    };
}

logs! {
    CONN = "conn" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "proto": "enum", "service": "string", "duration": "interval", "orig_bytes": "count", "resp_bytes": "count",
        "conn_state": "string", "local_orig": "bool", "local_resp": "bool", "missed_bytes": "count", "history": "string",
        "orig_pkts": "count", "orig_ip_bytes": "count", "resp_pkts": "count", "resp_ip_bytes": "count",
        "tunnel_parents": "set[string]", "ip_proto": "count", "vlan": "int", "inner_vlan": "int",
        "orig_l2_addr": "string", "resp_l2_addr": "string", "community_id": "string",
    }
    LABELLED = "conn" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "proto": "enum", "service": "string", "duration": "interval", "orig_bytes": "count", "resp_bytes": "count",
        "conn_state": "string", "local_orig": "bool", "local_resp": "bool", "missed_bytes": "count", "history": "string",
        "orig_pkts": "count", "orig_ip_bytes": "count", "resp_pkts": "count", "resp_ip_bytes": "count",
        "tunnel_parents": "set[string]", "ip_proto": "count", "vlan": "int", "inner_vlan": "int",
        "orig_l2_addr": "string", "resp_l2_addr": "string", "community_id": "string",
        "truth": "string", "detailed_truth": "string", "label": "string", "detailedlabel": "string",
    }
    DNS = "dns" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "proto": "enum", "trans_id": "count", "rtt": "interval", "query": "string", "qtype": "count",
        "rcode": "count", "answers": "vector[string]", "TTLs": "vector[interval]", "rejected": "bool",
    }
    HTTP = "http" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "trans_depth": "count", "method": "string", "host": "string", "uri": "string", "user_agent": "string",
        "request_body_len": "count", "response_body_len": "count", "status_code": "count",
        "resp_mime_types": "vector[string]",
    }
    SSL = "ssl" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "version": "string", "cipher": "string", "server_name": "string", "next_protocol": "string",
        "established": "bool", "cert_chain_fps": "vector[string]", "subject": "string", "issuer": "string",
        "validation_status": "string", "ja3": "string", "ja3s": "string", "ja4": "string",
    }
    QUIC = "quic" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "version": "string", "client_initial_dcid": "string", "server_name": "string", "client_protocol": "string",
    }
    X509 = "x509" {
        "ts": "time", "fingerprint": "string", "certificate.subject": "string", "certificate.issuer": "string",
        "certificate.not_valid_before": "time", "certificate.not_valid_after": "time", "san.dns": "vector[string]",
        "host_cert": "bool", "client_cert": "bool",
    }
    SSH = "ssh" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "auth_success": "bool", "auth_attempts": "count", "client": "string", "server": "string",
        "hassh": "string", "hasshServer": "string",
    }
    DHCP = "dhcp" {
        "ts": "time", "uids": "set[string]", "client_addr": "addr", "server_addr": "addr", "mac": "string",
        "host_name": "string", "requested_addr": "addr", "assigned_addr": "addr", "msg_types": "vector[string]",
        "client_software": "string",
    }
    FTP = "ftp" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "user": "string", "command": "string", "arg": "string", "reply_code": "count", "reply_msg": "string",
        "data_channel.resp_h": "addr", "data_channel.resp_p": "port",
    }
    SMTP = "smtp" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "trans_depth": "count", "helo": "string", "mailfrom": "string", "rcptto": "set[string]",
        "last_reply": "string", "tls": "bool",
    }
    LOGIN = "login" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "service": "string", "user": "string", "success": "string",
    }
    FILES = "files" {
        "ts": "time", "fuid": "string", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "source": "string", "mime_type": "string", "filename": "string", "is_orig": "bool",
        "seen_bytes": "count", "total_bytes": "count", "md5": "string", "sha1": "string", "sha256": "string",
    }
    TUNNEL = "tunnel" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "tunnel_type": "enum", "action": "enum",
    }
    NOTICE = "notice" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "proto": "enum", "note": "enum", "msg": "string", "sub": "string", "src": "addr", "dst": "addr", "p": "port",
    }
    WEIRD = "weird" {
        "ts": "time", "uid": "string",
        "id.orig_h": "addr", "id.orig_p": "port", "id.resp_h": "addr", "id.resp_p": "port",
        "name": "string", "addl": "string",
    }
    SOFTWARE = "software" {
        "ts": "time", "host": "addr", "host_p": "port", "software_type": "enum", "name": "string",
        "unparsed_version": "string",
    }
    KNOWN_HOSTS = "known_hosts" {
        "ts": "time", "host": "addr",
    }
    KNOWN_SERVICES = "known_services" {
        "ts": "time", "host": "addr", "port_num": "port", "port_proto": "enum", "service": "set[string]",
    }
    ARP = "arp" {
        "ts": "time", "operation": "string", "src_mac": "string", "dst_mac": "string",
        "orig_h": "addr", "resp_h": "addr", "orig_hw": "string", "resp_hw": "string",
    }
}

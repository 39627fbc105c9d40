//! Who may speak for whom: a sensor's certificate names its UUID as a subject alternative name, as DNS name
//! (`UUID.sensor.lynceus` or the UUID itself) or as `urn:uuid:UUID`. Without TLS the collector listens on loopback and
//! unix sockets only.

use std::net::SocketAddr;

use lynceus_model::window::SensorId;
use tonic::{Request, Status};

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Loopback or a unix socket: the machine itself vouches for it.
    Local,
    /// A certificate that our CA signed, and the sensors that it names.
    Certified { sensors: Vec<SensorId> },
}

const DOMAIN: &[u8] = b".sensor.lynceus";
const URN: &[u8] = b"urn:uuid:";

impl Peer {
    /// The peer of a request, by the certificate that it showed.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        match request.peer_certs() {
            None => Self::Local,
            Some(certificates) => Self::Certified {
                sensors: certificates
                    .first()
                    .map(|der| sensors_of(der))
                    .unwrap_or_default(),
            },
        }
    }

    /// # Errors
    /// The certificate does not name the sensor.
    pub fn may_speak_for(&self, sensor: SensorId) -> Result<(), Status> {
        match self {
            Self::Local => Ok(()),
            Self::Certified { sensors } if sensors.contains(&sensor) => Ok(()),
            Self::Certified { .. } => Err(Status::permission_denied(
                "the certificate does not name this sensor_id",
            )),
        }
    }

    /// Sensors report; they do not read what others saw.
    ///
    /// # Errors
    /// The certificate is that of a sensor.
    pub fn may_read(&self) -> Result<(), Status> {
        match self {
            Self::Certified { sensors } if !sensors.is_empty() => Err(Status::permission_denied(
                "a sensor's certificate may not ask for data",
            )),
            Self::Local | Self::Certified { .. } => Ok(()),
        }
    }
}

/// Whether plaintext may be served there.
#[must_use]
pub const fn plaintext_is_safe(address: SocketAddr) -> bool {
    address.ip().is_loopback()
}

/// The sensors that a certificate (DER) names in its subject alternative names.
///
/// The extension is found by its object identifier; what follows is read strictly, so a certificate that is built in
/// another way names nobody. rustls has checked signature and chain before.
#[must_use]
pub fn sensors_of(der: &[u8]) -> Vec<SensorId> {
    // 2.5.29.17 subjectAltName
    const SAN: &[u8] = &[0x06, 0x03, 0x55, 0x1d, 0x11];
    let mut found = Vec::new();
    let Some(at) = der.windows(SAN.len()).position(|window| window == SAN) else {
        return found;
    };
    let Some(names) = general_names(&der[at + SAN.len()..]) else {
        return found;
    };
    let mut rest = names;
    while let Some((tag, value, after)) = element(rest) {
        rest = after;
        let text = match tag {
            // uniformResourceIdentifier
            0x86 => value.strip_prefix(URN),
            // dNSName
            0x82 => Some(value.strip_suffix(DOMAIN).unwrap_or(value)),
            _ => None,
        };
        let uuid = text
            .and_then(|text| std::str::from_utf8(text).ok())
            .and_then(|text| text.parse().ok());
        found.extend(uuid.map(|uuid: uuid::Uuid| SensorId(uuid.into_bytes())));
    }
    found
}

/// Content of the GeneralNames behind the identifier: an optional critical flag, then an OCTET STRING with a SEQUENCE.
fn general_names(bytes: &[u8]) -> Option<&[u8]> {
    let (mut tag, mut value, rest) = element(bytes)?;
    if tag == 0x01 {
        (tag, value, _) = element(rest)?;
    }
    if tag != 0x04 {
        return None;
    }
    let (tag, names, rest) = element(value)?;
    (tag == 0x30 && rest.is_empty()).then_some(names)
}

/// One DER element: tag, content, what follows. Lengths up to 65,535.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81 => {
            let (&length, rest) = rest.split_first()?;
            (usize::from(length), rest)
        }
        0x82 => {
            let (length, rest) = rest.split_first_chunk::<2>()?;
            (usize::from(u16::from_be_bytes(*length)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    Some((tag, value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    const ID: &str = "0190c5a2-7d5e-7b61-9a3d-1f2e3d4c5b6a";

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = names;
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .der()
            .to_vec()
    }

    #[test]
    fn a_certificate_names_its_sensors() {
        let sensor = SensorId(ID.parse::<uuid::Uuid>().unwrap().into_bytes());
        let dns = SanType::DnsName(format!("{ID}.sensor.lynceus").try_into().unwrap());
        let uri = SanType::URI(format!("urn:uuid:{ID}").try_into().unwrap());
        let other = SanType::DnsName("collector.example".try_into().unwrap());
        assert_eq!(sensors_of(&certificate(vec![other.clone(), dns])), [sensor]);
        let bare = SanType::DnsName(ID.try_into().unwrap());
        assert_eq!(sensors_of(&certificate(vec![uri])), [sensor]);
        assert_eq!(sensors_of(&certificate(vec![bare])), [sensor]);
        assert_eq!(sensors_of(&certificate(vec![other])), []);
        assert_eq!(sensors_of(&certificate(Vec::new())), []);
    }

    #[test]
    fn only_the_named_sensor_may_speak() {
        let named = SensorId([1; 16]);
        let peer = Peer::Certified { sensors: vec![named] };
        assert!(peer.may_speak_for(named).is_ok());
        assert!(peer.may_speak_for(SensorId([2; 16])).is_err());
        assert!(Peer::Local.may_speak_for(SensorId([2; 16])).is_ok());
        assert!(peer.may_read().is_err());
        assert!(Peer::Certified { sensors: Vec::new() }.may_read().is_ok());
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut framed = vec![0x06, 0x03, 0x55, 0x1d, 0x11];
            framed.extend_from_slice(&bytes);
            let _ = sensors_of(&framed);
            let _ = sensors_of(&bytes);
        }
    }
}

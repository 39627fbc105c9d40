//! Who may speak for whom: a sensor's certificate names its UUID as a subject alternative name, as DNS name
//! (`UUID.sensor.lynceus` or the UUID itself) or as `urn:uuid:UUID`; a module's names it as `NAME.module.lynceus`. Without TLS the collector listens on loopback and
//! unix sockets only.

use std::net::SocketAddr;

use lynceus_model::window::SensorId;
use tonic::{Request, Status};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

/// The other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Loopback or a unix socket: the machine itself vouches for it.
    Local,
    /// A certificate that our CA signed, and the sensors and modules that it names.
    Certified {
        sensors: Vec<SensorId>,
        modules: Vec<String>,
    },
}

const DOMAIN: &str = ".sensor.lynceus";
const MODULE_DOMAIN: &str = ".module.lynceus";
const URN: &str = "urn:uuid:";

impl Peer {
    /// The peer of a request, by the certificate that it showed.
    #[must_use]
    pub fn of<T>(request: &Request<T>) -> Self {
        match request.peer_certs() {
            None => Self::Local,
            Some(certificates) => {
                let first = certificates.first();
                Self::Certified {
                    sensors: first.map(|der| sensors_of(der)).unwrap_or_default(),
                    modules: first.map(|der| modules_of(der)).unwrap_or_default(),
                }
            }
        }
    }

    /// # Errors
    /// The certificate does not name the sensor.
    pub fn may_speak_for(&self, sensor: SensorId) -> Result<(), Status> {
        match self {
            Self::Local => Ok(()),
            Self::Certified { sensors, .. } if sensors.contains(&sensor) => Ok(()),
            Self::Certified { .. } => Err(Status::permission_denied(
                "the certificate does not name this sensor_id",
            )),
        }
    }

    /// Modules write evidence, so a reader's certificate is not enough.
    ///
    /// # Errors
    /// The certificate does not name the module.
    pub fn may_attach(&self, module: &str) -> Result<(), Status> {
        match self {
            Self::Local => Ok(()),
            Self::Certified { modules, .. } if modules.iter().any(|named| named == module) => Ok(()),
            Self::Certified { .. } => Err(Status::permission_denied(
                "the certificate does not name this module",
            )),
        }
    }

    /// Sensors report; they do not read what others saw.
    ///
    /// # Errors
    /// The certificate is that of a sensor.
    pub fn may_read(&self) -> Result<(), Status> {
        match self {
            Self::Certified { sensors, .. } if !sensors.is_empty() => Err(Status::permission_denied(
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
/// A certificate that cannot be read, or that has the extension twice, names nobody. rustls has checked signature and
/// chain before.
#[must_use]
pub fn sensors_of(der: &[u8]) -> Vec<SensorId> {
    names_of(der, sensor_of)
}

/// The modules that a certificate (DER) names as `NAME.module.lynceus`; as [`sensors_of`].
#[must_use]
pub fn modules_of(der: &[u8]) -> Vec<String> {
    names_of(der, |name| match name {
        GeneralName::DNSName(name) => name.strip_suffix(MODULE_DOMAIN).map(str::to_owned),
        _ => None,
    })
}

fn names_of<T>(der: &[u8], read: impl FnMut(&GeneralName<'_>) -> Option<T>) -> Vec<T> {
    let Ok((rest, certificate)) = X509Certificate::from_der(der) else {
        return Vec::new();
    };
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    if !rest.is_empty() {
        return Vec::new();
    }
    extension.value.general_names.iter().filter_map(read).collect()
}

fn sensor_of(name: &GeneralName<'_>) -> Option<SensorId> {
    let text = match name {
        GeneralName::URI(uri) => uri.strip_prefix(URN)?,
        GeneralName::DNSName(name) => name.strip_suffix(DOMAIN).unwrap_or(name),
        _ => return None,
    };
    let uuid: uuid::Uuid = text.parse().ok()?;
    Some(SensorId(uuid.into_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

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

    /// The bytes of the extension, written into a name that whoever asks for a certificate may choose.
    #[test]
    fn a_subject_that_looks_like_the_extension_names_nobody() {
        let name = format!("{ID}.sensor.lynceus");
        let length = u8::try_from(name.len()).unwrap();
        // 2.5.29.17, OCTET STRING, SEQUENCE; a filler whose last byte makes the tag of a DNS name valid UTF-8.
        let mut bytes = vec![0x06, 0x03, 0x55, 0x1d, 0x11, 0x04, length + 7, 0x30, length + 5];
        bytes.extend_from_slice(&[0x61, 0x01, 0xc2, 0x82, length]);
        bytes.extend_from_slice(name.as_bytes());
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        let crafted = String::from_utf8(bytes.clone()).unwrap();
        params.distinguished_name.push(DnType::CommonName, crafted);
        let other = SanType::DnsName("collector.example".try_into().unwrap());
        for names in [Vec::new(), vec![other]] {
            params.subject_alt_names = names;
            let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
            let der = certificate.der();
            assert!(der.windows(bytes.len()).any(|window| window == bytes));
            assert_eq!(sensors_of(der), []);
        }
    }

    #[test]
    fn trailing_bytes_make_a_certificate_unreadable() {
        let uri = SanType::URI(format!("urn:uuid:{ID}").try_into().unwrap());
        let mut der = certificate(vec![uri]);
        der.push(0);
        assert_eq!(sensors_of(&der), []);
    }

    #[test]
    fn only_the_named_sensor_may_speak() {
        let named = SensorId([1; 16]);
        let peer = Peer::Certified {
            sensors: vec![named],
            modules: Vec::new(),
        };
        assert!(peer.may_speak_for(named).is_ok());
        assert!(peer.may_speak_for(SensorId([2; 16])).is_err());
        assert!(Peer::Local.may_speak_for(SensorId([2; 16])).is_ok());
        assert!(peer.may_read().is_err());
        let module = SanType::DnsName("telnet.module.lynceus".try_into().unwrap());
        let module = Peer::Certified {
            sensors: Vec::new(),
            modules: modules_of(&certificate(vec![module])),
        };
        assert!(module.may_read().is_ok() && module.may_attach("telnet").is_ok());
        assert!(module.may_attach("other").is_err() && peer.may_attach("telnet").is_err());
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..600) {
            let _ = sensors_of(&bytes);
            let uri = SanType::URI(format!("urn:uuid:{ID}").try_into().unwrap());
            let mut der = certificate(vec![uri]);
            let at = cut.min(der.len());
            der.splice(at..(at + bytes.len()).min(der.len()), bytes);
            let _ = sensors_of(&der);
        }
    }
}

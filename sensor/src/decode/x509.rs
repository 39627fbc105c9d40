//! Certificates (RFC 5280) as TLS servers send them in the clear, up to TLS 1.2.

use lynceus_model::app::Certificate;
use lynceus_model::time::Timestamp;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;
use x509_parser::time::ASN1Time;

use super::Malformed;

mod name;

/// Reads one certificate in DER. Bytes behind it are ignored and not hashed.
///
/// `self_signed` says whether subject and issuer are the same name. The signature is not checked: old and small keys, which
/// malware likes, are just those that no library verifies any more, and nobody but a CA that changes its key has a
/// certificate in its own name by another key.
///
/// # Errors
/// The bytes are no certificate.
pub fn read(der: &[u8]) -> Result<Certificate, Malformed> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Malformed)?;
    let der = &der[..der.len() - rest.len()];
    let (subject, issuer) = (certificate.subject(), certificate.issuer());
    let validity = certificate.validity();
    Ok(Certificate {
        server_name: None,
        subject: name::text(subject),
        issuer: name::text(issuer),
        common_name: subject.iter_common_name().last().map(name::plain_value),
        names: dns_names(&certificate),
        not_before: Some(time(validity.not_before)),
        not_after: Some(time(validity.not_after)),
        sha1: Some(super::hex(&Sha1::digest(der))),
        sha256: Some(super::hex(&Sha256::digest(der))),
        self_signed: Some(subject.as_raw() == issuer.as_raw()),
        validation: None,
    })
}

/// Lower case and without final dot, as names from DNS.
fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.trim_end_matches('.').to_ascii_lowercase()),
            _ => None,
        })
        .collect()
}

/// 9999-12-31, the "never" of RFC 5280 §4.1.2.5, is the last time that a [`Timestamp`] can tell.
fn time(time: ASN1Time) -> Timestamp {
    Timestamp::from_secs(time.timestamp())
}

#[cfg(test)]
mod tests;

use proptest::prelude::*;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, Issuer, KeyPair, SanType};

use super::*;

fn params(common_name: &str, names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "CZ");
    params
        .distinguished_name
        .push(DnType::OrganizationName, "Doe, Ltd+");
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.subject_alt_names = names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().unwrap()))
        .collect();
    params
        .subject_alt_names
        .push(SanType::IpAddress([192, 0, 2, 1].into()));
    params.not_before = rcgen::date_time_ymd(2024, 1, 2);
    params.not_after = rcgen::date_time_ymd(2025, 1, 2);
    params
}

fn self_signed(params: &CertificateParams) -> Vec<u8> {
    params
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap()
        .der()
        .to_vec()
}

#[test]
fn a_self_signed_certificate() {
    let der = self_signed(&params("host.example", &["Host.example", "*.example.org"]));
    let read = read(&der).unwrap();
    assert_eq!(read.subject, "CN=host.example,O=Doe\\, Ltd\\+,C=CZ");
    assert_eq!(read.issuer, read.subject);
    assert_eq!(read.common_name.as_deref(), Some("host.example"));
    assert_eq!(read.names, ["host.example", "*.example.org"]);
    assert_eq!(read.not_before, Some(Timestamp::from_secs(1_704_153_600)));
    assert_eq!(read.not_after, Some(Timestamp::from_secs(1_735_776_000)));
    assert_eq!(read.self_signed, Some(true));
    let digest = ring::digest::digest(&ring::digest::SHA256, &der);
    assert_eq!(read.sha256, Some(crate::decode::hex(digest.as_ref())));
    let trailed = [der.as_slice(), b"more"].concat();
    assert_eq!(super::read(&trailed).unwrap(), read);
}

#[test]
fn a_certificate_of_an_authority() {
    let key = KeyPair::generate().unwrap();
    let authority = Issuer::new(params("authority", &[]), key);
    let leaf = params("leaf", &[])
        .signed_by(&KeyPair::generate().unwrap(), &authority)
        .unwrap();
    let read = read(leaf.der()).unwrap();
    assert_eq!(read.self_signed, Some(false));
    assert_eq!(read.issuer, "CN=authority,O=Doe\\, Ltd\\+,C=CZ");
}

#[test]
fn odd_names_read_the_same_for_nobody_else() {
    let mut params = params(" #a\0;\\ ", &[]);
    params
        .distinguished_name
        .push(DnType::CustomDnType(vec![1, 2, 3, 4]), "x");
    let bmp = rcgen::string::BmpString::try_from("Žluťoučký").unwrap();
    params
        .distinguished_name
        .push(DnType::LocalityName, DnValue::BmpString(bmp));
    let read = read(&self_signed(&params)).unwrap();
    assert_eq!(
        read.subject,
        "L=Žluťoučký,1.2.3.4=x,CN=\\ #a\\00\\;\\\\\\ ,O=Doe\\, Ltd\\+,C=CZ"
    );
    assert_eq!(read.common_name.as_deref(), Some(" #a\0;\\ "));
}

proptest! {
    #[test]
    fn never_panics(at in 0usize..2000, to: u8, cut in 0usize..2000, noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut der = self_signed(&params("host.example", &["host.example"]));
        prop_assert!(read(&der[..cut % der.len()]).is_err());
        let at = at % der.len();
        der[at] = to;
        let _ = (read(&der), read(&noise));
    }
}

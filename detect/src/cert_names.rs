//! Whose a certificate says it is.

use lynceus_model::app::Certificate;

use crate::names::registrable;

/// `pattern` covers `name`: equal, or a wildcard for the first label (RFC 6125 §6.4.3). Case does not matter.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    match pattern.strip_prefix("*.") {
        Some(parent) => name.split_once('.').is_some_and(|(_, rest)| rest == parent),
        None => pattern == name,
    }
}

/// Whether the certificate is for this name or for another one of the same registrable domain. `None`: the certificate
/// was read without its names.
pub(crate) fn covers(certificate: &Certificate, name: &str) -> Option<bool> {
    let common = certificate.common_name.iter().filter(|name| is_name(name));
    let mut names = certificate.names.iter().chain(common).peekable();
    names.peek()?;
    Some(names.any(|pattern| matches(pattern, name) || same_domain(pattern, name)))
}

/// Common names are free text: a person, a device, a domain.
pub(crate) fn is_name(text: &str) -> bool {
    text.contains('.') && !text.contains(char::is_whitespace)
}

pub(crate) fn same_domain(pattern: &str, name: &str) -> bool {
    let bare = pattern.strip_prefix("*.").unwrap_or(pattern).to_ascii_lowercase();
    registrable(&bare) == registrable(&name.to_ascii_lowercase())
}

/// A component of a distinguished name (RFC 4514), as `O`; the first one.
pub(crate) fn component(name: &str, attribute: &str) -> Option<String> {
    let mut parts: Vec<String> = vec![String::new()];
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => {
                if let (Some(escaped), Some(part)) = (characters.next(), parts.last_mut()) {
                    part.push(escaped);
                }
            }
            ',' | '+' => parts.push(String::new()),
            other => {
                if let Some(part) = parts.last_mut() {
                    part.push(other);
                }
            }
        }
    }
    parts.iter().find_map(|part| {
        let (kind, value) = part.split_once('=')?;
        (kind.trim().eq_ignore_ascii_case(attribute) && !value.trim().is_empty())
            .then(|| value.trim().to_owned())
    })
}

/// Words of an organization's name that tell it from others: without its legal form.
pub(crate) fn words(organization: &str) -> impl Iterator<Item = String> + '_ {
    organization
        .split(|character: char| !character.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| {
            word.len() > 2
                && !matches!(
                    word.as_str(),
                    "inc"
                        | "llc"
                        | "ltd"
                        | "corp"
                        | "gmbh"
                        | "com"
                        | "net"
                        | "org"
                        | "the"
                        | "limited"
                        | "corporation"
                        | "company"
                )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_certificates() {
        assert!(matches("*.example.com", "www.EXAMPLE.com") && !matches("*.example.com", "a.b.example.com"));
        let mut certificate = Certificate::default();
        assert_eq!(covers(&certificate, "a.example.com"), None);
        certificate.common_name = Some("John Doe".into());
        assert_eq!(covers(&certificate, "a.example.com"), None);
        certificate.names = vec!["*.cdn.net".into()];
        assert_eq!(covers(&certificate, "a.example.com"), Some(false));
        certificate.common_name = Some("www.example.com".into());
        assert_eq!(covers(&certificate, "a.example.com"), Some(true));
    }

    #[test]
    fn components() {
        let name = r"CN=*.google.com,O=Google\, LLC,C=US";
        assert_eq!(component(name, "o").as_deref(), Some("Google, LLC"));
        assert_eq!((component(name, "L"), component("", "O")), (None, None));
        assert_eq!(words("Google, LLC").collect::<Vec<_>>(), ["google"]);
    }
}

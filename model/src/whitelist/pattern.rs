//! `*` stands for any characters, also none.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What stands between the stars, in lower case.
    parts: Vec<String>,
}

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self {
            parts: text.to_ascii_lowercase().split('*').map(str::to_owned).collect(),
        }
    }

    /// `text` is in lower case.
    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|whole| whole == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()) else {
            return false;
        };
        let Some(mut rest) = rest.strip_suffix(last.as_str()) else {
            return false;
        };
        // Taking the first place of each part leaves most for the others.
        for part in middle {
            let Some(at) = rest.find(part.as_str()) else {
                return false;
            };
            rest = &rest[at + part.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn stars() {
        for (pattern, yes, no) in [
            ("*.example.org", "a.b.example.org", "example.org"),
            ("a*c*e", "abcde", "abced"),
            ("10.1.*", "10.1.2.3", "10.11.2.3"),
            ("ab*ba", "abba", "aba"),
            ("plain", "plain", "plainer"),
        ] {
            assert!(Pattern::new(pattern).matches(yes), "{pattern} {yes}");
            assert!(!Pattern::new(pattern).matches(no), "{pattern} {no}");
        }
    }
}

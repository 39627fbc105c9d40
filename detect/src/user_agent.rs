//! What a user agent says of its operating system.

/// Families that user agents name (RFC 9110 §10.1.5; browsers' own documentation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum System {
    Windows,
    MacOs,
    Ios,
    Android,
    ChromeOs,
    Linux,
}

impl System {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Windows => "Windows",
            Self::MacOs => "macOS",
            Self::Ios => "iOS",
            Self::Android => "Android",
            Self::ChromeOs => "ChromeOS",
            Self::Linux => "Linux",
        }
    }

    /// The system that the user agent claims. `None`: it names none.
    pub(crate) fn of(agent: &str) -> Option<Self> {
        // Android names Linux, too, and iOS names Mac OS X: the special ones come first.
        let marks = [
            ("Windows Phone", None),
            ("Android", Some(Self::Android)),
            ("iPhone", Some(Self::Ios)),
            ("iPad", Some(Self::Ios)),
            ("CrOS", Some(Self::ChromeOs)),
            ("Windows NT", Some(Self::Windows)),
            ("Win32", Some(Self::Windows)),
            ("Macintosh", Some(Self::MacOs)),
            ("Mac OS X", Some(Self::MacOs)),
            ("Linux", Some(Self::Linux)),
        ];
        marks
            .into_iter()
            .find_map(|(mark, system)| agent.contains(mark).then_some(system))?
    }
}

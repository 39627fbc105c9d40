//! Organizations that the whitelist knows by name: their registrable domains and autonomous systems. Own list of public
//! facts: domains that the organizations name as theirs, system numbers of the regional registries.

use super::Party;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Organization {
    Google,
    Microsoft,
    Apple,
    Facebook,
    Twitter,
}

impl Organization {
    pub const ALL: [Self; 5] = [
        Self::Google,
        Self::Microsoft,
        Self::Apple,
        Self::Facebook,
        Self::Twitter,
    ];

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Microsoft => "microsoft",
            Self::Apple => "apple",
            Self::Facebook => "facebook",
            Self::Twitter => "twitter",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|organization| organization.name().eq_ignore_ascii_case(name))
    }

    /// Registrable domains; what is below them belongs to it too. Domains under which customers publish are left out:
    /// anybody can be a customer.
    #[must_use]
    pub const fn domains(self) -> &'static [&'static str] {
        match self {
            Self::Google => &[
                "google.com",
                "googleapis.com",
                "gstatic.com",
                "googlevideo.com",
                "youtube.com",
                "ytimg.com",
                "ggpht.com",
                "gmail.com",
                "doubleclick.net",
                "google-analytics.com",
                "googletagmanager.com",
                "googlesyndication.com",
                "googleadservices.com",
                "gvt1.com",
                "gvt2.com",
                "android.com",
                "withgoogle.com",
                "1e100.net",
                "app-measurement.com",
                "crashlytics.com",
                "recaptcha.net",
                "youtube-nocookie.com",
                "goog",
                "google",
            ],
            Self::Microsoft => &[
                "microsoft.com",
                "windows.com",
                "windowsupdate.com",
                "microsoftonline.com",
                "live.com",
                "office.com",
                "office.net",
                "office365.com",
                "outlook.com",
                "hotmail.com",
                "msn.com",
                "bing.com",
                "bing.net",
                "skype.com",
                "azure.com",
                "msftconnecttest.com",
                "msftncsi.com",
                "sharepoint.com",
                "onedrive.com",
                "visualstudio.com",
                "msedge.net",
                "s-microsoft.com",
                "microsoft",
                "msauth.net",
                "msftauth.net",
            ],
            Self::Apple => &[
                "apple.com",
                "icloud.com",
                "apple-dns.net",
                "aaplimg.com",
                "mzstatic.com",
                "cdn-apple.com",
                "itunes.com",
                "me.com",
                "mac.com",
                "apple-cloudkit.com",
                "apple-mapkit.com",
                "icloud-content.com",
                "apple",
            ],
            Self::Facebook => &[
                "facebook.com",
                "facebook.net",
                "fb.com",
                "fbcdn.net",
                "fbsbx.com",
                "instagram.com",
                "cdninstagram.com",
                "whatsapp.com",
                "whatsapp.net",
                "messenger.com",
                "meta.com",
                "oculus.com",
                "internalfb.com",
                "fb.me",
            ],
            Self::Twitter => &[
                "twitter.com",
                "twimg.com",
                "t.co",
                "x.com",
                "twttr.com",
                "periscope.tv",
                "pscp.tv",
            ],
        }
    }

    /// Autonomous systems.
    #[must_use]
    pub const fn systems(self) -> &'static [u32] {
        match self {
            Self::Google => &[15_169, 19_527, 36_040, 36_384, 36_385, 36_492, 43_515, 396_982],
            Self::Microsoft => &[
                3_598, 6_584, 8_068, 8_069, 8_070, 8_071, 8_072, 8_073, 8_075, 12_076, 23_468,
            ],
            Self::Apple => &[714, 2_709, 6_185],
            Self::Facebook => &[32_934, 54_115, 63_293, 149_642],
            Self::Twitter => &[13_414, 35_995, 54_888, 63_179],
        }
    }

    /// Whether `name` is one of its domains or stands below one.
    #[must_use]
    pub fn has_domain(self, name: &str) -> bool {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        self.domains().iter().any(|domain| {
            name.strip_suffix(domain)
                .is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    }

    pub(super) fn has(self, party: &Party<'_>) -> bool {
        party
            .autonomous_system
            .is_some_and(|number| self.systems().contains(&number))
            || party.names.iter().any(|name| self.has_domain(name))
    }
}

#[cfg(test)]
mod tests {
    use super::Organization;

    #[test]
    fn subdomains_belong_and_lookalikes_do_not() {
        assert!(Organization::Google.has_domain("www.google.com."));
        assert!(Organization::Google.has_domain("Google.com"));
        assert!(!Organization::Google.has_domain("notgoogle.com"));
        assert!(!Organization::Google.has_domain("google.com.evil.example"));
        assert_eq!(
            Organization::from_name("Microsoft"),
            Some(Organization::Microsoft)
        );
    }
}

//! Names of things: parts of the organisation, keys, models, headers, time zones.

use crate::leaf::{Fault, leaf, quote};
use http::HeaderName;
use jiff::tz::TimeZoneDatabase;
use std::{fmt, str::FromStr};
use tollgate_policy::{access::Models, allowance, id, scope};

/// The name of an org, team, project or user, of an allowance, a tag or a cost centre.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(pub scope::Name);

impl FromStr for Name {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        text.parse().map(Self).map_err(|_| {
            let cure = "use 1 to 64 letters, digits and . _ @ -, beginning with a letter or digit.";
            Fault::new(format!("{} is not a name", quote(text)), cure)
        })
    }
}

/// The id of a virtual key: what `tollgate key list` shows, not the key itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId(pub id::KeyId);

impl FromStr for KeyId {
    type Err = Fault;

    /// The text is never repeated in a fault: people put the key itself here.
    fn from_str(text: &str) -> Result<Self, Fault> {
        text.parse().map(Self).map_err(|_| {
            let cure = "write key_ and 26 digits and capitals, as `tollgate key list` shows it.";
            Fault::new("this is not the id of a key", cure)
        })
    }
}

/// A model id, or a pattern with `*` at its start, its end or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The text of the pattern.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        Models::new(vec![text.to_owned()]).map(|_| Self(text.to_owned())).map_err(|_| {
            let cure = "write a model id, with * at its start, its end or both, as in claude-haiku-*.";
            Fault::new(format!("{} is not a pattern of model ids", quote(text)), cure)
        })
    }
}

/// The name of a request header, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Header(HeaderName);

impl Header {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for Header {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        // RFC 9110, section 5.1, in lower case.
        text.parse().map(Self).map_err(|_| {
            Fault::new(format!("{} is not the name of a header", quote(text)), "write it as in x-app.")
        })
    }
}

/// A time zone of the IANA database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Zone(pub allowance::Zone);

impl FromStr for Zone {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        text.parse().map(Self).map_err(|_| {
            let cure = match nearest_zone(text) {
                Some(near) => format!("did you mean {near}?"),
                None => "write an IANA name, such as Europe/Berlin or America/New_York, or UTC.".to_owned(),
            };
            Fault::new(format!("there is no time zone {}", quote(text)), cure)
        })
    }
}

/// The zone whose name, or whose city where no continent is named, differs from the text by a slip of the hand.
fn nearest_zone(text: &str) -> Option<String> {
    let wanted = text.to_lowercase().replace(' ', "_");
    // The names are short; so a long text is none of them, and comparing it would only take time.
    if wanted.len() > 40 {
        return None;
    }
    let city = |zone: &str| zone.rsplit('/').next().unwrap_or_default().to_owned();
    let slips = city(&wanted).chars().count() / 5;
    let distance = |zone: &str| {
        let zone = zone.to_lowercase();
        let compared = if wanted.contains('/') { zone } else { city(&zone) };
        strsim::osa_distance(&compared, &wanted)
    };
    TimeZoneDatabase::bundled()
        .available()
        .map(|zone| (distance(zone.as_str()), zone.to_string()))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, zone)| zone)
}

macro_rules! display {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}
display!(Name);
display!(KeyId);
display!(Pattern);
display!(Header);
display!(Zone);

leaf!(Name, "tollgate-name");
leaf!(KeyId, "tollgate-key-id");
leaf!(Pattern, "tollgate-model");
leaf!(Header, "tollgate-header");
leaf!(Zone, "tollgate-time-zone");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_is_nearly_one_is_suggested() {
        let rows = [
            ("Europe/Berln", "did you mean Europe/Berlin?"),
            ("berlin", "did you mean Europe/Berlin?"),
            ("new york", "did you mean America/New_York?"),
            ("Asia/Kolkatta", "did you mean Asia/Kolkata?"),
            ("CEST", "write an IANA name, such as Europe/Berlin or America/New_York, or UTC."),
            ("Europe/Munich", "write an IANA name, such as Europe/Berlin or America/New_York, or UTC."),
            ("Mars/Olympus_Mons", "write an IANA name, such as Europe/Berlin or America/New_York, or UTC."),
            ("", "write an IANA name, such as Europe/Berlin or America/New_York, or UTC."),
        ];
        for (text, cure) in rows {
            assert_eq!(text.parse::<Zone>().unwrap_err().cure, cure, "{text}");
        }
        assert_eq!("europe/berlin".parse::<Zone>().unwrap().to_string(), "Europe/Berlin");
    }

    #[test]
    fn headers_are_named_in_lower_case() {
        assert_eq!("X-App".parse::<Header>().unwrap().as_str(), "x-app");
        for text in ["", "x app", "x:app", "x-\u{e4}"] {
            assert!(text.parse::<Header>().is_err(), "{text:?}");
        }
    }
}

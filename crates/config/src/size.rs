//! Sizes, written with their unit: `32MB`, `64KB`, `2GB`, `512B`.

use crate::{
    duration::{show, split_number},
    leaf::{Fault, leaf, quote},
};
use std::{fmt, str::FromStr};

/// A number of bytes, at most one terabyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Size {
    bytes: u64,
}

const KB: u64 = 1024;

/// Units, largest first. They are powers of 1024 because the limits of the Anthropic API are:
/// its 32 MB are 33,554,432 bytes.
const UNITS: [(&str, u64); 4] = [("GB", KB * KB * KB), ("MB", KB * KB), ("KB", KB), ("B", 1)];

impl Size {
    /// The largest size: 1024 GB. More is a mistake of a unit.
    pub const LARGEST: Self = Self { bytes: KB * KB * KB * KB };

    /// So many kilobytes (1024 bytes each), at most [`Size::LARGEST`].
    #[must_use]
    pub const fn from_kb(count: u64) -> Self {
        let bytes = count.saturating_mul(KB);
        if bytes > Self::LARGEST.bytes { Self::LARGEST } else { Self { bytes } }
    }

    /// So many megabytes (1024 KB each), at most [`Size::LARGEST`].
    #[must_use]
    pub const fn from_mb(count: u64) -> Self {
        Self::from_kb(count.saturating_mul(KB))
    }

    /// The size in bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

impl FromStr for Size {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        let (digits, unit) = split_number(text);
        let factor = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor);
        let (Some(factor), false) = (factor, digits.is_empty()) else {
            let cure =
                "write a whole number and a unit, as in 32MB, 64KB, 2GB or 512B (one KB is 1024 bytes).";
            return Err(Fault::new(format!("{} is not a size", quote(text)), cure));
        };
        let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
        match bytes {
            Some(bytes) if bytes <= Self::LARGEST.bytes => Ok(Self { bytes }),
            _ => Err(Fault::new(format!("{} is too large a size", quote(text)), "write at most 1024GB.")),
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(f, self.bytes, &UNITS, "0B")
    }
}

leaf!(Size, "tollgate-size");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        let rows = [
            ("0B", 0, "0B"),
            ("1023B", 1_023, "1023B"),
            ("1024B", 1_024, "1KB"),
            ("32MB", 33_554_432, "32MB"),
            ("2GB", 2_147_483_648, "2GB"),
            ("1024GB", 1_099_511_627_776, "1024GB"),
        ];
        for (text, bytes, shown) in rows {
            let size: Size = text.parse().unwrap();
            assert_eq!(size.bytes(), bytes, "{text}");
            assert_eq!(size.to_string(), shown, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let bad =
            ["", "MB", "32", "32mb", "32MiB", "1.5MB", "-1B", "32 MB", "1025GB", "99999999999999999999B"];
        for text in bad {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }
}

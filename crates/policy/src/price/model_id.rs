//! The many spellings of one model id.
//!
//! The same model is named differently by each platform and each snapshot. These rules, applied in this
//! order, lead from any of them to the name in the price book:
//!
//! 1. what stands before the last `/` goes (resource names and ARNs: `.../publishers/anthropic/models/`,
//!    `arn:aws:bedrock:...:inference-profile/`);
//! 2. a suffix in brackets goes (`[1m]`);
//! 3. what stands before `anthropic.` goes, and `anthropic.` too; a region in front of it (`us.`, `eu.`,
//!    `apac.`, any but `global.`) says that inference is bound to a place;
//! 4. `:` and what follows goes (`:0`), then `@` and what follows (`@20251101`);
//! 5. at the end, a version (`-v1`), a date (`-20251101`) and `-latest` go;
//! 6. a `-fast` at the end goes and says that the faster serving is used.
//!
//! Ids are compared in lower case. An opaque id (an application inference profile, a deployment name)
//! stays what it is, and is unknown unless the price book lists it as an alias.

/// A model id taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModelId<'a> {
    /// The name of the model, without platform, place, version and date.
    pub(crate) name: &'a str,
    /// Whether the id binds inference to a place.
    pub(crate) regional: bool,
    /// Whether the id asks for the faster serving.
    pub(crate) fast: bool,
}

impl<'a> ModelId<'a> {
    /// Takes an id apart by the rules above.
    pub(crate) fn take_apart(id: &'a str) -> Self {
        let name = id.rsplit('/').next().unwrap_or(id);
        let name =
            name.strip_suffix(']').and_then(|name| name.split_once('[')).map_or(name, |(name, _)| name);
        let (place, name) = split_platform(name);
        let name = name.split(':').next().unwrap_or(name);
        let name = name.split('@').next().unwrap_or(name);
        let name = strip_version(name);
        let name = strip_date(name);
        let name = name.strip_suffix("-latest").unwrap_or(name);
        let (name, fast) = name.strip_suffix("-fast").map_or((name, false), |name| (name, true));
        Self { name, regional: !matches!(place, None | Some("" | "global")), fast }
    }
}

/// `us.anthropic.claude-x` is the place `us` and the name `claude-x`.
fn split_platform(name: &str) -> (Option<&str>, &str) {
    if let Some(name) = name.strip_prefix("anthropic.") {
        return (None, name);
    }
    match name.split_once(".anthropic.") {
        Some((place, name)) => (Some(place), name),
        None => (None, name),
    }
}

fn strip_version(name: &str) -> &str {
    match name.rsplit_once("-v") {
        Some((rest, digits)) if is_number(digits) => rest,
        _ => name,
    }
}

fn strip_date(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((rest, digits)) if digits.len() == 8 && is_number(digits) => rest,
        _ => name,
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_leads_to_one_name() {
        let plain = |name| ModelId { name, regional: false, fast: false };
        let regional = |name| ModelId { name, regional: true, fast: false };
        let rows = [
            ("claude-opus-4-5", plain("claude-opus-4-5")),
            ("claude-opus-4-5-20251101", plain("claude-opus-4-5")),
            ("claude-opus-4-5@20251101", plain("claude-opus-4-5")),
            ("claude-3-5-sonnet-v2@20241022", plain("claude-3-5-sonnet")),
            ("claude-3-5-haiku-latest", plain("claude-3-5-haiku")),
            ("claude-sonnet-4-5[1m]", plain("claude-sonnet-4-5")),
            ("anthropic/claude-sonnet-4.5", plain("claude-sonnet-4.5")),
            ("anthropic.claude-opus-4-6-v1", plain("claude-opus-4-6")),
            ("anthropic.claude-opus-4-5-20251101-v1:0", plain("claude-opus-4-5")),
            ("anthropic.claude-3-5-sonnet-20241022-v2:0:200k", plain("claude-3-5-sonnet")),
            ("global.anthropic.claude-opus-5-5", plain("claude-opus-5-5")),
            ("us.anthropic.claude-opus-4-5-20251101-v1:0", regional("claude-opus-4-5")),
            ("us-gov.anthropic.claude-sonnet-4-6", regional("claude-sonnet-4-6")),
            ("apac.anthropic.claude-sonnet-4-6[1m]", regional("claude-sonnet-4-6")),
            (
                "arn:aws:bedrock:eu-west-1:123456789012:inference-profile/eu.anthropic.claude-haiku-4-5-20251001-v1:0",
                regional("claude-haiku-4-5"),
            ),
            (
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-haiku-4-5-20251001-v1:0",
                plain("claude-haiku-4-5"),
            ),
            (
                "projects/p/locations/global/publishers/anthropic/models/claude-haiku-4-5@20251001",
                plain("claude-haiku-4-5"),
            ),
            ("claude-opus-5-5-fast", ModelId { name: "claude-opus-5-5", regional: false, fast: true }),
            // Not a date, not a version, not a platform: stays.
            ("claude-opus-4-5-2025110", plain("claude-opus-4-5-2025110")),
            ("claude-opus-4-5-version", plain("claude-opus-4-5-version")),
            ("my-deployment", plain("my-deployment")),
            ("", plain("")),
            ("]", plain("]")),
            ("-v1:0", plain("")),
        ];
        for (id, expected) in rows {
            assert_eq!(ModelId::take_apart(id), expected, "{id}");
        }
    }
}

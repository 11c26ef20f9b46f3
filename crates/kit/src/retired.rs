//! Models that the API serves no more.

/// What their ids begin with, and the day, or the month, when the last of them was retired
/// (<https://platform.claude.com/docs/en/about-claude/model-deprecations>, as of November 2026). Bedrock and Vertex AI
/// have days of their own.
const RETIRED: [(&str, &str); 14] = [
    ("claude-1", "2024-11-06"),
    ("claude-instant", "2024-11-06"),
    ("claude-2", "2025-07-21"),
    ("claude-3-sonnet", "2025-07-21"),
    ("claude-3-5-sonnet", "2025-10-28"),
    ("claude-3-opus", "2026-01-05"),
    ("claude-3-5-haiku", "2026-02-19"),
    ("claude-3-7-sonnet", "2026-02-19"),
    ("claude-3-haiku", "2026-04"),
    ("claude-opus-4-0", "2026-06-15"),
    ("claude-opus-4-2025", "2026-06-15"),
    ("claude-opus-4-1", "2026-08-05"),
    ("claude-sonnet-4-0", "2026-06-15"),
    ("claude-sonnet-4-2025", "2026-06-15"),
];

/// The first retired model that a text names: where in the text its id begins, and since when it is not served.
pub(crate) fn find(text: &str) -> Option<(usize, &'static str)> {
    RETIRED.iter().filter_map(|(start, day)| Some((text.find(start)?, *day))).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_retired_are_found_and_those_in_service_are_not() {
        assert_eq!(find("model: claude-3-5-sonnet-20241022"), Some((7, "2025-10-28")));
        assert_eq!(find("claude-sonnet-4-20250514, claude-2.1"), Some((0, "2026-06-15")));
        for model in ["claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "claude-haiku-4-5", "sonnet"]
        {
            assert_eq!(find(model), None, "{model}");
        }
    }
}

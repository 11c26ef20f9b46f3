//! The allowances of a gateway under measurement: of five levels, so large that nothing is refused. And the proof that
//! each request was charged to every one that counts it.

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde_json::Value;

use crate::script::{INPUT_TOKENS, OUTPUT_TOKENS};

/// Which allowances a gateway has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Allowances {
    /// None.
    None,
    /// Those of five levels.
    Five,
    /// Those of five levels, and [`OTHERS`] budgets of teams that send nothing.
    Crowded,
}

/// The levels, each with whom an allowance of it is for.
const LEVELS: [(&str, &str); 5] = [
    ("org", "on: { org: default }"),
    ("team", "each: team"),
    ("project", "each: project"),
    ("user", "each: user"),
    ("key", "each: key"),
];
/// What there is on each level. The last one counts a model that nobody asks for.
const GRANTS: [(&str, &str); 6] = [
    ("month", "usd: \"10000000\", per: month, warn_at: [50, 75, 95]"),
    ("minute", "requests: 1000000000, per: minute, burst: 100000000"),
    ("day", "tokens: 1000000000000000, per: day, warn_at: [75, 95]"),
    ("at-once", "concurrent: 1000000"),
    ("sonnet", "usd: \"10000000\", per: month, models: [\"claude-sonnet-*\"], warn_at: [75, 95]"),
    ("opus", "usd: \"10000000\", per: month, models: [\"claude-opus-*\"], warn_at: [75, 95]"),
];
/// Budgets of other teams.
const OTHERS: usize = 5_000;

impl Allowances {
    /// Its word on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Five => "five",
            Self::Crowded => "crowded",
        }
    }

    /// What they are, in a few words.
    pub(crate) fn about(self) -> String {
        let five = LEVELS.len() * GRANTS.len();
        match self {
            Self::None => "no allowances".to_owned(),
            Self::Five => format!("{five} of five levels"),
            Self::Crowded => format!("those and {OTHERS} of others"),
        }
    }

    /// As the configuration has them.
    pub(crate) fn yaml(self) -> String {
        let mut yaml = String::new();
        if self != Self::None {
            yaml += "allowances:\n";
            for (level, whose) in LEVELS {
                for (grant, what) in GRANTS {
                    let _ = writeln!(yaml, "  - {{ name: {level}-{grant}, {whose}, {what} }}");
                }
            }
        }
        if self == Self::Crowded {
            for number in 0..OTHERS {
                let whose = format!("on: {{ team: other-{number} }}");
                let _ = writeln!(yaml, "  - {{ name: other-{number}, {whose}, {} }}", GRANTS[0].1);
            }
        }
        yaml
    }

    /// How many allowances count a request of the bench.
    pub(crate) fn counting(self) -> usize {
        if self == Self::None { 0 } else { LEVELS.len() * (GRANTS.len() - 1) }
    }

    /// Checks what the admin API lists against what passed: so many requests, which cost so much together.
    pub(crate) fn check(self, listed: &[Value], requests: u64, cost_nano_usd: u64) -> Result<()> {
        let mut used = BTreeMap::new();
        for row in listed {
            let name = row["allowance"]["name"].as_str().context("an allowance without a name")?;
            let counters = row["standing"].as_array().with_context(|| format!("{name} does not stand"))?;
            let mut sum = 0;
            for counter in counters {
                ensure!(counter["held"] == 0, "{name} still holds something: {counter}");
                sum += counter["used"].as_u64().with_context(|| format!("{name}: {counter}"))?;
            }
            used.insert(name, sum);
        }
        let mut check = |name: &str, wanted: Option<u64>| {
            let used = used.remove(name).with_context(|| format!("{name} is not in force"))?;
            ensure!(wanted.is_none_or(|wanted| used == wanted), "{name} has used {used}, not {wanted:?}");
            Ok(())
        };
        if self != Self::None {
            for (level, _) in LEVELS {
                check(&format!("{level}-month"), Some(cost_nano_usd))?;
                check(&format!("{level}-sonnet"), Some(cost_nano_usd))?;
                check(&format!("{level}-day"), Some(requests * (INPUT_TOKENS + OUTPUT_TOKENS)))?;
                // What was used of a rate drains.
                check(&format!("{level}-minute"), None)?;
                check(&format!("{level}-at-once"), Some(0))?;
                check(&format!("{level}-opus"), Some(0))?;
            }
        }
        if self == Self::Crowded {
            for number in 0..OTHERS {
                check(&format!("other-{number}"), Some(0))?;
            }
        }
        ensure!(used.is_empty(), "allowances that nobody asked for are in force: {used:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed() -> Vec<Value> {
        let standing = |grant: &str| match grant {
            "month" | "sonnet" => json!([{ "used": 700, "held": 0 }, { "used": 300, "held": 0 }]),
            "day" => json!([{ "used": 2 * (INPUT_TOKENS + OUTPUT_TOKENS), "held": 0 }]),
            "minute" => json!([{ "used": 1, "held": 0 }]),
            _ => json!([]),
        };
        let row = |level: &str, grant: &str| json!({ "allowance": { "name": format!("{level}-{grant}") }, "standing": standing(grant) });
        LEVELS.iter().flat_map(|(level, _)| GRANTS.iter().map(move |(grant, _)| row(level, grant))).collect()
    }

    #[test]
    fn counters_must_hold_exactly_what_passed() {
        let good = listed();
        Allowances::Five.check(&good, 2, 1_000).unwrap();
        assert!(Allowances::Five.check(&good, 2, 1_001).is_err(), "money");
        assert!(Allowances::Five.check(&good, 3, 1_000).is_err(), "tokens");
        assert!(Allowances::Five.check(&good[1..], 2, 1_000).is_err(), "one is missing");
        assert!(Allowances::Crowded.check(&good, 2, 1_000).is_err(), "many are missing");
        assert!(Allowances::None.check(&good, 2, 1_000).is_err(), "there should be none");
        let mut held = listed();
        held[0]["standing"][1]["held"] = json!(1);
        assert!(Allowances::Five.check(&held, 2, 1_000).is_err(), "held");
    }
}

//! docs/reference/rules.md, made from the tables of rules.

use std::{collections::BTreeSet, env, fmt::Write, fs, path::Path};

use super::{Rule, Severity};
use crate::{check, doctor, import, lint, shadow};

const HEAD: &str = "\
# Rules

<!-- Made from crates/kit. To renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current -->

What `tollgate check`, `tollgate doctor`, `tollgate lint`, `tollgate import` and `tollgate shadow` look at. A report names each rule by its id, and says
whether it holds, does not hold or could not be told, and whether that is proven (both sides were seen) or inferred.

A rule that is an error makes the verdict bad. A warning is something that clients can do without, or that will hurt
later; a note is worth knowing. While a decisive rule could not be told, there is no verdict.
";

const CHECK: &str = "\
What must hold of a gateway before Claude Code and the other clients of the Anthropic API. `tls.version` and `tls.chain`
apply where TLS is spoken, `limit.shape` where a limit was met, `stream.idle` with `--slow`; otherwise they are left out
of the report.
";

const RATE_LIMIT: &str = "\
What must hold of the limit that a client meets. `limit.shape` above is looked at, too.
";

const DOCTOR: &str = "\
What must hold between a client and a gateway.
";

const LINT: &str = "\
What must hold of the configuration of a gateway, as far as its files show it. Those whose ids begin with `lint` are
about every product in whose files the fault can be seen, the others about one. [The guide](../guide/linting.md) says
how to go about it.
";

const IMPORT: &str = "\
What is said about the files of another gateway whose place Tollgate takes. [The guide](../guide/migrating.md) says how
to go about it.
";

const SHADOW: &str = "\
What must be the same of the answers of two gateways to the same requests. A rule to which no request applies is left
out of the report. [The guide](../guide/migrating.md) says how to go about it.
";

const TABLES: [(&str, &str, &[&Rule]); 6] = [
    ("tollgate check", CHECK, check::rules::TABLE),
    ("tollgate check rate-limit", RATE_LIMIT, check::limits::rules::TABLE),
    ("tollgate doctor", DOCTOR, doctor::rules::TABLE),
    ("tollgate lint", LINT, lint::rules::TABLE),
    ("tollgate import", IMPORT, import::rules::TABLE),
    ("tollgate shadow", SHADOW, shadow::rules::TABLE),
];

#[test]
fn the_reference_is_current() {
    let mut page = HEAD.to_owned();
    for (command, about, table) in TABLES {
        let _ = write!(page, "\n## `{command}`\n\n{about}");
        for rule in table {
            let severity = match rule.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let decisive = if rule.is_decisive { ", decisive" } else { "" };
            let Rule { id, title, about, .. } = rule;
            let _ = write!(page, "\n### {id}\n\n{title} ({severity}{decisive}). {about}\n");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules.md");
    if env::var_os("TOLLGATE_UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current");
}

#[test]
fn each_id_stands_once_and_each_rule_says_what_it_is_about() {
    let rules = || TABLES.iter().flat_map(|(.., table)| *table);
    let ids: BTreeSet<_> = rules().map(|rule| rule.id).collect();
    assert_eq!(ids.len(), rules().count());
    for rule in rules() {
        assert!(rule.about.ends_with('.') && !rule.title.is_empty(), "{}", rule.id);
    }
}

//! The reference page of all rules, made from their tables.

use super::{Rule, Severity};
use crate::{check, lint};
use std::{env, fmt::Write, fs, path::Path};

const HEAD: &str = "\
# Rules

<!-- Made from crates/kit. To renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current -->

What `tollgate check` and `tollgate lint` hold gateways to. A report names each rule by its id. A warning is something
that clients can do without, or that will hurt later; a note is worth knowing.
";

const CHECK: &str = "
# Rules of `tollgate check`

What must hold of a gateway before Claude Code and the other clients of the Anthropic API. A report says whether each
rule passes, fails or could not be told, and whether that is proven (both sides of the exchange were seen) or inferred
(only the client's side was). An error makes a gateway incompatible. Rules marked decisive are the six questions of the
integration guide: while one of them could not be told, there is no verdict.

`tls.version` and `tls.chain` apply where TLS is spoken, `limit.shape` where a limit was met, `stream.idle` with
`--slow`; otherwise they are left out of the report.
";

const LINT: &str = "
# Rules of `tollgate lint`

What must hold of the configuration of a gateway, as far as its files show it. Those whose ids begin with `lint` are
about every product in whose files the fault can be seen, the others about one. [The guide](../guide/linting.md) says
how to go about it.
";

#[test]
fn the_reference_is_current() {
    let mut page = HEAD.to_owned();
    for (head, table) in [(CHECK, check::rules::TABLE), (LINT, lint::rules::TABLE)] {
        page.push_str(head);
        table.iter().for_each(|rule| section(rule, &mut page));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/rules.md");
    if env::var_os("TOLLGATE_UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(kept, page, "renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current");
}

fn section(rule: &Rule, page: &mut String) {
    let severity = match rule.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let decisive = if rule.is_decisive { ", decisive" } else { "" };
    let _ = write!(page, "\n## {}\n\n{} ({severity}{decisive}). {}\n", rule.id, rule.title, rule.about);
}

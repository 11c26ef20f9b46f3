//! The reference page of the command line, made from the command line itself.

use super::Cli;
use clap::{Command, CommandFactory};
use std::{env, fs, path::Path};

const HEAD: &str = "\
# Command line

<!-- Made from crates/kit. To renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current -->

What `tollgate help` and `tollgate COMMAND --help` print. Answers go to standard output, messages to standard
error, so that answers can be piped. Colours appear on terminals only and never when `NO_COLOR` is set.
";

#[test]
fn the_reference_is_current() {
    let mut page = HEAD.to_owned();
    let mut cli = Cli::command().term_width(100);
    cli.build();
    section(&cli, &mut page);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/cli.md");
    if env::var_os("TOLLGATE_UPDATE").is_some() {
        fs::write(&path, &page).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap();
    assert_eq!(kept, page, "renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate the_reference_is_current");
}

fn section(command: &Command, page: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let help = command.clone().term_width(100).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        section(sub, page);
    }
}

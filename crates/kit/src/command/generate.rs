//! `tollgate generate`: configuration of other products.

use crate::{
    fault::Fault,
    generate::{EXAMPLE, Output, Plan, Target, write},
    printer::Printer,
    source::{CONFIG_BYTES_MAX, Source},
    status::Status,
};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Make the configuration of another product, so that it does what Tollgate does, as far as it can.
///
/// The files say what the product can not enforce. Secrets are referred to, never written, unless --fill asks for it.
/// Once the product runs, `tollgate check` proves it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "\
Examples:
  tollgate generate nginx --out nginx
  tollgate generate plan > plan.yaml
  tollgate generate envoy --plan plan.yaml --out envoy --fill
  tollgate generate claude-code --plan plan.yaml --stdout")]
pub(crate) struct Generate {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to make it for.
    #[arg(value_enum, required = true)]
    target: Option<Target>,
    /// The folder for the files. It is made if it is missing.
    #[arg(long, value_name = "DIR", required_unless_present = "stdout")]
    out: Option<PathBuf>,
    /// What is wanted, as `tollgate generate plan` shows it; - for standard input. Without it: the defaults.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Read the secrets that the plan refers to, and write them into the files that need them, for their owner only.
    #[arg(long)]
    fill: bool,
    /// Replace files that are there already.
    #[arg(long)]
    force: bool,
    /// Print the files instead.
    #[arg(long, conflicts_with_all = ["out", "fill", "force"])]
    stdout: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a plan with all its fields, their defaults, and what they mean.
    #[command(after_help = "Example:\n  tollgate generate plan > plan.yaml")]
    Plan,
}

impl Generate {
    pub(crate) fn run(self, printer: &Printer) -> Result<Status, Fault> {
        let Some(target) = self.target else {
            printer.answer(EXAMPLE)?;
            return Ok(Status::Done);
        };
        let read = |path| Source::read_at_most(path, CONFIG_BYTES_MAX);
        let source = self.plan.as_deref().map(read).transpose()?;
        let plan = Plan::read(source.as_ref())?;
        let output = target.generate(&plan, self.fill)?;
        match &self.out {
            Some(folder) => {
                let paths = write(&output.files, folder, self.force)?;
                let list: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                printer.answer(&list.join("\n"))?;
            }
            None => printer.answer(&shown(&output))?,
        }
        tell(&format!("{} does not do here:", target.product_name()), &output.cannot, printer);
        tell("next:", &output.next, printer);
        Ok(Status::Done)
    }
}

/// All files, each below a line with its path.
fn shown(output: &Output) -> String {
    let one = |file: &crate::generate::File| format!("==> {} <==\n{}\n", file.path, file.text.trim_end());
    output.files.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn tell(title: &str, items: &[String], printer: &Printer) {
    if !items.is_empty() {
        printer.say(title);
    }
    for item in items {
        printer.say(&format!("  - {item}"));
    }
}

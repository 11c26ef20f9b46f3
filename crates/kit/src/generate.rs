//! Configuration of other products: each is made to do what Tollgate itself does, as far as it can, and says what it
//! can not.
//!
//! A target is a file of this room with one function from a [`Plan`] to an [`Output`], and a row in [`Target`]. What all
//! of them share is here: which headers do not pass and which errors a gateway answers by itself ([`facts`]), the
//! notice and the list of what can not be enforced at the head of each file, and the way of secrets, which are referred
//! to until somebody asks for them to be filled in ([`mod@fill`]).

mod caddy;
mod claude_code;
mod envoy;
mod facts;
mod fill;
mod haproxy;
mod nginx;
mod plan;
mod template;
mod write;

pub(crate) use plan::{EXAMPLE, Plan};
pub(crate) use write::write;

use crate::fault::Fault;
use clap::ValueEnum;

/// What a configuration can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// A whole nginx.conf
    Nginx,
    /// A whole haproxy.cfg
    Haproxy,
    /// A Caddyfile
    Caddy,
    /// A bootstrap configuration of Envoy
    Envoy,
    /// Settings of Claude Code: for a user, a project, a machine and a fleet
    ClaudeCode,
}

impl Target {
    /// What the makers of the product call it.
    pub(crate) fn product_name(self) -> &'static str {
        self.product().name
    }

    /// The product.
    fn product(self) -> Product {
        match self {
            Self::Nginx => nginx::PRODUCT,
            Self::Haproxy => haproxy::PRODUCT,
            Self::Caddy => caddy::PRODUCT,
            Self::Envoy => envoy::PRODUCT,
            Self::ClaudeCode => claude_code::PRODUCT,
        }
    }

    /// The files, each with what it must say about itself, and a README.md about all of them. Secrets are in those that
    /// need them if `with_secrets`.
    ///
    /// # Errors
    ///
    /// [`Fault::Unfit`] where the product can not do what the plan asks for; those of secrets that can not be had.
    pub(crate) fn generate(self, plan: &Plan, with_secrets: bool) -> Result<Output, Fault> {
        let made = match self {
            Self::Nginx => nginx::generate(plan),
            Self::Haproxy => haproxy::generate(plan),
            Self::Caddy => caddy::generate(plan),
            Self::Envoy => envoy::generate(plan),
            Self::ClaudeCode => claude_code::generate(plan),
        };
        let mut output = made.map_err(|refusal| Fault::Unfit {
            what: "the plan",
            rule: format!("{}: {}", self.product().name, refusal.why),
            cure: refusal.cure.to_owned(),
        })?;
        fill::fill(&mut output, plan, with_secrets)?;
        let product = self.product();
        for file in &mut output.files {
            file.introduce(&product, &output.cannot);
        }
        output.files.push(readme(&product, plan, &output));
        Ok(output)
    }
}

/// A product that configuration is made for.
#[derive(Debug, Clone, Copy)]
struct Product {
    /// What its makers call it.
    name: &'static str,
    /// Where its users find help.
    help: &'static str,
    /// The versions that the configuration was made for and tried with.
    versions: &'static str,
    /// Whether it is a gateway, which stands between the clients and the API.
    is_gateway: bool,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Output {
    /// The files.
    pub(crate) files: Vec<File>,
    /// What the product can not enforce, and its limits: sentences.
    pub(crate) cannot: Vec<String>,
    /// What to do with the files: steps, in order.
    pub(crate) next: Vec<String>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct File {
    /// Where it goes, below the folder that was asked for.
    pub(crate) path: String,
    /// What is in it. A secret stands as `${VARIABLE}`; see [`fill::fill`].
    pub(crate) text: String,
    /// Whether secrets are to be filled in, so that only its owner may read it.
    pub(crate) is_secret: bool,
    /// How it says what no program reads.
    pub(crate) comment: Comment,
}

/// How a form of text holds comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comment {
    /// Lines that begin so.
    Line(&'static str),
    /// The same, below the first line, which programs look at.
    BelowFirst(&'static str),
    /// An XML comment below the first line.
    Xml,
    /// Not at all, as in JSON: README.md says it.
    Nowhere,
}

/// Why a product can not do what a plan asks for.
#[derive(Debug)]
struct Refusal {
    /// The reason, a clause.
    why: &'static str,
    /// What to do, a sentence.
    cure: &'static str,
}

impl File {
    /// A file without secrets.
    fn new(path: &str, comment: Comment, text: String) -> Self {
        Self { path: path.to_owned(), text, is_secret: false, comment }
    }

    /// A file into which secrets are to be filled.
    fn secret(path: &str, comment: Comment, text: String) -> Self {
        Self { is_secret: true, ..Self::new(path, comment, text) }
    }

    /// Puts the notice and what can not be enforced at its head.
    fn introduce(&mut self, product: &Product, cannot: &[String]) {
        let mut lines = notice(product);
        if !cannot.is_empty() {
            lines.extend([String::new(), format!("What {} does not do here:", product.name)]);
            lines.extend(cannot.iter().flat_map(|one| wrapped(&format!("- {one}"))));
        }
        let marked = |mark: &str| -> String {
            lines.iter().map(|line| format!("{}\n", format!("{mark} {line}").trim_end())).collect()
        };
        let below_first = |head: &str| match self.text.split_once('\n') {
            Some((first, rest)) => format!("{first}\n{head}{rest}"),
            None => format!("{}\n{head}", self.text),
        };
        self.text = match self.comment {
            Comment::Line(mark) => format!("{}\n{}", marked(mark), self.text),
            Comment::BelowFirst(mark) => below_first(&marked(mark)),
            // Two hyphens would end the comment.
            Comment::Xml => below_first(&format!("<!--\n{}\n-->\n", lines.join("\n").replace("--", "- -"))),
            Comment::Nowhere => return,
        };
    }
}

/// What every file says about the product it is for.
fn notice(product: &Product) -> Vec<String> {
    let name = product.name;
    let mut lines =
        vec![format!("Made by `tollgate generate`, for {} {}.", name, product.versions), String::new()];
    if product.is_gateway {
        lines.extend(wrapped(&format!(
            "Notice: {name} is a third-party gateway. Anthropic neither makes nor supports it, and does not promise \
             that it works with Claude Code, now or after a release of either. For help, turn to those who make it: {}. \
             Review its terms on security and privacy before prompts pass through it. None of this is needed to use the \
             Claude API directly.",
            product.help
        )));
    } else {
        lines.extend(wrapped(&format!(
            "Notice: these settings send the requests of {name} to a third-party gateway. Anthropic neither makes nor \
             supports that gateway; for help, turn to those who run it. Review its terms on security and privacy before \
             prompts pass through it. None of this is needed to use the Claude API directly."
        )));
    }
    lines
}

/// The page about the files, which is also the head of those that hold no comments.
fn readme(product: &Product, plan: &Plan, output: &Output) -> File {
    let mut text = format!("# {} for {}\n\n{}\n", plan.name, product.name, notice(product).join("\n"));
    let mut section = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("\n## {title}\n\n{}\n", lines.join("\n")));
        }
    };
    let numbered = (1..).zip(&output.next).map(|(number, step)| format!("{number}. {step}")).collect();
    section("What to do", numbered);
    let listed = |items: &[String]| items.iter().flat_map(|item| wrapped(&format!("- {item}"))).collect();
    section(&format!("What {} does not do here", product.name), listed(&output.cannot));
    let files: Vec<String> = output.files.iter().map(|file| format!("`{}`", file.path)).collect();
    section("Files", listed(&files));
    File::new("README.md", Comment::Nowhere, text)
}

/// The text in lines of a comment; those after the first of an item are indented.
fn wrapped(text: &str) -> Vec<String> {
    const COLUMNS: usize = 100;
    let indent = if text.starts_with("- ") { "  " } else { "" };
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + 1 + word.len() > COLUMNS {
            lines.push(indent.to_owned());
        }
        if let Some(line) = lines.last_mut() {
            if !line.trim().is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests;

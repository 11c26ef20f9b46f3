//! The reference page of the configuration, printed from the schema and the defaults.

use crate::{
    document::Document,
    leaf::FORMS,
    schema::{Shape, Wish, choices},
    snapshot::fixed,
    tree::{self, Node, Value},
};
use std::fmt::Write;

const HEAD: &str = "\
# Configuration

<!-- Made from crates/config. To renew it: TOLLGATE_UPDATE=1 cargo test -p tollgate-config -->

A configuration is one YAML document; JSON works too, since it is a subset. Every field has a
default, so the shortest document is an empty one. `tollgate config show` prints the document in
force with all defaults, `tollgate config check FILE` reports every problem of a document at once,
and `tollgate config schema` prints a JSON Schema for editors, which is also kept in
[config.schema.json](config.schema.json).

A field that does not exist is an error, never ignored. A secret never stands in the document:
fields that need one take a reference.

A running gateway reads its document again on `SIGHUP`. The new one takes effect as a whole for
the requests that begin after it, or, if it has a problem, not at all. Fields marked
*restart* take effect at the next start.
";

/// The reference page as Markdown.
///
/// The same text is committed as `docs/reference/configuration.md`.
///
/// # Panics
///
/// Never: the defaults are a constant that the tests read.
#[must_use]
pub fn reference() -> String {
    let defaults = Document::default().to_yaml();
    let tree = tree::read(&defaults).expect("the defaults are YAML");
    let mut page = HEAD.to_owned();
    page.push_str("\n## Fields\n\n| field | default | meaning |\n|---|---|---|\n");
    rows(&mut page, Wish::document(), Some(&tree), "");
    forms(&mut page);
    let _ = write!(page, "\n## All defaults\n\n```yaml\n{}```\n", with_newline(&defaults));
    page
}

/// One row for each field below `path`, in the order of the defaults.
fn rows(page: &mut String, wish: Wish<'_>, defaults: Option<&Node>, path: &str) {
    match wish.shape {
        Shape::Section(section) => {
            // The schema sorts its names; the defaults have the order of the document.
            let ordered = match defaults.map(|node| &node.value) {
                Some(Value::Map(fields)) => {
                    fields.iter().map(|(key, node)| (key.name.as_str(), Some(node))).collect()
                }
                _ => section.names().map(|name| (name, None)).collect::<Vec<_>>(),
            };
            for (name, node) in ordered {
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                let Some(wish) = section.field(name) else {
                    continue;
                };
                row(page, wish, node, &path, section.required().any(|required| required == name));
                rows(page, wish, node.filter(|node| !matches!(node.value, Value::Null)), &path);
            }
        }
        Shape::List(items) => rows(page, wish.item(items), None, &format!("{path}[]")),
        _ => {}
    }
}

fn row(page: &mut String, wish: Wish<'_>, default: Option<&Node>, path: &str, required: bool) {
    let restart = if fixed().any(|fixed| fixed == path) { " *Restart.*" } else { "" };
    let default = match default.map(|node| &node.value) {
        _ if required => "required".to_owned(),
        Some(Value::Text(text)) => format!("`{text}`"),
        Some(Value::Integer(number)) => format!("`{number}`"),
        Some(Value::Bool(flag)) => format!("`{flag}`"),
        Some(Value::Map(_)) => String::new(),
        _ => "absent".to_owned(),
    };
    let _ =
        writeln!(page, "| `{path}` | {default} | {}{}{restart} |", line(wish.description), kind(wish.shape));
}

/// What may be written, as a sentence after the description.
fn kind(shape: Shape<'_>) -> String {
    match shape {
        Shape::Choice(choice) => choices(choice).fold(String::new(), |mut text, (value, description)| {
            let _ = write!(text, " `{value}`: {}", line(description));
            text
        }),
        Shape::Leaf { form, .. } => {
            let noun = form.noun.split_once(' ').map_or(form.noun, |(_, noun)| noun);
            format!(" ([{noun}](#{}))", anchor(form.noun))
        }
        Shape::Number { least, most } => format!(" (number, {least} to {most})"),
        Shape::Section(_) | Shape::List(_) | Shape::Text | Shape::Flag => String::new(),
    }
}

fn forms(page: &mut String) {
    page.push_str("\n## Forms of values\n");
    for form in &FORMS {
        let title = form.noun.split_once(' ').map_or(form.noun, |(_, noun)| noun);
        let mut letters = title.chars();
        let title: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
        let _ =
            write!(page, "\n### {title}\n\n{}\n\nExamples: `{}`.\n", form.rule, form.examples.join("`, `"));
    }
}

/// The anchor of a form's heading, as Markdown readers make it.
fn anchor(noun: &str) -> String {
    let title = noun.split_once(' ').map_or(noun, |(_, noun)| noun);
    title.to_lowercase().replace(' ', "-")
}

/// Text for one cell of a table: on one line, with `|` escaped.
fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn with_newline(text: &str) -> String {
    let text = text.trim_end();
    format!("{text}\n")
}

//! Texts with places to fill: `{{name}}`.

/// Puts values into the places of a template. A value of several lines keeps the indentation of its place; a line that
/// holds nothing but a place goes away where the value is empty.
///
/// # Panics
///
/// If a place has no value: templates are part of the program, and tests fill each.
pub(super) fn render(template: &str, values: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        let mut rest = line;
        let mut filled = String::new();
        let mut is_empty_place = false;
        while let Some((before, name, after)) = place(rest) {
            let value = values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.trim_end());
            let value = value.unwrap_or_else(|| panic!("the template has a place {name} that nobody fills"));
            let indent = &line[..line.len() - line.trim_start().len()];
            is_empty_place = value.is_empty() && line.trim() == format!("{{{{{name}}}}}");
            filled.push_str(before);
            filled.push_str(&value.replace('\n', &format!("\n{indent}")));
            rest = after;
        }
        if !is_empty_place {
            filled.push_str(rest);
            text.push_str(filled.trim_end());
            text.push('\n');
        }
    }
    text
}

/// The first place of a line: what is before it, its name, what is after it.
fn place(line: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = line.split_once("{{")?;
    let (name, after) = rest.split_once("}}")?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_name.then_some((before, name, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_with_their_indentation() {
        let values = [("a", "1"), ("list", "x\n  y\n"), ("none", "")];
        assert_eq!(
            render("a {{a}} b{{a}}\n  {{list}}\n  {{none}}\nend", &values),
            "a 1 b1\n  x\n    y\nend\n"
        );
        assert_eq!(render("{{ env \"X\" }} {a} {{{a}}}", &[]), "{{ env \"X\" }} {a} {{{a}}}\n");
    }
}

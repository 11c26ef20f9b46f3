//! How long files and functions may be.
//!
//! The longer ones are listed in `long.txt` with the length they may have. The list only shrinks:
//! an entry that allows more than is there must be lowered or removed.

use crate::tree::{self, File};
use std::collections::BTreeMap;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

#[test]
fn files_and_functions_are_short_or_listed() {
    let faults = faults(&tree::sources(), &listed(&tree::read("tests/house/long.txt")));
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn the_judge_of_lengths_sees_faults() {
    let long = format!(
        "fn short() {{}}\n\nimpl X {{\n    pub(crate) async fn long(\n        a: A,\n    ) {{\n{}    }}\n}}\n",
        "        a;\n".repeat(70)
    );
    let file = |text: &str| [File { path: "a.rs".to_owned(), text: text.to_owned() }];
    let none = BTreeMap::new();
    assert_eq!(faults(&file(&long), &none), ["a.rs long: 74 lines, 70 are the most"]);
    assert_eq!(faults(&file(&"\n".repeat(501)), &none), ["a.rs: 501 lines, 500 are the most"]);
    let list = listed("# why\na.rs long 74\n");
    assert!(faults(&file(&long), &list).is_empty());
    assert_eq!(
        faults(&file("fn long() {\n}\n"), &list),
        ["a.rs long: long.txt allows 74 lines, 0 need it: lower or remove the entry"]
    );
    assert_eq!(
        faults(&file(&long), &listed("a.rs long 80")),
        ["a.rs long: long.txt allows 80 lines, 74 need it: lower or remove the entry"]
    );
}

/// What `long.txt` allows: the name of a file, or of a file and a function, with a number of lines.
fn listed(text: &str) -> BTreeMap<String, usize> {
    let entries = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    entries
        .map(|line| {
            let (name, lines) = line.rsplit_once(' ').unwrap_or_else(|| panic!("long.txt: {line}"));
            (name.to_owned(), lines.parse().unwrap_or_else(|_| panic!("long.txt: {line}")))
        })
        .collect()
}

fn faults(files: &[File], listed: &BTreeMap<String, usize>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut needed: BTreeMap<String, usize> = BTreeMap::new();
    let mut judge = |name: String, lines: usize, most: usize| {
        if lines > most {
            let allowed = listed.get(&name).copied().unwrap_or(most);
            if lines > allowed {
                faults.push(format!("{name}: {lines} lines, {allowed} are the most"));
            }
            // Two functions of one name in one file share an entry.
            let need = needed.entry(name).or_default();
            *need = lines.max(*need);
        }
    };
    for file in files {
        judge(file.path.clone(), file.text.lines().count(), FILE_LINES);
        for (name, lines) in functions(&file.text) {
            judge(format!("{} {name}", file.path), lines, FUNCTION_LINES);
        }
    }
    for (name, allowed) in listed {
        let need = needed.get(name).copied().unwrap_or_default();
        if need < *allowed {
            faults.push(format!(
                "{name}: long.txt allows {allowed} lines, {need} need it: lower or remove the entry"
            ));
        }
    }
    faults
}

/// The functions of a formatted source and their lengths, from the line with `fn` to the brace
/// that closes at the same depth of indentation.
fn functions(text: &str) -> Vec<(&str, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let Some(name) = function_name(line) else {
            continue;
        };
        if line.ends_with(['}', ';']) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let closes = |line: &&&str| {
            line.strip_prefix(indent)
                .is_some_and(|rest| rest == "}" || rest.starts_with(')') && rest.ends_with(';'))
        };
        let length = lines[start..].iter().position(|line| closes(&line)).map_or(1, |last| last + 1);
        found.push((name, length));
    }
    found
}

/// The name, if the line begins a function.
fn function_name(line: &str) -> Option<&str> {
    let (before, after) = line.split_once("fn ")?;
    let qualifies = |word: &str| {
        matches!(word, "async" | "const" | "extern" | "unsafe" | "\"C\"")
            || word.starts_with("pub")
            || word.starts_with("in ")
            || word.ends_with(')')
    };
    let end = after.find(['(', '<'])?;
    before.split_whitespace().all(qualifies).then(|| &after[..end])
}

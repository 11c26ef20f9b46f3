//! Texts that must not be in the repository, and links that must lead somewhere.

use crate::tree;

/// Folders of somebody's machine. They are put together here so that this file holds none.
const MACHINE_FOLDERS: [&str; 5] = [
    concat!("/ho", "me/"),
    concat!("/ro", "ot/"),
    concat!("/Use", "rs/"),
    concat!("C:\\Use", "rs"),
    concat!("/wo", "rk/"),
];

#[test]
fn no_path_of_one_machine_is_written_down() {
    let mut offenders = Vec::new();
    for file in tree::files() {
        for (number, line) in (1..).zip(file.text.lines()) {
            if MACHINE_FOLDERS.iter().any(|folder| names_folder(line, folder)) {
                offenders.push(format!("{}:{number}: {line}", file.path));
            }
        }
    }
    assert!(offenders.is_empty(), "{offenders:#?}");
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut broken = Vec::new();
    for file in tree::files().into_iter().filter(|file| file.path.ends_with(".md")) {
        let folder = tree::top().join(&file.path).parent().unwrap().to_owned();
        for link in links(&file.text) {
            let path = link.split('#').next().unwrap_or_default();
            if !path.is_empty() && !path.contains(':') && !folder.join(path).exists() {
                broken.push(format!("{}: {link}", file.path));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_judges_of_words_see_faults() {
    let folder = MACHINE_FOLDERS[0];
    assert!(names_folder(&format!("see {folder}someone/x"), folder));
    assert!(names_folder(&format!("{folder}someone"), folder));
    assert!(!names_folder(&format!("https://example.com{folder}page"), folder));
    assert_eq!(links("[a](b.md) `[c](d)` [e](f#g)\n```\n[h](i)\n```\n"), ["b.md", "f#g"]);
}

/// Whether an absolute path into the folder is in the line, not a part of a longer path or URL.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}' | '*'))
    })
}

/// The targets of Markdown links outside of code.
fn links(page: &str) -> Vec<&str> {
    let mut fenced = false;
    let mut found = Vec::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backquotes is code.
        for prose in line.split('`').step_by(2) {
            let starts = prose.match_indices("](").map(|(at, mark)| &prose[at + mark.len()..]);
            found.extend(starts.filter_map(|rest| rest.split(')').next()));
        }
    }
    found
}

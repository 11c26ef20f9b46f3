//! Which files to look at.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The deepest folder, and the most files, that are looked at for one folder.
const DEPTH_MAX: usize = 16;
const FILES_MAX: usize = 10_000;

/// How the names of configurations end.
const ENDINGS: [&str; 6] = ["conf", "cfg", "yaml", "yml", "json", "template"];

/// The files below a folder that may be configurations, sorted. Links are not followed, and what is hidden or holds
/// packages is left out.
///
/// # Errors
///
/// Those of the system, also where there are too many files.
pub(crate) fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    walk(folder, DEPTH_MAX, &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if name.starts_with('.') || name == "node_modules" || name == "target" {
            continue;
        }
        if kind.is_dir() && depth > 0 {
            walk(&entry.path(), depth - 1, files)?;
        } else if kind.is_file() && may_be(&name) {
            if files.len() == FILES_MAX {
                return Err(io::Error::other(format!("it holds more than {FILES_MAX} files")));
            }
            files.push(entry.path());
        }
    }
    Ok(())
}

/// Whether a file of this name may be a configuration.
pub(crate) fn may_be(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| ENDINGS.contains(&end))
}

/// Whether nobody but its owner may read the file.
pub(crate) fn is_private(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o077 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_below_a_folder_are_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let at = |path: &str| folder.path().join(path);
        for path in ["b.yaml", "a/nginx.conf", "a/readme.md", ".git/c.yaml", "node_modules/d.json"] {
            fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            fs::write(at(path), "").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), at("a/round")).unwrap();
        assert_eq!(below(folder.path()).unwrap(), [at("a/nginx.conf"), at("b.yaml")]);
        assert!(below(&at("absent")).is_err());
    }

    #[test]
    fn what_others_may_read_is_not_private() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, private) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_private(file.path()), private, "{mode:o}");
        }
    }
}

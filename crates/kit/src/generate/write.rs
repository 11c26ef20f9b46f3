//! Files on the disk.

use super::File;
use crate::fault::Fault;
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tempfile::NamedTempFile;

/// Writes all of the files below a folder, which is made if it is missing, or none of them: what is there already is
/// replaced only if `force`. Only their owner may read those that hold secrets. Gives the paths.
///
/// # Errors
///
/// [`Fault::Unfit`] if something is there, [`Fault::Unwritable`].
pub(crate) fn write(files: &[File], folder: &Path, force: bool) -> Result<Vec<PathBuf>, Fault> {
    let paths: Vec<PathBuf> = files.iter().map(|file| folder.join(&file.path)).collect();
    if let Some(there) = paths.iter().find(|path| !force && path.symlink_metadata().is_ok()) {
        let rule = format!("{} is there already", there.display());
        return Err(Fault::Unfit {
            what: "--out",
            rule,
            cure: "name another folder, or replace it with --force.".to_owned(),
        });
    }
    let unwritable = |path: &PathBuf, cause| Fault::Unwritable { path: path.clone(), cause };
    let mut parts = Vec::with_capacity(files.len());
    for (file, path) in files.iter().zip(&paths) {
        parts.push((part(file, path).map_err(|cause| unwritable(path, cause))?, path));
    }
    for (part, path) in parts {
        part.persist(path).map_err(|error| unwritable(path, error.error))?;
    }
    Ok(paths)
}

/// A file beside its place, so that nobody reads half of it. It goes into that place once all are there; a link in its
/// place is not followed.
fn part(file: &File, path: &Path) -> io::Result<NamedTempFile> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut part = NamedTempFile::new_in(folder)?;
    part.write_all(file.text.as_bytes())?;
    let mode = if file.is_secret { 0o600 } else { 0o644 };
    part.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    part.as_file().sync_all()?;
    Ok(part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Comment;

    #[test]
    fn all_files_are_written_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.conf", "in/b.conf"].map(|path| File::new(path, Comment::Nowhere, "text".to_owned()));
        for in_the_way in ["in", "in/b.conf/x"] {
            let out = folder.path().join(in_the_way.replace('/', "-"));
            fs::create_dir_all(out.join(in_the_way).parent().unwrap()).unwrap();
            fs::write(out.join(in_the_way), "").unwrap();
            let fault = write(&files, &out, true).unwrap_err().to_string();
            assert!(fault.contains("in/b.conf can not be written"), "{fault}");
            let names: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["in"], "{in_the_way}");
        }
    }
}

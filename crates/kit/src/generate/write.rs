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
    for (file, path) in files.iter().zip(&paths) {
        put(file, path).map_err(|cause| Fault::Unwritable { path: path.clone(), cause })?;
    }
    Ok(paths)
}

/// Beside its place first, so that nobody reads half of it, and a link in its place is not followed.
fn put(file: &File, path: &Path) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut part = NamedTempFile::new_in(folder)?;
    part.write_all(file.text.as_bytes())?;
    let mode = if file.is_secret { 0o600 } else { 0o644 };
    part.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    part.as_file().sync_all()?;
    part.persist(path)?;
    Ok(())
}

//! Writing a settings file: at once or not at all, for its owner alone, and with a way back.

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use aws_lc_rs::digest::{SHA256, digest};

/// Puts the text in place of the file, by a rename, so that nobody ever reads half of it. A link stays a link. `mode` is
/// the file's from then on.
///
/// # Errors
///
/// Those of the file system; the file is then as it was.
pub(crate) fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let path = followed(path);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(if mode & 0o077 == 0 { 0o700 } else { 0o755 })
        .create(folder)?;
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&path).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// A backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// Where it is. It is readable by its owner alone, whoever could read the file.
    pub(crate) path: PathBuf,
    /// The mode that the file had. It stands in the name, in octal: `settings.json.2c26b46b68ff.3-644`.
    pub(crate) mode: u32,
    number: u32,
}

/// The mode of a file; None if it is not there.
///
/// # Errors
///
/// Those of the file system.
pub(crate) fn mode(path: &Path) -> io::Result<Option<u32>> {
    match fs::metadata(path) {
        Ok(about) => Ok(Some(about.permissions().mode() & 0o777)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The backups of one file. They are kept apart from it, because it may stand in a repository and hold a secret.
#[derive(Debug)]
pub(crate) struct Backups {
    folder: PathBuf,
    /// The name of the file, and what tells it from others of that name.
    name: String,
}

impl Backups {
    /// Those of this file, below the folder of the user's settings.
    pub(crate) fn of(path: &Path, user: &Path) -> Self {
        let path = followed(path);
        let digest = digest(&SHA256, path.as_os_str().as_encoded_bytes());
        let mark: String = digest.as_ref()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        Self { folder: user.join("tollgate-backups"), name: format!("{name}.{mark}.") }
    }

    /// Keeps what the file holds, an empty text for one that is not there, with its mode, and tells where.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(crate) fn keep(&self, text: &str, mode: u32) -> io::Result<PathBuf> {
        let next = self.last()?.map_or(1, |kept| kept.number + 1);
        let path = self.folder.join(format!("{}{next}-{mode:o}", self.name));
        write(&path, text, 0o600)?;
        Ok(path)
    }

    /// The newest one.
    ///
    /// # Errors
    ///
    /// Those of the file system.
    pub(crate) fn last(&self) -> io::Result<Option<Kept>> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => Some(entries),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let kept = |entry: io::Result<fs::DirEntry>| {
            let path = entry.ok()?.path();
            let end = path.file_name()?.to_str()?.strip_prefix(&self.name)?;
            let (number, mode) = end.split_once('-')?;
            let (number, mode) = (number.parse().ok()?, u32::from_str_radix(mode, 8).ok()? & 0o777);
            Some(Kept { path, mode, number })
        };
        Ok(entries.into_iter().flatten().filter_map(kept).max_by_key(|kept| kept.number))
    }
}

/// Where a link leads; the path itself if it is none.
fn followed(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Whether git would commit the file: it is in a repository that does not ignore it. Where git can not be asked, it would.
pub(crate) fn is_committed(path: &Path) -> bool {
    let path = followed(path);
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    if !folder.ancestors().any(|folder| folder.join(".git").exists()) {
        return false;
    }
    let mut git = Command::new("git");
    // A file that is tracked is not ignored, whatever .gitignore says.
    git.arg("-C").arg(folder).args(["check-ignore", "--quiet", "--"]).arg(&path);
    git.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").env_remove("GIT_INDEX_FILE");
    let status = git.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    !status.is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_for_its_owner_alone_and_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().join("real.json");
        fs::write(&real, "old").unwrap();
        let link = folder.path().join("settings.json");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write(&link, "new", 0o600).unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn backups_are_counted_for_each_file() {
        let user = tempfile::tempdir().unwrap();
        let backups = Backups::of(Path::new("/a/settings.json"), user.path());
        let others = Backups::of(Path::new("/b/settings.json"), user.path());
        assert_eq!(backups.last().unwrap(), None);
        for (text, file_mode) in [("", 0o600), ("one", 0o644), ("two", 0o640)] {
            let path = backups.keep(text, file_mode).unwrap();
            let last = backups.last().unwrap().unwrap();
            assert_eq!((&last.path, last.mode), (&path, file_mode));
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert_eq!(mode(&path).unwrap(), Some(0o600), "whoever could read the file");
        }
        assert_eq!(backups.last().unwrap().unwrap().number, 3);
        assert_eq!(others.last().unwrap(), None);
    }

    #[test]
    fn what_git_ignores_is_not_committed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".claude/settings.local.json");
        assert!(!is_committed(&path), "there is no repository");
        let made = Command::new("git").arg("init").arg("-q").arg(folder.path()).status().unwrap();
        assert!(made.success() && is_committed(&path));
        fs::write(folder.path().join(".gitignore"), "*.local.json\n").unwrap();
        assert!(!is_committed(&path));
        assert!(is_committed(&path.with_file_name("settings.json")));
    }
}

//! The data folder: who may use it, and the secrets in it.
//!
//! ```text
//! lock                      held by the running gateway for its whole life
//! secrets/pepper            64 hexadecimal digits; virtual keys are digested with it
//! secrets/journal.key       Ed25519 private key (PKCS#8); checkpoints are signed with it
//! secrets/journal.pub       its public key; a copy elsewhere is what verifies a stranger's copy of the journal
//! journal/<first seq>.jsonl segments of the journal
//! journal/checkpoints       every signed checkpoint line once more; a copy elsewhere is an anchor
//! journal/torn-<seq>        bytes that a crash left behind an entry, cut off at the next start
//! statements/<period>.json  closed periods; their hashes are in the journal
//! statements/<period>.sig   their signatures, by journal.key
//! ledger.db                 SQLite view of the journal; may be deleted
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rand;
use aws_lc_rs::signature::Ed25519KeyPair;
use tollgate_policy::credential::Pepper;
use zeroize::{Zeroize, Zeroizing};

use crate::fault::StoreFault;
use crate::journal::checkpoint::{PublicKey, Signer};

/// A data folder that this process holds. Dropping it lets go.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    // The lock lives as long as the open file; the kernel frees it when the process ends, however it ends.
    _lock: File,
}

impl Folder {
    /// Creates the folder if needed and takes its lock.
    ///
    /// # Errors
    /// [`StoreFault::InUse`] when another process has it; [`StoreFault::Io`], [`StoreFault::Exposed`].
    pub(crate) fn claim(root: &Path) -> Result<Self, StoreFault> {
        create_private_folder(root)?;
        refuse_writable(root)?;
        let path = root.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(StoreFault::io("open", &path))?;
        match try_lock(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = lock.take(100).read_to_string(&mut holder);
                return Err(StoreFault::InUse { path: root.to_path_buf(), holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StoreFault::Io { doing: "lock", path, source });
            }
        }
        // Only for the message that the next one gets.
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "process {}", std::process::id()))
            .map_err(StoreFault::io("write", &path))?;
        for name in ["secrets", "journal"] {
            create_private_folder(&root.join(name))?;
        }
        refuse_exposed(&root.join("secrets"), 0o700)?;
        Ok(Self { root: root.to_path_buf(), _lock: lock })
    }

    /// The folder of the journal.
    pub(crate) fn journal(&self) -> PathBuf {
        self.root.join("journal")
    }

    /// The folder of closed statements; there once a period was closed.
    pub(crate) fn statements(&self) -> PathBuf {
        self.root.join(STATEMENTS)
    }

    /// The database of the ledger.
    pub(crate) fn ledger(&self) -> PathBuf {
        self.root.join(LEDGER)
    }

    /// Reads the secrets; makes them first in a folder whose journal is still empty.
    ///
    /// # Errors
    /// [`StoreFault::Exposed`], [`StoreFault::BadSecret`], [`StoreFault::SecretMissing`], [`StoreFault::NoRandom`],
    /// [`StoreFault::Io`].
    pub(crate) fn secrets(&self, journal_is_empty: bool) -> Result<Secrets, StoreFault> {
        let folder = self.root.join("secrets");
        let pepper_path = folder.join("pepper");
        let pepper = secret(&pepper_path, journal_is_empty, || {
            let mut random = random::<32>()?;
            let text = Zeroizing::new(to_hex(&random));
            random.zeroize();
            let mut file = Zeroizing::new(Vec::with_capacity(65));
            file.extend_from_slice(text.as_bytes());
            file.push(b'\n');
            Ok(file)
        })?;
        let key_path = folder.join("journal.key");
        let key = secret(&key_path, journal_is_empty, || {
            let document = Ed25519KeyPair::generate_pkcs8(&rand::SystemRandom::new())
                .map_err(|_| StoreFault::NoRandom)?;
            Ok(Zeroizing::new(document.as_ref().to_vec()))
        })?;
        let pepper = from_hex(pepper.trim_ascii_end()).map(Pepper::new).ok_or(StoreFault::BadSecret {
            path: pepper_path,
            why: "does not hold 64 lowercase hexadecimal digits",
        })?;
        let signer = Signer::from_pkcs8(&key).ok_or(StoreFault::BadSecret {
            path: key_path,
            why: "is not an Ed25519 private key in PKCS#8",
        })?;
        publish_key(&folder.join(PUBLIC_KEY), &signer.public_key())?;
        Ok(Secrets { pepper, signer })
    }
}

/// The name of the ledger's database in the data folder.
pub(crate) const LEDGER: &str = "ledger.db";

/// The name of the folder of closed statements in the data folder.
pub(crate) const STATEMENTS: &str = "statements";

/// The name of the public key in the folder of secrets.
pub(crate) const PUBLIC_KEY: &str = "journal.pub";

/// What the store must know and never show. Wiped on drop by the types inside.
pub(crate) struct Secrets {
    pub(crate) pepper: Pepper,
    pub(crate) signer: Signer,
}

/// Random bytes of the operating system.
///
/// # Errors
/// [`StoreFault::NoRandom`].
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreFault> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| StoreFault::NoRandom)?;
    Ok(bytes)
}

/// Makes what was created, renamed or removed in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(crate) fn create_private_folder(path: &Path) -> Result<(), StoreFault> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(StoreFault::io("create", path))?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => sync_folder(parent).map_err(StoreFault::io("sync", parent)),
        None => Ok(()),
    }
}

fn refuse_exposed(path: &Path, cure: u32) -> Result<(), StoreFault> {
    let metadata = fs::metadata(path).map_err(StoreFault::io("look at", path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(StoreFault::Exposed { path: path.to_path_buf(), mode, cure })
}

/// Whoever can write to a folder can exchange what is in it, whatever the mode of the files.
fn refuse_writable(path: &Path) -> Result<(), StoreFault> {
    let metadata = fs::metadata(path).map_err(StoreFault::io("look at", path))?;
    match metadata.permissions().mode() & 0o777 {
        mode if mode & 0o022 == 0 => Ok(()),
        mode => Err(StoreFault::Writable { path: path.to_path_buf(), mode }),
    }
}

/// Takes from everybody else what they may do with a file, if it is there.
pub(crate) fn make_private(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o077 == 0 => Ok(()),
        Ok(_) => fs::set_permissions(path, Permissions::from_mode(0o600)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Whether a running gateway holds the data folder. The look takes the lock for an instant when nobody has it;
/// [`Folder::claim`] lets such an instant pass.
pub(crate) fn is_held(root: &Path) -> bool {
    let lock = File::open(root.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Takes the lock. Somebody who only looks whether it is taken is waited for.
fn try_lock(lock: &File) -> Result<(), TryLockError> {
    const LOOKS_MAX: u32 = 10;
    for _ in 1..LOOKS_MAX {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            taken => return taken,
        }
    }
    lock.try_lock()
}

/// Reads a secret file, or makes it where that cannot void anything.
fn secret(
    path: &Path,
    may_create: bool,
    make: impl FnOnce() -> Result<Zeroizing<Vec<u8>>, StoreFault>,
) -> Result<Zeroizing<Vec<u8>>, StoreFault> {
    if !path.try_exists().map_err(StoreFault::io("look at", path))? {
        if !may_create {
            return Err(StoreFault::SecretMissing { path: path.to_path_buf() });
        }
        write_whole(path, &make()?, 0o600)?;
    }
    refuse_exposed(path, 0o600)?;
    // One read into an exact buffer: growing would leave unwiped copies behind.
    let mut file = File::open(path).map_err(StoreFault::io("open", path))?;
    let mut bytes = Zeroizing::new(vec![0; 4096]);
    let mut filled = 0;
    loop {
        match file.read(&mut bytes[filled..]).map_err(StoreFault::io("read", path))? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Writes the public key beside the private one, and refuses a pair that does not belong together.
fn publish_key(path: &Path, public: &PublicKey) -> Result<(), StoreFault> {
    match fs::read_to_string(path) {
        Ok(text) if text.parse().ok().as_ref() == Some(public) => Ok(()),
        Ok(_) => {
            Err(StoreFault::BadSecret { path: path.to_path_buf(), why: "does not belong to journal.key" })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            write_whole(path, format!("{public}\n").as_bytes(), 0o644)
        }
        Err(source) => Err(StoreFault::Io { doing: "read", path: path.to_path_buf(), source }),
    }
}

/// Writes a new file so that after a crash it is either whole or not there.
pub(crate) fn write_whole(path: &Path, bytes: &[u8], mode: u32) -> Result<(), StoreFault> {
    let draft = path.with_extension("new");
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&draft)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&draft, path))
        .and_then(|()| path.parent().map_or(Ok(()), sync_folder));
    written.map_err(StoreFault::io("write", path))
}

fn to_hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(b"0123456789abcdef"[usize::from(nibble)]);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

fn from_hex(text: &[u8]) -> Option<[u8; 32]> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if text.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (value(pair[0])? << 4) | value(pair[1])?;
    }
    Some(*bytes)
}

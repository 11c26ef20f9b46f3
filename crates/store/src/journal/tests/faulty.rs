//! Disks that fail on demand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use crate::journal::checkpoint::SIDECAR;
use crate::journal::tail::{Disk, Disks, FileSystem};

/// What the disk of a test does wrong, and what was asked of it. Only segments are on it; the sidecar is on a real
/// one.
#[derive(Default)]
pub(super) struct Faults {
    /// Bytes that still fit; negative for no end.
    room: AtomicI64,
    pub(super) full: Mutex<bool>,
    pub(super) open_fails: Mutex<bool>,
    pub(super) truncate_fails: Mutex<bool>,
    pub(super) sync_fails: Mutex<bool>,
    pub(super) syncs: AtomicU64,
    /// Bytes of the segment that a power cut could not take.
    pub(super) durable: AtomicU64,
    /// While set, writes or syncs wait.
    stuck: Mutex<Stuck>,
    unstuck: Condvar,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stuck {
    #[default]
    Not,
    Write,
    Sync,
}

impl Faults {
    pub(super) fn set(flag: &Mutex<bool>, on: bool) {
        *flag.lock().unwrap() = on;
    }

    /// Lets `bytes` more bytes through, then refuses; the write that does not fit is written as far as it fits.
    pub(super) fn fill_after(&self, bytes: usize) {
        self.room.store(i64::try_from(bytes).unwrap(), Ordering::SeqCst);
        Self::set(&self.full, true);
    }

    pub(super) fn free(&self) {
        Self::set(&self.full, false);
    }

    pub(super) fn stick(&self, what: Stuck) {
        *self.stuck.lock().unwrap() = what;
        self.unstuck.notify_all();
    }

    fn pass(&self, what: Stuck) {
        let stuck = self.stuck.lock().unwrap();
        drop(self.unstuck.wait_while(stuck, |stuck| *stuck == what).unwrap());
    }
}

pub(super) struct FaultyDisks(pub(super) Arc<Faults>);

struct FaultyDisk {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    faults: Arc<Faults>,
}

impl Disks for FaultyDisks {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn Disk>> {
        if *self.0.open_fails.lock().unwrap() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let disk = FileSystem.open(path)?;
        if path.ends_with(SIDECAR) {
            return Ok(disk);
        }
        Ok(Arc::new(FaultyDisk { disk, path: path.to_path_buf(), faults: Arc::clone(&self.0) }))
    }
}

impl Disk for FaultyDisk {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.faults.pass(Stuck::Write);
        if !*self.faults.full.lock().unwrap() {
            return self.disk.append(bytes);
        }
        let room = usize::try_from(self.faults.room.load(Ordering::SeqCst)).unwrap();
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let written = self.disk.append(&bytes[..bytes.len().min(room)])?;
        self.faults.room.fetch_sub(i64::try_from(written).unwrap(), Ordering::SeqCst);
        Ok(written)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        if *self.faults.truncate_fails.lock().unwrap() {
            return Err(io::Error::other("the device is gone"));
        }
        self.disk.truncate(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.faults.pass(Stuck::Sync);
        self.faults.syncs.fetch_add(1, Ordering::SeqCst);
        if *self.faults.sync_fails.lock().unwrap() {
            return Err(io::Error::other("input/output error"));
        }
        // What is appended during the sync may or may not be covered; count on what was there before.
        let len = self.path.metadata()?.len();
        self.disk.sync()?;
        self.faults.durable.store(len, Ordering::SeqCst);
        Ok(())
    }
}

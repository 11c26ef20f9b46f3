//! The end of the journal on disk: the file that bytes are appended to, and how it stays whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use super::segment;
use crate::folder::{Folder, sync_folder};

/// A file that entries are appended to. Tests put faults in its place.
pub(crate) trait Disk: Send + Sync {
    /// Appends some of the bytes, at least one, and says how many.
    fn append(&self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts the file to `len` bytes.
    fn truncate(&self, len: u64) -> io::Result<()>;
    /// Returns once all appended bytes would survive a power cut.
    fn sync(&self) -> io::Result<()>;
}

/// Opens files to append to, and creates them durably.
pub(crate) trait Disks: Send + Sync {
    /// Opens or creates the file.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn Disk>>;
}

/// The file system.
pub(crate) struct FileSystem;

impl Disks for FileSystem {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn Disk>> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        path.parent().map_or(Ok(()), sync_folder)?;
        Ok(Arc::new(file))
    }
}

impl Disk for File {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut file = self;
        file.write(bytes)
    }

    fn truncate(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Why bytes were not appended.
#[derive(Debug)]
pub(crate) enum WriteFault {
    /// The file is as it was before.
    Refused(io::Error),
    /// Nobody knows what the file holds now.
    Unknown(io::Error),
}

/// A file whose good length is known: a failed append leaves nothing behind.
pub(crate) struct Appender {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) len: u64,
}

impl Appender {
    /// Appends all bytes or none.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), WriteFault> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.disk.append(rest) {
                Ok(0) => return self.take_back(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.take_back(error),
            }
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn take_back(&self, cause: io::Error) -> Result<(), WriteFault> {
        match self.disk.truncate(self.len) {
            Ok(()) => Err(WriteFault::Refused(cause)),
            Err(error) => Err(WriteFault::Unknown(error)),
        }
    }
}

/// The last segment, and how it gives way to the next. Whoever holds this is the one writer.
pub(crate) struct Tail {
    disks: Arc<dyn Disks>,
    /// Held as long as anybody may write, so that no other process does.
    folder: Arc<Folder>,
    limit: u64,
    /// The first sequence number of the segment, which names its file.
    pub(crate) segment: u64,
    pub(crate) file: Appender,
}

impl Tail {
    /// Opens the segment that begins with entry `segment` and holds `len` good bytes.
    pub(crate) fn open(
        disks: Arc<dyn Disks>,
        folder: Arc<Folder>,
        limit: u64,
        segment: u64,
        len: u64,
    ) -> io::Result<Self> {
        let disk = disks.open(&segment::path(&folder.journal(), segment))?;
        Ok(Self { disks, folder, limit, segment, file: Appender { disk, len } })
    }

    /// Appends whole lines, the first of which is entry `first_seq`. Begins a new segment when this one is full.
    pub(crate) fn append(&mut self, first_seq: u64, lines: &[u8]) -> Result<(), WriteFault> {
        if self.file.len >= self.limit {
            // The old segment is durable before the new one has its first byte. So after a power cut only the
            // last segment can be torn. It costs one wait for the disk per segment.
            self.file.disk.sync().map_err(WriteFault::Unknown)?;
            let disk = self
                .disks
                .open(&segment::path(&self.folder.journal(), first_seq))
                .map_err(WriteFault::Refused)?;
            self.segment = first_seq;
            self.file = Appender { disk, len: 0 };
        }
        self.file.append(lines)
    }
}

//! The directory: who exists. Looked up from memory by every request, changed through the journal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use tollgate_policy::access::Models;
use tollgate_policy::credential::{Digest, ForeignHash, Pepper, VirtualKey};
use tollgate_policy::entry::{Event, KeyChange};
use tollgate_policy::id::KeyId;
use tollgate_policy::key::{KeyRecord, KeyState};
use tollgate_policy::scope::Scope;
use tollgate_policy::unit::UnixMs;

use crate::expect::Expect;
use crate::fault::{JournalFault, StoreFault};
use crate::folder::random;
use crate::journal::Journal;

#[cfg(test)]
mod tests;

/// The most keys that a directory holds, withdrawn ones included.
pub const KEYS_MAX: usize = 1_000_000;

/// The longest note on a key, in characters. The journal keeps no more.
pub const NOTE_CHARS_MAX: usize = 256;

/// A change copies one shard, so that readers never wait; many shards keep the copies small.
const SHARDS: usize = 256;

type Shard = HashMap<Digest, Arc<KeyRecord>>;

/// All virtual keys, by digest.
pub struct Directory {
    pepper: Arc<Pepper>,
    journal: Arc<Journal>,
    shards: Vec<ArcSwap<Shard>>,
    /// Where each key is. Held during a change, so that changes come one after the other.
    digests: Mutex<HashMap<KeyId, Digest>>,
}

/// What a new key shall be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Where its usage is booked.
    pub scope: Scope,
    /// The models it may use; empty means all.
    pub models: Models,
    /// The first instant at which it is no longer good; none means it does not expire.
    pub expires_at: Option<UnixMs>,
    /// A remark for people, at most [`NOTE_CHARS_MAX`] characters.
    pub note: Option<String>,
}

/// Why a key was not made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryFault {
    /// No key has this id.
    #[error("no key has the id {0}")]
    UnknownKey(KeyId),
    /// Only an active key can be replaced.
    #[error("the key {0} is not active; only an active key can be rotated")]
    NotActive(KeyId),
    /// The key is not as the change expected.
    #[error("the key {0} is not what was expected: somebody changed it meanwhile")]
    Unexpected(KeyId),
    /// The directory is full.
    #[error("the directory holds {KEYS_MAX} keys and takes no more")]
    Full,
    /// The note is too long.
    #[error("a note has at most {NOTE_CHARS_MAX} characters")]
    NoteTooLong,
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoRandom,
    /// The change could not be recorded, so it was not made.
    #[error("{0}")]
    Journal(#[from] JournalFault),
}

impl Directory {
    pub(crate) fn open(
        pepper: Arc<Pepper>,
        journal: Arc<Journal>,
        keys: impl ExactSizeIterator<Item = KeyRecord>,
    ) -> Self {
        let mut shards = vec![Shard::new(); SHARDS];
        let mut digests = HashMap::with_capacity(keys.len());
        for key in keys {
            digests.insert(key.id, key.digest);
            shards[shard_of(&key.digest)].insert(key.digest, Arc::new(key));
        }
        Self {
            pepper,
            journal,
            shards: shards.into_iter().map(ArcSwap::from_pointee).collect(),
            digests: Mutex::new(digests),
        }
    }

    /// The record of the key that was presented, whatever its state. Takes no lock.
    #[must_use]
    pub fn lookup(&self, presented: &[u8]) -> Option<Arc<KeyRecord>> {
        self.find(&self.pepper.digest_presented(presented)?)
    }

    /// The record of a key by its public id.
    #[must_use]
    pub fn by_id(&self, id: KeyId) -> Option<Arc<KeyRecord>> {
        let digest = *self.changes().get(&id)?;
        self.find(&digest)
    }

    /// The key whose counters the use of this one goes to: see [`KeyRecord::counted_as`].
    #[must_use]
    pub fn counted_as(&self, id: KeyId) -> KeyId {
        self.by_id(id).map_or(id, |record| record.counted_as())
    }

    /// All keys, oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<KeyRecord>> {
        let mut keys: Vec<_> =
            self.shards.iter().flat_map(|shard| shard.load().values().cloned().collect::<Vec<_>>()).collect();
        keys.sort_by_key(|key| (key.created_at, key.id));
        keys
    }

    /// Makes a key. The second value is the key itself, which nobody can show again. Blocks until the change is
    /// durable; then it is in force at once.
    ///
    /// # Errors
    /// [`DirectoryFault::Full`], [`DirectoryFault::NoteTooLong`], [`DirectoryFault::NoRandom`],
    /// [`DirectoryFault::Journal`].
    pub fn create(
        &self,
        by: &str,
        new: NewKey,
        now: UnixMs,
    ) -> Result<(Arc<KeyRecord>, VirtualKey), DirectoryFault> {
        check_note(&new)?;
        let mut digests = self.changes();
        let (record, key) = self.mint(&digests, new, now)?;
        Ok((self.add(&mut digests, by, record, now)?, key))
    }

    /// Takes over a key that another gateway made, of which only the hash is known: whoever holds it goes on using it.
    /// A key that is known already stays as it is, whatever its state. The second value says whether the key is new.
    /// Blocks as [`Self::create`].
    ///
    /// # Errors
    /// Those of [`Self::create`].
    pub fn import(
        &self,
        by: &str,
        hash: &ForeignHash,
        new: NewKey,
        now: UnixMs,
    ) -> Result<(Arc<KeyRecord>, bool), DirectoryFault> {
        check_note(&new)?;
        let mut digests = self.changes();
        let digest = self.pepper.digest_foreign(hash);
        if let Some(known) = self.find(&digest) {
            return Ok((known, false));
        }
        let record = record(&digests, digest, hash.hint(), new, now)?;
        Ok((self.add(&mut digests, by, record, now)?, true))
    }

    /// Replaces an active key, if it is as expected, by a new one of the same scope, models, expiry and note. The old one stays good for
    /// `grace_ms` milliseconds. Gives the new record and the new key, which nobody can show again. Blocks as
    /// [`Self::create`].
    ///
    /// # Errors
    /// [`DirectoryFault::UnknownKey`], [`DirectoryFault::NotActive`], [`DirectoryFault::Unexpected`], and those of
    /// [`Self::create`].
    pub fn rotate(
        &self,
        by: &str,
        id: KeyId,
        expect: Expect,
        grace_ms: u64,
        now: UnixMs,
    ) -> Result<(Arc<KeyRecord>, VirtualKey), DirectoryFault> {
        let mut digests = self.changes();
        let before = self.known(&digests, id)?;
        if !expect.meets(Some(&*before)) {
            return Err(DirectoryFault::Unexpected(id));
        }
        if before.state != KeyState::Active {
            return Err(DirectoryFault::NotActive(id));
        }
        let new = NewKey {
            scope: before.scope.clone(),
            models: before.models.clone(),
            expires_at: before.expires_at,
            note: before.note.clone(),
        };
        let (record, key) = self.mint(&digests, new, now)?;
        let record = KeyRecord { rotated_from: Some(id), first: Some(before.counted_as()), ..record };
        let until = now.saturating_add_ms(i64::try_from(grace_ms).unwrap_or(i64::MAX)).min(UnixMs::MAX);
        let after =
            KeyRecord { state: KeyState::Grace { until, replaced_by: record.id }, ..(*before).clone() };
        let change = KeyChange {
            by: by.to_owned(),
            before: Some((*before).clone()),
            after: after.clone(),
            also: Some(record.clone()),
        };
        self.journal.append_synced(now, Event::KeyRotated(change)).wait()?;
        let record = self.publish(&mut digests, record);
        self.publish(&mut digests, after);
        Ok((record, key))
    }

    /// Withdraws a key, if it is as expected, at once and for ever. A key that is withdrawn already stays as it is. Blocks as
    /// [`Self::create`].
    ///
    /// # Errors
    /// [`DirectoryFault::UnknownKey`], [`DirectoryFault::Unexpected`], [`DirectoryFault::Journal`].
    pub fn revoke(
        &self,
        by: &str,
        id: KeyId,
        expect: Expect,
        now: UnixMs,
    ) -> Result<Arc<KeyRecord>, DirectoryFault> {
        let mut digests = self.changes();
        let before = self.known(&digests, id)?;
        if !expect.meets(Some(&*before)) {
            return Err(DirectoryFault::Unexpected(id));
        }
        if matches!(before.state, KeyState::Revoked { .. }) {
            return Ok(before);
        }
        let after = KeyRecord { state: KeyState::Revoked { at: now }, ..(*before).clone() };
        let change = KeyChange {
            by: by.to_owned(),
            before: Some((*before).clone()),
            after: after.clone(),
            also: None,
        };
        self.journal.append_synced(now, Event::KeyRevoked(change)).wait()?;
        Ok(self.publish(&mut digests, after))
    }

    fn changes(&self) -> MutexGuard<'_, HashMap<KeyId, Digest>> {
        // An insert is the only change, and it is made after the journal has it.
        self.digests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, digest: &Digest) -> Option<Arc<KeyRecord>> {
        self.shards[shard_of(digest)].load().get(digest).cloned()
    }

    fn known(&self, digests: &HashMap<KeyId, Digest>, id: KeyId) -> Result<Arc<KeyRecord>, DirectoryFault> {
        let digest = digests.get(&id).ok_or(DirectoryFault::UnknownKey(id))?;
        self.find(digest).ok_or(DirectoryFault::UnknownKey(id))
    }

    fn mint(
        &self,
        digests: &HashMap<KeyId, Digest>,
        new: NewKey,
        now: UnixMs,
    ) -> Result<(KeyRecord, VirtualKey), DirectoryFault> {
        let key = VirtualKey::mint(random().map_err(no_random)?);
        let digest = self.pepper.digest(key.reveal().as_bytes());
        Ok((record(digests, digest, key.hint(), new, now)?, key))
    }

    fn add(
        &self,
        digests: &mut HashMap<KeyId, Digest>,
        by: &str,
        record: KeyRecord,
        now: UnixMs,
    ) -> Result<Arc<KeyRecord>, DirectoryFault> {
        let change = KeyChange { by: by.to_owned(), before: None, after: record.clone(), also: None };
        self.journal.append_synced(now, Event::KeyCreated(change)).wait()?;
        Ok(self.publish(digests, record))
    }

    fn publish(&self, digests: &mut HashMap<KeyId, Digest>, record: KeyRecord) -> Arc<KeyRecord> {
        let record = Arc::new(record);
        digests.insert(record.id, record.digest);
        let shard = &self.shards[shard_of(&record.digest)];
        let mut changed = Shard::clone(&shard.load());
        changed.insert(record.digest, Arc::clone(&record));
        shard.store(Arc::new(changed));
        record
    }
}

impl std::fmt::Debug for Directory {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Directory({} keys)", self.changes().len())
    }
}

fn check_note(new: &NewKey) -> Result<(), DirectoryFault> {
    let is_long = new.note.as_ref().is_some_and(|note| note.chars().nth(NOTE_CHARS_MAX).is_some());
    if is_long { Err(DirectoryFault::NoteTooLong) } else { Ok(()) }
}

/// The record of a new key, if there is room for it.
fn record(
    digests: &HashMap<KeyId, Digest>,
    digest: Digest,
    hint: String,
    new: NewKey,
    now: UnixMs,
) -> Result<KeyRecord, DirectoryFault> {
    if digests.len() >= KEYS_MAX {
        return Err(DirectoryFault::Full);
    }
    Ok(KeyRecord {
        id: KeyId::new(now, random().map_err(no_random)?),
        digest,
        hint,
        scope: new.scope,
        models: new.models,
        created_at: now,
        expires_at: new.expires_at,
        state: KeyState::Active,
        rotated_from: None,
        first: None,
        note: new.note,
    })
}

fn no_random(_: StoreFault) -> DirectoryFault {
    DirectoryFault::NoRandom
}

fn shard_of(digest: &Digest) -> usize {
    usize::from(digest.as_bytes()[0])
}

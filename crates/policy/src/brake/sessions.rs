//! Values by session. A session belongs to a key: the same name with another key is another session.

use std::collections::HashMap;

use crate::id::KeyId;
use crate::text::{TEXT_CHARS_MAX, bound};
use crate::unit::UnixMs;

/// Values by session. Names are cut to the length that the journal keeps.
#[derive(Debug)]
pub(super) struct Sessions<T> {
    keys: HashMap<KeyId, HashMap<Box<str>, T>>,
    len: usize,
}

impl<T> Default for Sessions<T> {
    fn default() -> Self {
        Self { keys: HashMap::new(), len: 0 }
    }
}

impl<T> Sessions<T> {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn at_mut(&mut self, key: KeyId, session: &str) -> Option<&mut T> {
        self.keys.get_mut(&key)?.get_mut(bound(session, TEXT_CHARS_MAX).as_ref())
    }

    pub(super) fn insert(&mut self, key: KeyId, session: &str, value: T) {
        let name = bound(session, TEXT_CHARS_MAX).as_ref().into();
        let before = self.keys.entry(key).or_default().insert(name, value);
        self.len += usize::from(before.is_none());
    }

    pub(super) fn at_or_insert(&mut self, key: KeyId, session: &str, make: impl FnOnce() -> T) -> &mut T {
        let name = bound(session, TEXT_CHARS_MAX);
        let sessions = self.keys.entry(key).or_default();
        if !sessions.contains_key(name.as_ref()) {
            self.len += 1;
        }
        sessions.entry(name.as_ref().into()).or_insert_with(make)
    }

    pub(super) fn remove(&mut self, key: KeyId, session: &str) -> Option<T> {
        let sessions = self.keys.get_mut(&key)?;
        let value = sessions.remove(bound(session, TEXT_CHARS_MAX).as_ref())?;
        if sessions.is_empty() {
            self.keys.remove(&key);
        }
        self.len -= 1;
        Some(value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (KeyId, &str, &T)> {
        self.keys.iter().flat_map(|(key, sessions)| {
            sessions.iter().map(|(session, value)| (*key, session.as_ref(), value))
        })
    }

    /// Drops an eighth of the values, those with the smallest `rank`. So many at once, because finding them takes a look
    /// at all.
    pub(super) fn thin(&mut self, rank: impl Fn(&T) -> UnixMs) {
        let mut ranks: Vec<UnixMs> = self.iter().map(|(_, _, value)| rank(value)).collect();
        let drop = ranks.len() / 8 + 1;
        if ranks.len() < drop {
            return;
        }
        let (_, limit, _) = ranks.select_nth_unstable(drop - 1);
        let (limit, mut left) = (*limit, drop);
        for sessions in self.keys.values_mut() {
            sessions.retain(|_, value| {
                let stays = left == 0 || rank(value) > limit;
                left -= usize::from(!stays);
                stays
            });
        }
        self.keys.retain(|_, sessions| !sessions.is_empty());
        self.len -= drop;
    }
}

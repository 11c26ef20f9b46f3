//! The two background threads of the journal. The syncer makes written entries durable. The keeper signs
//! checkpoints, copies them to the sidecar, ends outages and relieves writers.

use std::io;
use std::sync::{Arc, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_policy::unit::UnixMs;

use super::queue::{Queue, Rest, SidecarLine};
use super::tail::{Appender, WriteFault};
use super::writer::{Pace, Shared};

/// Starts both threads. They end when the queue says `quit`.
pub(super) fn start(shared: &Arc<Shared>, sidecar: Appender) -> io::Result<Vec<JoinHandle<()>>> {
    let syncer = Arc::clone(shared);
    let keeper = Arc::clone(shared);
    Ok(vec![
        thread::Builder::new().name("journal-sync".into()).spawn(move || sync_until_quit(&syncer))?,
        thread::Builder::new()
            .name("journal-keep".into())
            .spawn(move || Keeper { shared: &keeper, sidecar: Some(sidecar) }.run())?,
    ])
}

/// The instant by the wall clock, for entries that no request brings.
pub(crate) fn wall_clock() -> UnixMs {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(i64::try_from(since_1970.as_millis()).unwrap_or(i64::MAX))
}

fn sync_until_quit(shared: &Shared) {
    let mut queue = shared.lock();
    loop {
        queue = match wait_for_dirt(shared, queue) {
            Some(queue) => queue,
            None => return,
        };
        let (mark, disk) = queue.begin_sync();
        drop(queue);
        let synced = disk.sync();
        queue = shared.lock();
        let answers = match synced {
            Ok(()) => queue.end_sync(mark),
            // A later sync may report success although pages were dropped: what is on disk is no longer known.
            Err(cause) => queue.poison(&format!("sync failed: {cause}")),
        };
        if queue.keeper != Rest::Busy {
            shared.keep_wake.notify_one();
        }
        drop(queue);
        shared.synced_wake.notify_all();
        answers.give();
        queue = shared.lock();
    }
}

/// Waits until it is time for a sync. `None` when the thread is to end.
fn wait_for_dirt<'a>(shared: &'a Shared, mut queue: MutexGuard<'a, Queue>) -> Option<MutexGuard<'a, Queue>> {
    loop {
        if queue.quit {
            return None;
        }
        let due = queue
            .dirty_since
            .filter(|_| !queue.poisoned())
            .map(|since| if queue.sync_awaited() { since } else { since + shared.pace.sync });
        let patience = due.map(|due| due.saturating_duration_since(Instant::now()));
        if patience.is_some_and(|patience| patience.is_zero()) {
            return Some(queue);
        }
        queue.syncer = if patience.is_some() { Rest::Timed } else { Rest::Idle };
        queue = wait(&shared.sync_wake, queue, patience);
        queue.syncer = Rest::Busy;
    }
}

fn wait<'a>(
    wake: &std::sync::Condvar,
    queue: MutexGuard<'a, Queue>,
    patience: Option<Duration>,
) -> MutexGuard<'a, Queue> {
    // A lock that a panic left poisoned is found out at the next `Shared::lock`.
    match patience {
        None => wake.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner),
        Some(patience) => match wake.wait_timeout(queue, patience) {
            Ok((queue, _)) => queue,
            Err(poisoned) => poisoned.into_inner().0,
        },
    }
}

struct Keeper<'a> {
    shared: &'a Shared,
    /// Absent once nobody knows what the file holds.
    sidecar: Option<Appender>,
}

/// When the keeper looks at something again.
struct Alarms {
    checkpoint: Instant,
    retry: Instant,
    sidecar: Instant,
}

impl Keeper<'_> {
    fn run(mut self) {
        let now = Instant::now();
        let mut alarms = Alarms { checkpoint: now + self.shared.pace.checkpoint, retry: now, sidecar: now };
        loop {
            let mut queue = self.shared.lock();
            if let Some(tail) = queue.relay.take() {
                self.shared.write(queue, tail);
                continue;
            }
            // At the end once more, whatever the alarm says.
            let last = queue.quit;
            if last || Instant::now() >= alarms.sidecar {
                let lines = queue.take_sidecar_lines();
                if !lines.is_empty() {
                    drop(queue);
                    self.copy(lines, &mut alarms);
                    if last {
                        return;
                    }
                    continue;
                }
            }
            if last {
                return;
            }
            if queue.stopped.is_none() && push_due(&mut queue, &mut alarms, self.shared.pace) {
                self.shared.write_queued(queue);
                continue;
            }
            let patience = patience(&queue, &alarms);
            queue.keeper = if patience.is_some() { Rest::Timed } else { Rest::Idle };
            wait(&self.shared.keep_wake, queue, patience).keeper = Rest::Busy;
        }
    }

    /// Copies checkpoints to the sidecar, durably. The journal does not depend on it: if the sidecar refuses, they
    /// are tried again later.
    fn copy(&mut self, lines: Vec<SidecarLine>, alarms: &mut Alarms) {
        let Some(sidecar) = &mut self.sidecar else {
            return;
        };
        let bytes: Vec<u8> = lines.iter().flat_map(|line| &line.line).copied().collect();
        let cause = match sidecar.append(&bytes) {
            Ok(()) => match sidecar.disk.sync() {
                Ok(()) => return,
                Err(cause) => cause,
            },
            Err(WriteFault::Refused(cause)) => {
                alarms.sidecar = Instant::now() + self.shared.pace.checkpoint;
                self.shared.lock().return_sidecar_lines(lines);
                cause
            }
            Err(WriteFault::Unknown(cause)) => {
                self.sidecar = None;
                cause
            }
        };
        tracing::warn!(%cause, "cannot copy checkpoints to the sidecar");
    }
}

/// Queues what it is time for. Whether there is anything to write.
fn push_due(queue: &mut Queue, alarms: &mut Alarms, pace: Pace) -> bool {
    let now = Instant::now();
    if queue.has_gap() && now >= alarms.retry {
        alarms.retry = now + pace.retry;
        if queue.tail.is_some() && queue.push_resumption(wall_clock()) {
            return true;
        }
    }
    if queue.checkpoint_useful() && now >= alarms.checkpoint {
        alarms.checkpoint = now + pace.checkpoint;
        return queue.push_checkpoint(wall_clock(), None).is_ok();
    }
    false
}

/// How long there is nothing to do. `None` until something happens.
fn patience(queue: &Queue, alarms: &Alarms) -> Option<Duration> {
    if queue.stopped.is_some() {
        return None;
    }
    let checkpoint = queue.checkpoint_useful().then_some(alarms.checkpoint);
    let retry = queue.has_gap().then_some(alarms.retry);
    let sidecar = queue.has_sidecar_lines().then_some(alarms.sidecar);
    let alarm = checkpoint.into_iter().chain(retry).chain(sidecar).min()?;
    Some(alarm.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)))
}

//! The answer to an append: a future that needs no particular runtime, and can be waited for without one.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::fault::JournalFault;

/// An entry on its way into the journal. Resolves to its sequence number once it is written (group durability) or
/// synced (strict durability).
///
/// The entry is on its way whether or not this is polled: dropping it does not take the entry back.
#[derive(Debug)]
#[must_use = "an entry that nobody waits for may still fail"]
pub struct Append(Arc<Slot>);

impl Append {
    pub(super) fn waiting() -> (Self, Arc<Slot>) {
        let slot = Arc::new(Slot::default());
        (Self(Arc::clone(&slot)), slot)
    }

    pub(super) fn refused(fault: JournalFault) -> Self {
        Self(Arc::new(Slot(Mutex::new(State::Done(Err(fault))))))
    }

    /// Blocks the thread until the entry is in the journal. For threads that may block, not for async tasks.
    ///
    /// # Errors
    /// [`JournalFault`] when the entry is not, and will not be, in the journal.
    pub fn wait(self) -> Result<u64, JournalFault> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        let mut append = pin!(self);
        loop {
            match append.as_mut().poll(&mut context) {
                Poll::Ready(result) => return result,
                Poll::Pending => thread::park(),
            }
        }
    }
}

impl Future for Append {
    type Output = Result<u64, JournalFault>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.0.lock();
        match &mut *state {
            State::Done(result) => Poll::Ready(result.clone()),
            State::Waiting(waker) => {
                match waker {
                    Some(known) => known.clone_from(context.waker()),
                    None => *waker = Some(context.waker().clone()),
                }
                Poll::Pending
            }
        }
    }
}

/// Where the result of one append is left for whoever waits for it.
#[derive(Debug)]
pub(super) struct Slot(Mutex<State>);

#[derive(Debug)]
enum State {
    Waiting(Option<Waker>),
    Done(Result<u64, JournalFault>),
}

impl Default for Slot {
    fn default() -> Self {
        Self(Mutex::new(State::Waiting(None)))
    }
}

impl Slot {
    /// Leaves the result and wakes who waits. The first result stands.
    pub(super) fn resolve(&self, result: Result<u64, JournalFault>) {
        let mut state = self.lock();
        if let State::Waiting(waker) = &mut *state {
            let waker = waker.take();
            *state = State::Done(result);
            drop(state);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is replaced in one assignment: it is whole even if a waker panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

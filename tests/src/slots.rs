//! Keeps the number of schedulers down that run at the same time: the machine has few cores, and
//! every test counts on getting some of them.

use std::sync::{Condvar, Mutex, PoisonError};

/// Schedulers that may run at once.
const MOST: usize = 3;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to run a scheduler, until it is dropped. A test takes one, whatever it starts.
#[derive(Debug)]
pub struct Slot(());

impl Slot {
    /// Waits until fewer than the most are taken.
    pub fn take() -> Self {
        // A test that failed while it held the lock has not left a wrong number.
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= MOST {
            taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Self(())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

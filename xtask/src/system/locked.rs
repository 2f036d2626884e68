//! A file that this process has locked.
//!
//! Every process that another thread starts has a copy of the open file until it becomes its program, and a lock
//! lives as long as any copy. So closing the file would give the lock back a moment too late, and a process that asks in
//! that moment would take it for the lock of another run.

use std::fs::File;
use std::ops::{Deref, DerefMut};

/// The lock ends when this is dropped, whichever process has a copy of the file.
#[derive(Debug)]
pub(crate) struct Locked(File);

impl Locked {
    /// Of a file on which this process has taken a lock.
    pub(crate) fn of(file: File) -> Self {
        Self(file)
    }
}

impl Deref for Locked {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl DerefMut for Locked {
    fn deref_mut(&mut self) -> &mut File {
        &mut self.0
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // A file system without locks has none to give back.
        drop(self.0.unlock());
    }
}

#[cfg(test)]
mod tests {
    use std::fs::TryLockError;

    use super::*;

    #[test]
    fn a_copy_of_the_file_does_not_keep_the_lock() {
        let path = tempfile::NamedTempFile::new().expect("a file").into_temp_path();
        let open = || File::open(&path).expect("open");
        let locked = Locked::of(open());
        locked.try_lock().expect("free");
        let _copy = locked.try_clone().expect("as a process that was just started has one");
        assert!(matches!(open().try_lock(), Err(TryLockError::WouldBlock)));
        drop(locked);
        open().try_lock().expect("free again");
    }
}

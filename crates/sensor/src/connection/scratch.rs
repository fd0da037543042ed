//! The buffers that all connections of one thread share, one at a time.

use roridula_proto::connection::Output;
use std::cell::RefCell;

/// Bytes that are read at once. A lock-step visitor's chunk is 4 KiB; one that sends ahead is read in pieces of
/// this size, which also bounds what one read may add to an upload's buffer.
const READ_MAX: usize = 32 * 1024;
/// A larger reply buffer than this is given back after use.
const KEPT_MAX: usize = 256 * 1024;

/// A thread's buffers.
#[derive(Debug)]
pub(super) struct Scratch {
    /// Where bytes are read to.
    pub(super) read: Box<[u8]>,
    /// What the decoy puts out.
    pub(super) output: Output,
}

thread_local! {
    static SCRATCH: RefCell<Option<Scratch>> = const { RefCell::new(None) };
}

/// Lends this thread's buffers to `work`; the output is empty.
pub(super) fn with<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|slot| {
        let scratch =
            slot.get_or_insert_with(|| Scratch { read: vec![0; READ_MAX].into(), output: Output::default() });
        let result = work(scratch);
        let output = &mut scratch.output;
        if output.send.capacity() > KEPT_MAX || output.payload.capacity() > KEPT_MAX {
            *output = Output::default();
        } else {
            output.clear();
        }
        result
    })
}

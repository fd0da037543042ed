//! DoublePulsar's stub: the loader that stands in front of the file in a decoded upload.

use crate::bytes::le_size;
use crate::pe::Machine;

/// One kind of stub: where it carries the size of its file, and where the file starts.
///
/// Offsets from the published dissections of the WannaCry and the Metasploit payloads: kernel and user loader
/// are 4869 bytes (x86) or 6144 bytes (x64), the file's size and export ordinal are their last eight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The machine that the stub runs on, hence the machine of its file.
    pub machine: Machine,
    /// Where the 32-bit size of the file stands.
    pub size_at: usize,
    /// Where the file starts; also the stub's own length.
    pub file_at: usize,
}

/// The 32-bit stub.
pub const X86: Layout = Layout { machine: Machine::X86, size_at: 0x12fd, file_at: 0x1305 };

/// The 64-bit stub.
pub const X64: Layout = Layout { machine: Machine::X64, size_at: 0x17f8, file_at: 0x1800 };

/// All stubs that we know.
pub const ALL: [Layout; 2] = [X86, X64];

impl Layout {
    /// The size that the stub gives for its file, in bytes; `None` where the sample ends before it.
    /// Nothing says yet that this is a stub at all: check the file.
    pub fn file_size(&self, sample: &[u8]) -> Option<usize> {
        le_size(sample, self.size_at)
    }
}

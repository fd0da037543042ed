//! Replies, read as naively as the worm reads them: at fixed places from the NetBIOS header.

/// What one `recv` brought. Nothing is checked: a byte that is not there reads as 0, as in the worm's
/// zeroed buffer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a>(pub &'a [u8]);

impl Reply<'_> {
    fn byte(self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(0)
    }

    fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at.saturating_add(1))])
    }

    fn u32(self, at: usize) -> u32 {
        u32::from(self.u16(at)) | (u32::from(self.u16(at.saturating_add(2))) << 16)
    }

    /// Whether these bytes are exactly one NBSS frame with an SMB1 message in it: what lock-step clients
    /// rely on, since they call `recv` once per request.
    pub fn is_one_frame(self) -> bool {
        let Some(&[kind, a, b, c]) = self.0.first_chunk::<4>() else { return false };
        let len = u32::from_be_bytes([0, a, b, c]);
        let whole = usize::try_from(len).ok().and_then(|len| len.checked_add(4));
        kind == 0 && whole == Some(self.0.len()) && self.0.get(4..8) == Some(b"\xffSMB".as_slice())
    }

    /// The command byte.
    pub fn command(self) -> u8 {
        self.byte(8)
    }

    /// The status (or DOS error class and code).
    pub fn status(self) -> u32 {
        self.u32(9)
    }

    /// Bytes 18..21: the first half of the signature field, where the implant puts its key seed.
    pub fn signature(self) -> u32 {
        self.u32(18)
    }

    /// Byte 22: the second half's lowest byte, where the implant puts its architecture.
    pub fn arch(self) -> u8 {
        self.byte(22)
    }

    /// Bytes 18..25 as a whole: zero where there is nothing of the implant.
    pub fn signature_is_zero(self) -> bool {
        self.signature() == 0 && self.u32(22) == 0
    }

    /// Bytes 28..29: the TID.
    pub fn tid(self) -> u16 {
        self.u16(28)
    }

    /// Bytes 32..33: the UID.
    pub fn uid(self) -> u16 {
        self.u16(32)
    }

    /// Bytes 34..35: the MID. The worm looks at the first only.
    pub fn mid(self) -> u16 {
        self.u16(34)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_replies_read_as_zero_and_are_no_frame() {
        let reply = Reply(&[0, 0, 0, 35, 0xff, b'S', b'M', b'B', 0x32]);
        assert_eq!((reply.command(), reply.status(), reply.mid()), (0x32, 0, 0));
        assert!(!reply.is_one_frame() && reply.signature_is_zero());
        assert!(!Reply(&[]).is_one_frame());
    }
}

//! The 32-byte header ([MS-CIFS] 2.2.3.1).

use crate::wire::Malformed;
use crate::wire::reader::Reader;
use crate::wire::status::Status;
use crate::wire::writer::Writer;

/// Its length.
pub const LEN: usize = 32;
/// The protocol's mark.
pub const PROTOCOL: [u8; 4] = *b"\xffSMB";
/// SMB_FLAGS_REPLY.
pub const FLAGS_REPLY: u8 = 0x80;
/// SMB_FLAGS2_EXTENDED_SECURITY.
pub const FLAGS2_EXTENDED_SECURITY: u16 = 0x0800;
/// SMB_FLAGS2_NT_STATUS: the status is 32 bits wide.
pub const FLAGS2_NT_STATUS: u16 = 0x4000;
/// SMB_FLAGS2_UNICODE.
pub const FLAGS2_UNICODE: u16 = 0x8000;

/// The header of a request, or of the reply that answers it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Command.
    pub command: u8,
    /// Status, as its four bytes mean it in the form that `flags2` says.
    pub status: u32,
    /// Flags.
    pub flags: u8,
    /// Flags2.
    pub flags2: u16,
    /// PIDHigh.
    pub pid_high: u16,
    /// SecurityFeatures: a signature; in the implant's ping reply the seed and the architecture.
    pub security: [u8; 8],
    /// TID.
    pub tid: u16,
    /// PIDLow.
    pub pid: u16,
    /// UID.
    pub uid: u16,
    /// MID.
    pub mid: u16,
}

impl Header {
    /// Reads the header of `message`.
    pub fn parse(message: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(message);
        if reader.array::<4>("Protocol")? != PROTOCOL {
            return Err(Malformed { what: "Protocol", at: 0 });
        }
        let command = reader.u8("Command")?;
        let status = reader.u32_le("Status")?;
        let flags = reader.u8("Flags")?;
        let flags2 = reader.u16_le("Flags2")?;
        let pid_high = reader.u16_le("PIDHigh")?;
        let security = reader.array("SecurityFeatures")?;
        reader.u16_le("Reserved")?;
        let tid = reader.u16_le("TID")?;
        let pid = reader.u16_le("PIDLow")?;
        let uid = reader.u16_le("UID")?;
        let mid = reader.u16_le("MID")?;
        Ok(Self { command, status, flags, flags2, pid_high, security, tid, pid, uid, mid })
    }

    /// Writes it.
    pub fn write(&self, writer: &mut Writer<'_>) {
        writer.bytes(&PROTOCOL).u8(self.command).u32(self.status).u8(self.flags).u16(self.flags2);
        writer.u16(self.pid_high).bytes(&self.security).u16(0);
        writer.u16(self.tid).u16(self.pid).u16(self.uid).u16(self.mid);
    }

    /// Whether strings are UTF-16.
    pub const fn is_unicode(&self) -> bool {
        self.flags2 & FLAGS2_UNICODE != 0
    }

    /// The header of Windows' reply: the request's own, Flags | 0x80, no signature, this status in the form
    /// that the client reads. `knows_nt_status` is whether the session announced CAP_STATUS32: Windows then
    /// sends an NTSTATUS and sets its bit although the request did not (seen in answers to the worm's check).
    pub fn reply(&self, status: Status, knows_nt_status: bool) -> Self {
        let mut reply = Self { flags: self.flags | FLAGS_REPLY, security: [0; 8], ..*self };
        reply.status = status.0;
        if status == Status::SUCCESS || status.is_smb() {
            return reply;
        }
        if self.flags2 & FLAGS2_NT_STATUS == 0
            && !knows_nt_status
            && let Some((class, code)) = status.dos()
        {
            let [low, high] = code.to_le_bytes();
            reply.status = u32::from_le_bytes([class, 0, low, high]);
        } else {
            reply.flags2 |= FLAGS2_NT_STATUS;
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_speaks_the_clients_status() {
        let request = Header { flags: 0x18, flags2: 0x2801, ..Header::default() };
        let reply = request.reply(Status::INSUFF_SERVER_RESOURCES, true);
        assert_eq!((reply.flags, reply.flags2, reply.status), (0x98, 0x6801, 0xc000_0205));
        let reply = request.reply(Status::SMB_BAD_UID, false);
        assert_eq!((reply.flags2, reply.status.to_le_bytes()), (0x2801, [2, 0, 0x5b, 0]));
        let reply = request.reply(Status::ACCESS_DENIED, false);
        assert_eq!((reply.flags2, reply.status.to_le_bytes()), (0x2801, [1, 0, 5, 0]));
        assert_eq!(request.reply(Status::SUCCESS, true).flags2, 0x2801);
    }

    #[test]
    fn a_header_reads_back() {
        let header =
            Header { command: 0x32, status: 7, mid: 65, uid: 0x800, security: [3; 8], ..Header::default() };
        let mut bytes = Vec::new();
        header.write(&mut Writer::new(&mut bytes));
        assert_eq!(bytes.len(), LEN);
        assert_eq!(Header::parse(&bytes), Ok(header));
        assert_eq!(Header::parse(b"\xfeSMB"), Err(Malformed { what: "Protocol", at: 0 }));
    }
}

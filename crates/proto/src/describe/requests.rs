//! What clients ask for, transactions apart ([MS-CIFS] 2.2.4, [MS-SMB] 2.2.4).

use super::names;
use super::security;
use super::smb1::Parts;
use super::walk::Walk;
use crate::wire::Malformed;
use crate::wire::smb1 as wire;

/// Items of one list (dialects, AV pairs, contexts) that are shown one by one.
pub(super) const LIST_MAX: usize = 64;

/// Divides a request's block.
pub(super) fn command(parts: &mut Parts<'_>, command: u8) -> Result<(), Malformed> {
    if wire::is_andx(command) {
        andx(&mut parts.words)?;
    }
    match command {
        wire::NEGOTIATE => negotiate(parts),
        wire::SESSION_SETUP_ANDX => session_setup(parts),
        wire::TREE_CONNECT_ANDX => tree_connect(parts),
        wire::NT_CREATE_ANDX => create(parts),
        wire::READ_ANDX => read(&mut parts.words),
        wire::WRITE_ANDX => write(parts),
        wire::CLOSE => {
            parts.words.bits16("FID", &[])?;
            parts.words.u32("LastTimeModified").map(drop)
        }
        wire::ECHO => {
            parts.words.u16("EchoCount")?;
            parts.bytes.bytes_up_to("Data", usize::MAX);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The three fields with which a command of a chain begins.
pub(super) fn andx(words: &mut Walk<'_>) -> Result<(), Malformed> {
    let command = words.bits8("AndXCommand", &[])?;
    words.mean(names::command(command));
    words.u8("AndXReserved")?;
    words.u16("AndXOffset").map(drop)
}

fn negotiate(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    for index in 0..LIST_MAX {
        if parts.bytes.rest().first() != Some(&0x02) {
            break;
        }
        parts.bytes.u8("BufferFormat")?;
        parts.bytes.mean("dialect");
        parts.bytes.oem("DialectName");
        parts.bytes.mean(format!("dialect {index}"));
    }
    Ok(())
}

fn session_setup(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let Parts { words, bytes, unicode, word_count, .. } = parts;
    words.u16("MaxBufferSize")?;
    words.u16("MaxMpxCount")?;
    words.u16("VcNumber")?;
    words.bits32("SessionKey", &[])?;
    match *word_count {
        12 => {
            let len = words.u16("SecurityBlobLength")?;
            words.u32("Reserved")?;
            words.bits32("Capabilities", names::CAPABILITIES)?;
            bytes.group("SecurityBlob", len.into(), security::blob)?;
        }
        13 => {
            let oem = words.u16("OEMPasswordLen")?;
            let nt = words.u16("UnicodePasswordLen")?;
            words.u32("Reserved")?;
            words.bits32("Capabilities", names::CAPABILITIES)?;
            bytes.bytes_up_to("OEMPassword", oem.into());
            bytes.bytes_up_to("UnicodePassword", nt.into());
            account(bytes, *unicode);
        }
        10 => {
            let len = words.u16("PasswordLength")?;
            words.u32("Reserved")?;
            bytes.bytes_up_to("AccountPassword", len.into());
            account(bytes, *unicode);
        }
        _ => return Err(Malformed { what: "WordCount", at: 0 }),
    }
    bytes.text("NativeOS", *unicode);
    bytes.text("NativeLanMan", *unicode);
    Ok(())
}

fn account(bytes: &mut Walk<'_>, unicode: bool) {
    if bytes.text("AccountName", unicode).0.is_empty() {
        bytes.mean("nobody: the null session");
    }
    bytes.text("PrimaryDomain", unicode);
}

fn tree_connect(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let Parts { words, bytes, unicode, .. } = parts;
    words.bits16("Flags", names::TREE_FLAGS)?;
    let len = words.u16("PasswordLength")?;
    bytes.bytes_up_to("Password", len.into());
    bytes.text("Path", *unicode);
    bytes.oem("Service");
    Ok(())
}

fn create(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let Parts { words, bytes, unicode, .. } = parts;
    words.u8("Reserved")?;
    words.u16("NameLength")?;
    words.bits32("Flags", names::CREATE_FLAGS)?;
    words.bits32("RootDirectoryFID", &[])?;
    words.bits32("DesiredAccess", &[])?;
    words.u64("AllocationSize")?;
    words.bits32("ExtFileAttributes", &[])?;
    words.bits32("ShareAccess", &[])?;
    words.u32("CreateDisposition")?;
    words.bits32("CreateOptions", &[])?;
    words.u32("ImpersonationLevel")?;
    words.bits8("SecurityFlags", &[])?;
    bytes.text("FileName", *unicode);
    Ok(())
}

fn read(words: &mut Walk<'_>) -> Result<(), Malformed> {
    words.bits16("FID", &[])?;
    words.u32("Offset")?;
    words.u16("MaxCountOfBytesToReturn")?;
    words.u16("MinCountOfBytesToReturn")?;
    words.bits32("Timeout_or_MaxCountHigh", &[])?;
    words.u16("Remaining")?;
    // The long form has the offset's high half.
    let _ = words.u32("OffsetHigh");
    Ok(())
}

fn write(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let words = &mut parts.words;
    words.bits16("FID", &[])?;
    words.u32("Offset")?;
    words.bits32("Timeout", &[])?;
    words.bits16("WriteMode", &[])?;
    words.u16("Remaining")?;
    let high = words.u16("DataLengthHigh")?;
    let low = words.u16("DataLength")?;
    let offset = words.u16("DataOffset")?;
    let _ = words.u32("OffsetHigh");
    let len = usize::from(low) | usize::from(high & 1).wrapping_shl(16);
    super::transactions::piece(parts, "Data", len, offset.into(), security::rpc);
    Ok(())
}

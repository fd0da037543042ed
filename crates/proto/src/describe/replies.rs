//! What Windows answers, as our decoy does ([MS-CIFS] 2.2.4, [MS-SMB] 2.2.4).

use super::smb1::Parts;
use super::walk::Walk;
use super::{names, requests, security, transactions};
use crate::wire::smb1 as wire;
use crate::wire::{Malformed, filetime};

/// Divides a reply's block; one without words is a refusal or has nothing to say.
pub(super) fn command(parts: &mut Parts<'_>, command: u8) -> Result<(), Malformed> {
    if parts.word_count == 0 {
        return Ok(());
    }
    if wire::is_andx(command) {
        requests::andx(&mut parts.words)?;
    }
    match command {
        wire::NEGOTIATE => negotiate(parts),
        wire::SESSION_SETUP_ANDX => session_setup(parts),
        wire::TREE_CONNECT_ANDX => tree_connect(parts),
        wire::TRANSACTION | wire::TRANSACTION2 => transaction(parts),
        wire::NT_CREATE_ANDX => create(&mut parts.words),
        wire::READ_ANDX => read(parts),
        wire::WRITE_ANDX => write(&mut parts.words),
        wire::ECHO => {
            parts.words.u16("SequenceNumber")?;
            parts.bytes.bytes_up_to("Data", usize::MAX);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn negotiate(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let Parts { words, bytes, word_count, .. } = parts;
    let index = words.u16("DialectIndex")?;
    words.mean(if index == u16::MAX { "none of those offered" } else { "the one chosen of those offered" });
    if *word_count == 13 {
        words.bits16("SecurityMode", names::SECURITY_MODE)?;
        words.u16("MaxBufferSize")?;
        words.u16("MaxMpxCount")?;
        words.u16("MaxNumberVcs")?;
        words.bits16("RawMode", &[])?;
        words.bits32("SessionKey", &[])?;
        words.bits16("ServerTime", &[])?;
        words.bits16("ServerDate", &[])?;
        zone(words)?;
        let len = words.u16("EncryptionKeyLength")?;
        words.u16("Reserved")?;
        bytes.bytes_up_to("EncryptionKey", len.into());
        bytes.oem("PrimaryDomain");
        return Ok(());
    }
    if *word_count != 17 {
        return Ok(());
    }
    words.bits8("SecurityMode", names::SECURITY_MODE)?;
    words.u16("MaxMpxCount")?;
    words.u16("MaxNumberVcs")?;
    words.u32("MaxBufferSize")?;
    words.u32("MaxRawSize")?;
    words.bits32("SessionKey", &[])?;
    words.bits32("Capabilities", names::CAPABILITIES)?;
    let now = words.u64("SystemTime")?;
    words.mean(format!("FILETIME, {}", filetime::shown(now)));
    zone(words)?;
    let len = words.u8("ChallengeLength")?;
    if len == 0 {
        bytes.bytes_up_to("ServerGUID", 16);
        bytes.group("SecurityBlob", usize::MAX, security::blob)?;
    } else {
        bytes.bytes_up_to("Challenge", len.into());
        bytes.utf16("DomainName");
        bytes.utf16("ServerName");
    }
    Ok(())
}

/// Where the server's clock stands.
fn zone(words: &mut Walk<'_>) -> Result<(), Malformed> {
    let west = words.bits16("ServerTimeZone", &[])?.cast_signed();
    words.mean(match west {
        0 => "UTC".to_owned(),
        1.. => format!("{west} minutes west of UTC"),
        _ => format!("{} minutes east of UTC", west.unsigned_abs()),
    });
    Ok(())
}

fn session_setup(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let Parts { words, bytes, unicode, word_count, .. } = parts;
    words.bits16("Action", &[(1, "logged on as guest"), (2, "LM session key")])?;
    let is_extended = *word_count == 4;
    if is_extended {
        let len = words.u16("SecurityBlobLength")?;
        bytes.group("SecurityBlob", len.into(), security::blob)?;
    }
    bytes.text("NativeOS", *unicode);
    bytes.text("NativeLanMan", *unicode);
    if !is_extended {
        bytes.text("PrimaryDomain", *unicode);
    }
    Ok(())
}

fn tree_connect(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let Parts { words, bytes, unicode, word_count, .. } = parts;
    words.bits16("OptionalSupport", names::TREE_SUPPORT)?;
    if *word_count == 7 {
        words.bits32("MaximalShareAccessRights", &[])?;
        words.bits32("GuestMaximalShareAccessRights", &[])?;
    }
    bytes.oem("Service");
    bytes.text("NativeFileSystem", *unicode);
    Ok(())
}

fn transaction(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let words = &mut parts.words;
    words.u16("TotalParameterCount")?;
    words.u16("TotalDataCount")?;
    words.u16("Reserved1")?;
    let parameters = words.u16("ParameterCount")?;
    let parameters_at = words.u16("ParameterOffset")?;
    words.u16("ParameterDisplacement")?;
    let data = words.u16("DataCount")?;
    let data_at = words.u16("DataOffset")?;
    words.u16("DataDisplacement")?;
    words.u8("SetupCount")?;
    words.u8("Reserved2")?;
    transactions::piece(parts, "Parameters", parameters.into(), parameters_at.into(), |_| ());
    transactions::piece(parts, "Data", data.into(), data_at.into(), security::rpc);
    Ok(())
}

/// The head; its long form has more words than it says, and they are told as not understood.
fn create(words: &mut Walk<'_>) -> Result<(), Malformed> {
    words.u8("OplockLevel")?;
    words.bits16("FID", &[])?;
    words.u32("CreateDisposition")?;
    for name in ["CreateTime", "LastAccessTime", "LastWriteTime", "LastChangeTime"] {
        words.u64(name)?;
    }
    words.bits32("ExtFileAttributes", &[])?;
    words.u64("AllocationSize")?;
    words.u64("EndOfFile")?;
    words.u16("ResourceType")?;
    words.bits16("NMPipeStatus", &[])?;
    words.u8("Directory").map(drop)
}

fn read(parts: &mut Parts<'_>) -> Result<(), Malformed> {
    let words = &mut parts.words;
    words.u16("Available")?;
    words.u16("DataCompactionMode")?;
    words.u16("Reserved1")?;
    let len = words.u16("DataLength")?;
    let offset = words.u16("DataOffset")?;
    words.bytes_up_to("Reserved2", 10);
    transactions::piece(parts, "Data", len.into(), offset.into(), security::rpc);
    Ok(())
}

fn write(words: &mut Walk<'_>) -> Result<(), Malformed> {
    words.u16("Count")?;
    words.u16("Available")?;
    words.u16("CountHigh")?;
    words.u16("Reserved").map(drop)
}

//! What a file that we do not look into calls itself, by its first bytes.

use crate::bytes::slice;
use crate::pe::Pe;

/// First bytes, and what a file with them is. Each is long enough to be no chance, or is followed by a check below.
/// Sources: the formats' own specifications; for OLE [MS-CFB] section 2.2, for shortcuts [MS-SHLLINK] section 2.1.
const MAGICS: &[(&[u8], &str)] = &[
    (b"\x7fELF", "ELF program"),
    (b"\xcf\xfa\xed\xfe", "Mach-O program"),
    (b"\xce\xfa\xed\xfe", "Mach-O program"),
    (b"dex\n03", "Dalvik program"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "OLE compound file"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"Rar!\x1a\x07", "RAR archive"),
    (b"\xfd7zXZ\0", "xz stream"),
    (b"\x28\xb5\x2f\xfd", "zstd stream"),
    (b"MSWIM\0\0\0", "WIM image"),
    (b"SZDD\x88\xf0\x27\x33", "SZDD stream"),
    (b"ITSF\x03\0\0\0", "compiled HTML help"),
    (b"%PDF-", "PDF document"),
    (b"{\\rtf", "RTF document"),
    (b"L\0\0\0\x01\x14\x02\0\0\0\0\0\xc0\0\0\0\0\0\0F", "Windows shortcut"),
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF87a", "GIF image"),
    (b"GIF89a", "GIF image"),
    (b"regf", "registry hive"),
    (b"ElfFile\0", "Windows event log"),
    (b"MDMP\x93\xa7", "memory dump"),
    (b"SQLite format 3\0", "SQLite database"),
    (b"!<arch>\n", "ar archive"),
    (b"#!/", "script"),
    (b"<?php", "PHP script"),
    (b"<?xml", "XML text"),
];

/// The same for texts, whose letters may be large or small, with blanks or a byte order mark in front.
const TEXTS: &[(&str, &str)] = &[
    ("@echo off", "batch script"),
    ("<!doctype html", "HTML page"),
    ("<html", "HTML page"),
    ("<script", "HTML page"),
    ("<job", "Windows script"),
    ("windows registry editor", "registry script"),
    ("[autorun]", "autorun file"),
    ("powershell", "PowerShell command"),
    ("#requires -", "PowerShell script"),
    ("on error resume next", "VBScript"),
    ("option explicit", "VBScript"),
];

/// Where a tar archive says what it is (POSIX.1, `ustar`).
const TAR_AT: usize = 257;

/// What `bytes` look like, as `PDF document`; empty where they look like nothing that is known here.
pub(crate) fn looks_like(bytes: &[u8]) -> &'static str {
    let named = MAGICS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|(_, what)| *what);
    named.or_else(|| with_a_check(bytes)).or_else(|| text(bytes)).unwrap_or("")
}

fn with_a_check(bytes: &[u8]) -> Option<&'static str> {
    let is_at = |at: usize, what: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(what));
    match slice(bytes, 0..4)? {
        // A Mach-O for several machines has the same first bytes, and tells a few of them instead of a version.
        [0xca, 0xfe, 0xba, 0xbe] => {
            let [.., major, minor] = slice(bytes, 4..8)? else { return None };
            let version = u16::from_be_bytes([*major, *minor]);
            Some(if version >= 45 { "Java class" } else { "Mach-O program" })
        }
        [b'B', b'Z', b'h', b'1'..=b'9'] if is_at(4, b"1AY&SY") => Some("bzip2 stream"),
        b"RIFF" if is_at(8, b"WAVE") => Some("WAV sound"),
        b"RIFF" if is_at(8, b"AVI ") => Some("AVI film"),
        b"RIFF" if is_at(8, b"WEBP") => Some("WebP image"),
        [b'M', b'Z', ..] => Some(Pe::foreign(bytes)).filter(|what| !what.is_empty()),
        _ if is_at(TAR_AT, b"ustar") => Some("tar archive"),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> Option<&'static str> {
    const LONGEST: usize = 24;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let begins = |head: &[u8]| TEXTS.iter().find(|(start, _)| starts(head, start)).map(|(_, what)| *what);
    if let Some(wide) = bytes.strip_prefix(b"\xff\xfe") {
        let letters: Vec<u8> = wide.iter().step_by(2).take(LONGEST.saturating_mul(4)).copied().collect();
        return begins(letters.trim_ascii_start());
    }
    begins(bytes.trim_ascii_start())
}

fn starts(head: &[u8], start: &str) -> bool {
    head.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_called_what_its_first_bytes_say() {
        let mut tar = vec![b'a'; 512];
        tar[TAR_AT..TAR_AT + 5].copy_from_slice(b"ustar");
        let known: [(&[u8], &str); 12] = [
            (b"\x7fELF\x01\x01\x01", "ELF program"),
            (b"\xca\xfe\xba\xbe\0\0\0\x34", "Java class"),
            (b"\xca\xfe\xba\xbe\0\0\0\x02", "Mach-O program"),
            (b"BZh91AY&SY", "bzip2 stream"),
            (b"RIFF\0\0\0\0WAVE", "WAV sound"),
            (b"%PDF-1.7", "PDF document"),
            (b"#!/bin/sh\n", "script"),
            (b"\xef\xbb\xbf\r\n@ECHO OFF\r\n", "batch script"),
            (b"\xff\xfe@\0e\0c\0h\0o\0 \0o\0f\0f\0", "batch script"),
            (b"  <HTML>", "HTML page"),
            (&tar, "tar archive"),
            (b"powershell -nop -w hidden", "PowerShell command"),
        ];
        for (bytes, what) in known {
            assert_eq!(looks_like(bytes), what, "{bytes:?}");
        }
    }

    #[test]
    fn what_only_begins_like_one_is_none() {
        let unknown: [&[u8]; 8] =
            [b"", b"BZh9", b"BZh0xxxxxx", b"RIFF\0\0\0\0", b"\xca\xfe\xba\xbe", b"PDF", b"<htm", b"MZ"];
        for bytes in unknown {
            assert_eq!(looks_like(bytes), "", "{bytes:?}");
        }
    }
}

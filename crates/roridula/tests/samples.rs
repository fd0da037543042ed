//! `roridula samples` from outside: filters, pieces of uploads, what is taken away.

// Tests own sockets and processes.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod common;

use common::{Honeypot, json, payload, roridula, sha256, text, upload};
use serde_json::Value;
use std::io::{Read, Write};
use std::path::Path;

/// Behind the end of [`pe_with_overlay`]'s file.
const OVERLAY: &[u8] = b"INERT LOOK-ALIKE: what stands behind the end of a file and means nothing.\xff\xfe";

/// A PE file of one section, filled with nothing that means anything, and [`OVERLAY`] behind its end.
fn pe_with_overlay() -> Vec<u8> {
    let size = 0x3000usize;
    let mut file: Vec<u8> = (0..size).map(|i| (i as u8).wrapping_mul(31) ^ 7).collect();
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0; 0x200]);
    put(0, b"MZ");
    put(0x3c, &0x80u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    put(0x84, &0x014cu16.to_le_bytes());
    put(0x86, &1u16.to_le_bytes());
    put(0x94, &224u16.to_le_bytes());
    put(0x98, &0x010bu16.to_le_bytes());
    put(0x178, b".text\0\0\0");
    put(0x178 + 12, &0x1000u32.to_le_bytes());
    put(0x178 + 16, &(size as u32 - 0x200).to_le_bytes());
    put(0x178 + 20, &0x200u32.to_le_bytes());
    file.extend_from_slice(OVERLAY);
    file
}

/// A data directory in which these were caught and looked into, each with so many chunks of it.
fn caught(data: &Path, samples: &[(&[u8], usize)]) {
    let mut honeypot = Honeypot::start(data, &[]);
    for (sample, chunks_max) in samples {
        drop(upload(honeypot.address, sample, *chunks_max));
        assert_eq!(honeypot.event("sample.triaged")["error"], "");
    }
    honeypot.stop();
}

/// A member of an exported zip.
fn member(zip: &Path, name: &str) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(zip).unwrap()).unwrap();
    let mut bytes = Vec::new();
    zip.by_name_decrypt(name, b"infected").unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

/// A zip archive with one deflated member.
fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("a.txt", options.compression_method(zip::CompressionMethod::Deflated)).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

/// Arguments behind others.
fn with<'a>(base: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    [base, more].concat()
}

/// Standard error of what has to fail, and its standard output.
fn failed(args: &[&str]) -> (String, String) {
    let output = roridula(args);
    assert!(!output.status.success(), "{args:?}: {output:?}");
    (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_filter_that_fits_nothing_is_no_empty_honeypot() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    caught(dir.path(), &[(&payload(5000, 41), usize::MAX)]);
    let base = ["samples", "list", "--data", at];
    for (filter, says) in [
        (["--since", "20261120"], "2026-11-20T12:00"),
        (["--since", "2026-13-45"], "no such moment"),
        (["--core", "zzzz"], "SHA-256"),
        (["--limit", "0"], "--limit"),
    ] {
        let (error, _) = failed(&with(&base, &filter));
        assert!(error.contains(filter[0]) && error.contains(says), "{error}");
    }
    for filter in [["--family", "nosuch"], ["--since", "2199-01-01"], ["--core", "0000"]] {
        let told = text(&with(&base, &filter));
        assert!(told.starts_with("None of 1 sample fits. Families here: unknown."), "{told}");
    }
    assert!(text(&with(&base, &["--family", "none"])).contains("unknown"));
}

#[test]
fn a_piece_of_an_upload_is_told_as_one_and_is_less_of_a_novelty() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().to_str().unwrap();
    let whole = payload(40_000, 43);
    caught(dir.path(), &[(&whole, 1), (&whole, usize::MAX), (&payload(30_000, 44), 2)]);
    let list = json(&["samples", "list", "--json", "--data", at]);
    let of = |bytes: &[u8]| {
        let list = list.as_array().unwrap();
        list.iter().find(|sample| sample["sha256"] == sha256(bytes)).unwrap_or(&Value::Null).clone()
    };
    let (known, unknown) = (of(&whole[..4096]), of(&payload(30_000, 44)[..8192]));
    let (whole_sample, sentence) = (of(&whole), known["sentence"].as_str().unwrap());
    assert!(sentence.starts_with("The first 4,096 of 40,000 announced bytes: unknown data ("), "{sentence}");
    // A size that is known proves nothing: whoever announces one would never be new.
    assert_eq!((&known["piece_of"], &known["state"]), (&"".into(), &"partial".into()));
    assert_eq!((&unknown["piece_of"], &unknown["state"]), (&"".into(), &"partial".into()));
    let novelty = |sample: &Value| sample["novelty"].as_u64().unwrap();
    for piece in [&known, &unknown] {
        assert!(novelty(piece) < novelty(&whole_sample) && novelty(piece) <= 50, "{piece} {whole_sample}");
    }
    let told = text(&["samples", "list", "--data", at]);
    assert_eq!(told.matches("  partial  ").count(), 2, "{told}");
    let shown = text(&["samples", "show", &sha256(&whole[..4096]), "--data", at]);
    assert!(shown.contains("upload      4,096 of 40,000 bytes, partial"), "{shown}");
}

#[test]
fn what_cannot_be_exported_is_told_and_the_rest_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("made/here"));
    let (at, out) = (data.to_str().unwrap(), out.to_str().unwrap());
    let samples = [payload(5000, 45), payload(6000, 46), payload(7000, 47)];
    caught(&data, &samples.each_ref().map(|sample| (sample.as_slice(), usize::MAX)));
    let names = samples.each_ref().map(|sample| sha256(sample));
    let base = ["samples", "export", "--data", at, "--json", "-o", out];
    // One more than one: a directory is made.
    let paths = json(&with(&base, &[&names[0], &names[1]]));
    assert_eq!(paths.as_array().unwrap().len(), 2, "{paths}");
    let (error, told) = failed(&with(&base, &[&names[0], "00000000", &names[2]]));
    assert!(error.contains(&names[0]) && error.contains("begins with `00000000`"), "{error}");
    let paths: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(paths.as_array().unwrap().len(), 1, "{paths}");
    let path = Path::new(paths[0].as_str().unwrap());
    assert_eq!(member(path, &format!("{}.bin", names[2])), samples[2]);
    let (error, _) = failed(&with(&base, &[&names[2], "--password", ""]));
    assert!(error.contains("--password"), "{error}");
    // Named twice it is packed once; a slash at the end means a directory.
    let zip = data.join("both.zip");
    let twice = ["samples", "export", "--data", at, "-o", zip.to_str().unwrap(), &names[0], &names[0][..9]];
    assert_eq!(text(&twice).lines().count(), 1);
    assert_eq!(member(&zip, &format!("{}.bin", names[0])), samples[0]);
    let new = format!("{at}/new/");
    let path = text(&["samples", "export", "--data", at, "-o", &new, &names[1]]);
    assert_eq!(path.trim(), format!("{new}{}.zip", names[1]));
}

#[test]
fn a_layer_is_taken_out_alone() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (at, out) = (data.to_str().unwrap(), dir.path().to_str().unwrap());
    let file = pe_with_overlay();
    caught(&data, &[(&file, usize::MAX)]);
    let (name, layer) = (sha256(&file), sha256(OVERLAY));
    let base = ["samples", "export", "--data", at, "-o", out];
    let path = text(&with(&base, &[&name[..8], "--layer", &layer[..8]]));
    let path = Path::new(path.trim());
    assert!(path.ends_with(format!("{layer}.zip")), "{path:?}");
    assert_eq!(member(path, &format!("{layer}.bin")), OVERLAY);
    let about: Value = serde_json::from_slice(&member(path, &format!("{layer}.json"))).unwrap();
    assert_eq!((&about["sample"], &about["offset"]), (&name.clone().into(), &0x3000.into()));
    // Those that do not stand in the sample as they are.
    let plain = &file[..0x3000];
    let hidden: Vec<u8> = plain.iter().map(|byte| byte ^ 0x5a).collect();
    let archive = packed(b"what is packed");
    caught(&data, &[(&hidden, usize::MAX), (&archive, usize::MAX)]);
    for (sample, layer) in [(&hidden, plain), (&archive, &b"what is packed"[..])] {
        let (sample, name) = (sha256(sample), sha256(layer));
        let path = text(&with(&base, &[&sample, "--layer", &name]));
        let path = Path::new(path.trim());
        assert_eq!(member(path, &format!("{name}.bin")), layer);
        let about: Value = serde_json::from_slice(&member(path, &format!("{name}.json"))).unwrap();
        assert_eq!(about["offset"], Value::Null);
    }
    let (error, _) = failed(&with(&base, &[&name, "--layer", "99"]));
    assert!(error.contains("has no layer `99`"), "{error}");
    // Without the option a layer's hash stands for the sample around it, and that is said.
    let output = roridula(&with(&base, &[&layer]));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && error.contains("no sample but a layer in"), "{error}");
    assert!(error.contains(&name) && String::from_utf8(output.stdout).unwrap().contains(&name));
}

#[test]
fn a_sample_is_compared_with_a_file_at_hand() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let (caught_one, file) = (pe_with_overlay(), dir.path().join("other.bin"));
    caught(&data, &[(&caught_one, usize::MAX)]);
    let mut other = caught_one.clone();
    other[0x1000] ^= 0xff;
    std::fs::write(&file, &other).unwrap();
    let (one, file) = (sha256(&caught_one), file.to_str().unwrap());
    let base = ["--data", data.to_str().unwrap()];
    let shown = text(&[&["samples", "diff", &one, file][..], &base].concat());
    let heads = format!("a  {one}\nb  {}\n", sha256(&other));
    assert!(shown.starts_with(&heads) && shown.contains("at 0x1000, 1 byte: section .text"), "{shown}");
    let gone = dir.path().join("gone");
    let (why, _) = failed(&[&["samples", "diff", &one, gone.to_str().unwrap()][..], &base].concat());
    assert!(why.contains("is not the beginning of a SHA-256") && why.contains("nor is it a file"), "{why}");
}

//! The data directory: is it there, may the honeypot write it, is there room?

use super::finding::Finding;
use super::rights::Who;
use crate::settings::Settings;
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{AccessFlags, Uid, access};
use roridula_desk::story::size;
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const CHECK: &str = "disk";
/// Free space under which a note is due, besides what is reserved: a hundred of WannaCry's variants.
const ROOM_BYTES: u64 = 512 * 1024 * 1024;
/// Free inodes under which a note is due: a sample takes up to three.
const ROOM_INODES: u64 = 10_000;

/// The directory's rights and its file system's room.
pub(super) fn check(data: &Path, settings: &Settings, who: Option<Who>) -> Vec<Finding> {
    let shown = data.display();
    let meta = match fs::metadata(data) {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            let what = format!("{shown} is no directory");
            return vec![Finding::problem(CHECK, what, "choose another place with --data")];
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return vec![Finding::note(CHECK, format!("{shown} is made when the honeypot starts"))];
        }
        Err(error) => {
            let what = format!("{shown} cannot be looked at: {error}");
            return vec![Finding::note(CHECK, what).with_fix("run as its owner, or with sudo")];
        }
    };
    let mut findings = Vec::new();
    if let Some(Who { uid, .. }) = who.filter(|who| !writable(data, &meta, who)) {
        let (owner, mode) = (meta.uid(), meta.mode() & 0o7777);
        let what = format!(
            "{shown}: the honeypot's user ({uid}) may not write there (owner {owner}, mode {mode:o})"
        );
        findings.push(Finding::problem(CHECK, what, format!("chown -R {uid} {shown}; chmod u+rwx {shown}")));
    }
    findings.push(room(data, settings.capture.reserve_bytes));
    findings
}

/// Whether the honeypot's user may make files in `data`.
fn writable(data: &Path, meta: &Metadata, who: &Who) -> bool {
    let me = Uid::effective();
    if !me.is_root() && me.as_raw() == who.uid {
        return access(data, AccessFlags::W_OK | AccessFlags::X_OK).is_ok();
    }
    let needed = match (meta.uid() == who.uid || who.is_given, meta.gid() == who.gid) {
        (true, _) => 0o300,
        // Root keeps the right to write into what is another's, and only there: see `sandbox`.
        _ if who.uid == 0 => 0,
        (_, true) => 0o030,
        _ => 0o003,
    };
    meta.mode() & needed == needed
}

fn room(data: &Path, reserve: u64) -> Finding {
    let vfs = match statvfs(data) {
        Ok(vfs) => vfs,
        Err(error) => return Finding::note(CHECK, format!("free space is unknown: {error}")),
    };
    let free = vfs.blocks_available().saturating_mul(vfs.fragment_size());
    // A file system without a fixed number of inodes says that it has none at all.
    let inodes = Some(vfs.files_available()).filter(|_| vfs.files() > 0);
    let what = format!("{} free where {} is", size(free), data.display());
    if vfs.flags().contains(FsFlags::ST_RDONLY) {
        let what = format!("the file system of {} is read-only", data.display());
        return Finding::problem(CHECK, what, "mount it for writing, or choose another place with --data");
    }
    if free < reserve {
        let what = format!("{what}, less than capture.reserve_bytes ({}): no payload is kept", size(reserve));
        return Finding::problem(
            CHECK,
            what,
            "free some space: move old samples away with `roridula samples export`",
        );
    }
    match inodes {
        Some(0) => Finding::problem(CHECK, "no inode is free: no file can be made", "remove some files"),
        Some(few) if few < ROOM_INODES => Finding::note(CHECK, format!("{what}, but only {few} inodes")),
        _ if free < reserve.saturating_add(ROOM_BYTES) => {
            Finding::note(CHECK, format!("{what}: payload is kept until {} are left", size(reserve)))
        }
        _ => Finding::ok(CHECK, what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::doctor::finding::Verdict;
    use nix::unistd::Gid;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_directory_that_may_not_be_written_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
        let who = Some(Who { uid, gid, is_given: false });
        let verdict = || check(dir.path(), &Settings::default(), who)[0].verdict;
        assert_ne!(verdict(), Verdict::Problem);
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
        assert_eq!(verdict(), Verdict::Problem);
    }

    #[test]
    fn too_little_room_is_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(room(dir.path(), u64::MAX).verdict, Verdict::Problem);
        assert_ne!(room(dir.path(), 0).verdict, Verdict::Problem);
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        assert_eq!(check(&file, &Settings::default(), None)[0].verdict, Verdict::Problem);
    }
}

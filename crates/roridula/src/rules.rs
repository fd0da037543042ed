//! The user's rule folders: read here, because triage itself reads no files.

use roridula_triage::rules::{RuleError, RuleFile, Rules};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files that are read; the large public sets have some thousands.
const FILES_MAX: usize = 10_000;
/// Bytes of all files together.
const BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Directories that are looked into.
const DIRECTORIES_MAX: usize = 10_000;

/// The folders to read: those of the setting `triage.rules`, and `rules` in the data directory if it is there.
pub(crate) fn folders(configured: &[PathBuf], data: &Path) -> Vec<PathBuf> {
    let own = data.join("rules");
    configured.iter().cloned().chain(own.is_dir().then_some(own)).collect()
}

/// All `*.yar` and `*.yara` in these folders and below, in the order of their paths; a file that is named itself may
/// be called anything. Inside of a folder, links to files are followed and those to folders are not, so that no way is
/// endless. What is not read is told.
pub(crate) fn read(folders: &[PathBuf]) -> (Vec<RuleFile>, Vec<RuleError>) {
    read_within(folders, FILES_MAX, BYTES_MAX)
}

fn read_within(folders: &[PathBuf], files_max: usize, bytes_max: u64) -> (Vec<RuleFile>, Vec<RuleError>) {
    let mut errors = Vec::new();
    let mut paths = find(folders, files_max, &mut errors);
    paths.sort();
    // Folders in each other, and links: a rule must not come twice.
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    let mut files = Vec::new();
    let mut left = bytes_max;
    for path in paths {
        if files.len() == files_max {
            errors.push(wrong(
                &path,
                &format!("this and all behind it are left out: more than {files_max} files"),
            ));
            break;
        }
        match read_one(&path, left) {
            Ok(Some(text)) => {
                left -= text.len() as u64;
                files.push(RuleFile { name: path.display().to_string(), text });
            }
            Ok(None) => {
                errors.push(wrong(&path, &format!("left out: all together are over {bytes_max} bytes")))
            }
            Err(error) => errors.push(wrong(&path, &format!("cannot be read: {error}"))),
        }
    }
    (files, errors)
}

/// The files to read. Folders wait in a list of their own: their depth is nobody's stack.
fn find(folders: &[PathBuf], files_max: usize, errors: &mut Vec<RuleError>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = Vec::new();
    for path in folders {
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => waiting.push(path.clone()),
            Ok(meta) if meta.is_file() => found.push(path.clone()),
            Ok(_) => errors.push(wrong(path, "neither a file nor a folder")),
            Err(error) => errors.push(wrong(path, &format!("cannot be read: {error}"))),
        }
    }
    let mut looked_into = 0;
    while let Some(folder) = waiting.pop() {
        looked_into += 1;
        if looked_into > DIRECTORIES_MAX {
            errors.push(wrong(&folder, &format!("left out: more than {DIRECTORIES_MAX} folders")));
            break;
        }
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) => {
                errors.push(wrong(&folder, &format!("cannot be read: {error}")));
                continue;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let ours = path.extension().is_some_and(|end| end == "yar" || end == "yara");
            let is_link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            match std::fs::metadata(&path) {
                Ok(meta) if meta.is_dir() && is_link => {
                    let what =
                        "a link to a folder, which is not followed: name the folder itself in triage.rules";
                    errors.push(wrong(&path, what));
                }
                Ok(meta) if meta.is_dir() => waiting.push(path),
                Ok(meta) if meta.is_file() && ours && found.len() <= files_max => found.push(path),
                Ok(meta) if !meta.is_file() && ours => {
                    errors.push(wrong(&path, "neither a file nor a folder"))
                }
                Err(error) if ours => errors.push(wrong(&path, &format!("cannot be read: {error}"))),
                _ => {}
            }
        }
    }
    found
}

/// The text, or `None` where it is longer than `left` bytes.
fn read_one(path: &Path, left: u64) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(left + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > left {
        return Ok(None);
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        std::io::Error::new(ErrorKind::InvalidData, format!("byte {at} is no UTF-8"))
    })
}

/// Bytes that a file's rules are tried on at first and at last; doubled in between, so that the worst ends soon.
const TRIED_BYTES: (usize, usize) = (1024, 64 * 1024);
/// Rules that take longer for so little are too slow for samples of megabytes.
const TRY_MAX: Duration = Duration::from_millis(500);

/// How long the rules of a file took for how many bytes of `sample`, where that is too long.
pub(crate) fn slow(file: &RuleFile, sample: &[u8]) -> Option<(Duration, usize)> {
    let (compiled, _) = Rules::compile_alone(std::slice::from_ref(file));
    let sizes = std::iter::successors(Some(TRIED_BYTES.0), |size| Some(size * 2));
    // A sample that ends before is tried whole, once.
    let useful = |size: &usize| *size == TRIED_BYTES.0 || size / 2 < sample.len();
    let sizes = sizes.take_while(|size| *size <= TRIED_BYTES.1).take_while(useful);
    let parts = sizes.map(|size| sample.get(..size).unwrap_or(sample));
    let mut tries = parts.map(|part| {
        let before = thread_time();
        compiled.scan(part);
        (thread_time().saturating_sub(before), part.len())
    });
    tries.find(|(took, _)| *took > TRY_MAX)
}

/// How long this thread has run: what else runs on the machine does not make a rule slow.
pub(crate) fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

fn wrong(path: &Path, what: &str) -> RuleError {
    RuleError { file: path.display().to_string(), line: 0, what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[RuleFile], folder: &Path) -> Vec<String> {
        let cut = |file: &RuleFile| Path::new(&file.name).strip_prefix(folder).unwrap().display().to_string();
        files.iter().map(cut).collect()
    }

    #[test]
    fn rules_are_found_below_their_folder_and_links_to_folders_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("in"), dir.path().join("out"));
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::create_dir(&outside).unwrap();
        for path in
            [inside.join("z.yar"), inside.join("a/b/y.yara"), inside.join("x.txt"), outside.join("o.yar")]
        {
            std::fs::write(path, "rule a { condition: true }").unwrap();
        }
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink(outside.join("o.yar"), inside.join("link.yar")).unwrap();
        std::os::unix::fs::symlink(inside.join("z.yar"), inside.join("z-again.yar")).unwrap();
        std::os::unix::fs::symlink("nowhere", inside.join("broken.yar")).unwrap();
        std::os::unix::fs::symlink(&inside, inside.join("a/loop")).unwrap();
        let (files, errors) = read(&[inside.clone(), inside.join("a")]);
        assert_eq!(names(&files, &inside), ["a/b/y.yara", "link.yar", "z-again.yar"]);
        let mut wrong: Vec<_> = errors.iter().map(|error| error.file.as_str()).collect();
        wrong.sort_unstable();
        wrong.dedup();
        let named = ["a/loop", "broken.yar", "link"].map(|name| inside.join(name).display().to_string());
        assert_eq!(wrong, named, "{errors:?}");
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_there() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.yar"), b"rule a\xff").unwrap();
        std::fs::write(dir.path().join("b.yar"), b"rule b").unwrap();
        let missing = dir.path().join("missing");
        let (files, errors) = read(&[dir.path().to_owned(), missing.clone()]);
        assert_eq!(names(&files, dir.path()), ["b.yar"]);
        assert_eq!(errors.len(), 2, "{errors:?}");
        assert_eq!(errors[0].file, missing.display().to_string());
        assert!(errors[1].file.ends_with("a.yar") && errors[1].what.contains("byte 6"), "{errors:?}");
    }

    #[test]
    fn files_and_bytes_are_bounded() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.yar", "b.yar", "c.yar"] {
            std::fs::write(dir.path().join(name), "0123456789").unwrap();
        }
        let folder = [dir.path().to_owned()];
        let (files, errors) = read_within(&folder, 2, 1000);
        assert_eq!((files.len(), errors.len()), (2, 1), "{errors:?}");
        let (files, errors) = read_within(&folder, 10, 25);
        assert_eq!((files.len(), errors.len()), (2, 1), "{errors:?}");
        assert!(errors[0].file.ends_with("c.yar"), "{errors:?}");
    }

    #[test]
    fn the_data_directory_may_have_a_folder_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(folders(&["x".into()], dir.path()), [PathBuf::from("x")]);
        std::fs::create_dir(dir.path().join("rules")).unwrap();
        assert_eq!(folders(&[], dir.path()), [dir.path().join("rules")]);
    }
}

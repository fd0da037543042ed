//! The password and the tokens of one data directory: `DIR/console/access.json`, hashes only.
//!
//! A password is chosen by a person, so it is kept as argon2id. A token is 256 random bits, which nobody
//! guesses, so that its plain hash is enough and checking one costs a program's request nothing.

use super::secret::{Secret, hex};
use crate::console::ConsoleError;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a token begins with, so that scanners for leaked secrets can know it.
const TOKEN_PREFIX: &str = "roridula_";
/// The folder in the data directory for what is the console's alone.
pub(super) const FOLDER: &str = "console";
/// The file's name in it.
const FILE: &str = "access.json";
/// Bytes of the largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Tokens that there may be.
const TOKENS_MAX: usize = 256;
/// Characters of the shortest password. NIST SP 800-63B, 3.1.1.2, asks for 15 where it is the only factor,
/// and for no rules about which characters.
pub(super) const PASSWORD_CHARS_MIN: usize = 15;
/// Bytes of the longest password.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// Memory in KiB, passes and lanes of argon2id: OWASP's Password Storage Cheat Sheet, its first choice.
const ARGON2: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Who may come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Known {
    /// The password as a PHC string.
    password: Option<String>,
    tokens: Vec<Token>,
}

/// A token, without itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    sha256: String,
}

impl Known {
    /// Whether nobody can log in.
    pub(crate) fn is_empty(&self) -> bool {
        self.password.is_none() && self.tokens.is_empty()
    }

    /// Whether this is one of the tokens.
    pub(crate) fn has_token(&self, text: &str) -> bool {
        let Some(secret) = text.strip_prefix(TOKEN_PREFIX).and_then(Secret::parse) else { return false };
        let sha256 = hex(&secret.hash());
        self.tokens.iter().any(|token| token.sha256 == sha256)
    }

    /// Whether this is the password. Takes tens of milliseconds and 19 MiB.
    pub(crate) fn has_password(&self, password: &str) -> bool {
        let Some(hash) = self.password.as_deref().and_then(|text| PasswordHash::new(text).ok()) else {
            return false;
        };
        // The hash says by which parameters it was made.
        password.len() <= PASSWORD_BYTES_MAX
            && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    }
}

/// The file, read again when it has changed.
#[derive(Debug)]
pub(crate) struct Credentials {
    path: PathBuf,
    read: Mutex<(Option<Stamp>, Arc<Known>)>,
}

/// By which a file is known to be the same as before: inode, size, time of change.
type Stamp = (u64, u64, i64, i64);

impl Credentials {
    /// Of the data directory `dir`.
    pub(crate) fn open(dir: &Path) -> Result<Self, ConsoleError> {
        let path = path(dir);
        let known = read(&path)?;
        Ok(Self { read: Mutex::new((stamp(&path), Arc::new(known))), path })
    }

    /// Who may come in now, and whether that has changed since it was last asked for. What cannot be read
    /// lets nobody in.
    pub(crate) fn now(&self) -> (Arc<Known>, bool) {
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = stamp(&self.path);
        let changed = stamp != last.0;
        if changed {
            // A password that can match nothing: who comes in is still asked for.
            let nobody = || Known { password: Some(String::new()), tokens: Vec::new() };
            *last = (stamp, Arc::new(read(&self.path).unwrap_or_else(|_| nobody())));
        }
        (Arc::clone(&last.1), changed)
    }
}

fn path(dir: &Path) -> PathBuf {
    dir.join(FOLDER).join(FILE)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec()))
}

fn read(path: &Path) -> Result<Known, ConsoleError> {
    let fail = |what: String| ConsoleError::Closed(format!("{}: {what}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Known::default()),
        Err(error) => return Err(fail(error.to_string())),
    };
    let mode = file.metadata().map_err(|error| fail(error.to_string()))?.mode();
    if mode & 0o077 != 0 {
        let what = format!(
            "others may read it (mode {:04o}); chmod 600 it, and change what it holds",
            mode & 0o7777
        );
        return Err(fail(what));
    }
    let mut text = String::new();
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    serde_json::from_str(&text)
        .map_err(|error| fail(format!("not what `roridula console password` wrote: {error}")))
}

/// Sets the password of the data directory `dir`; a console that runs takes it at once, and ends all its
/// sessions.
pub fn set_password(dir: &Path, password: &str) -> Result<(), ConsoleError> {
    if password.chars().count() < PASSWORD_CHARS_MIN || password.len() > PASSWORD_BYTES_MAX {
        let what = format!(
            "a password has {PASSWORD_CHARS_MIN} characters at least and {PASSWORD_BYTES_MAX} bytes at most; some words \
             with spaces between them are a good one"
        );
        return Err(ConsoleError::Closed(what));
    }
    let fail = |what: String| ConsoleError::Closed(format!("the password cannot be hashed: {what}"));
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|error| fail(error.to_string()))?;
    let salt = SaltString::encode_b64(&salt).map_err(|error| fail(error.to_string()))?;
    let (memory, passes, lanes) = ARGON2;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| fail(error.to_string()))?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password(password.as_bytes(), &salt).map_err(|error| fail(error.to_string()))?;
    change(dir, |known| {
        known.password = Some(hash.to_string());
        Ok(())
    })
}

/// Takes the password away; says whether there was one.
pub fn remove_password(dir: &Path) -> Result<bool, ConsoleError> {
    let mut was = false;
    change(dir, |known| {
        was = known.password.take().is_some();
        Ok(())
    })?;
    Ok(was)
}

/// Makes a token of this name and gives it, the only time that it can be seen.
pub fn add_token(dir: &Path, name: &str) -> Result<String, ConsoleError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        let what = "a token's name has 1 to 64 letters, digits, `-`, `_` and `.`";
        return Err(ConsoleError::Closed(what.to_owned()));
    }
    let secret = Secret::random();
    change(dir, |known| {
        if known.tokens.iter().any(|token| token.name == name) {
            return Err(format!(
                "there is a token `{name}` already; remove it first, or give this one another name"
            ));
        }
        if known.tokens.len() >= TOKENS_MAX {
            return Err(format!("there are {TOKENS_MAX} tokens already"));
        }
        known.tokens.push(Token { name: name.to_owned(), sha256: hex(&secret.hash()) });
        Ok(())
    })?;
    Ok(format!("{TOKEN_PREFIX}{}", secret.text()))
}

/// Takes a token away; says whether there was one.
pub fn remove_token(dir: &Path, name: &str) -> Result<bool, ConsoleError> {
    let mut was = false;
    change(dir, |known| {
        let before = known.tokens.len();
        known.tokens.retain(|token| token.name != name);
        was = known.tokens.len() != before;
        Ok(())
    })?;
    Ok(was)
}

/// Whether there is a password, and the names of all tokens.
pub fn who(dir: &Path) -> Result<(bool, Vec<String>), ConsoleError> {
    let known = read(&path(dir))?;
    Ok((known.password.is_some(), known.tokens.into_iter().map(|token| token.name).collect()))
}

/// Changes the file as a whole: who reads it meanwhile sees the old one or the new one.
fn change(dir: &Path, change: impl FnOnce(&mut Known) -> Result<(), String>) -> Result<(), ConsoleError> {
    let path = path(dir);
    let mut known = read(&path)?;
    change(&mut known).map_err(ConsoleError::Closed)?;
    let text =
        serde_json::to_string_pretty(&known).map_err(|error| ConsoleError::Closed(error.to_string()))?;
    write_secret(dir, FILE, text.as_bytes())
        .map_err(|error| ConsoleError::Closed(format!("{}: {error}", path.display())))
}

/// Writes `DIR/console/NAME` with mode 0600, owned by whoever owns the data directory.
pub(crate) fn write_secret(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let owner = fs::metadata(dir)?;
    let own = |file: &File| match file.metadata()?.uid() == owner.uid() {
        true => Ok(()),
        false => fchown(file, Some(owner.uid()), Some(owner.gid())),
    };
    let folder = dir.join(FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => own(&File::open(&folder)?)?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let new = folder.join(format!("{name}.{}.new", std::process::id()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    let done = own(&file).and_then(|()| file.write_all(bytes)).and_then(|()| file.sync_all());
    let done = done.and_then(|()| fs::rename(&new, folder.join(name)));
    if done.is_err() {
        // Half a file is nobody's.
        let _ = fs::remove_file(&new);
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const PASSWORD: &str = "correct horse battery staple";

    #[test]
    fn a_password_is_kept_as_argon2id_in_a_file_of_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        set_password(dir.path(), PASSWORD).unwrap();
        let text = fs::read_to_string(path(dir.path())).unwrap();
        assert!(text.contains("$argon2id$v=19$m=19456,t=2,p=1$") && !text.contains("horse"), "{text}");
        assert_eq!(fs::metadata(path(dir.path())).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(dir.path().join(FOLDER)).unwrap().mode() & 0o777, 0o700);
        assert_eq!(fs::read_dir(dir.path().join(FOLDER)).unwrap().count(), 1, "nothing is left beside it");
        let known = read(&path(dir.path())).unwrap();
        assert!(known.has_password(PASSWORD));
        for wrong in ["", "correct horse battery stapl", "Correct horse battery staple"] {
            assert!(!known.has_password(wrong), "{wrong}");
        }
        assert!(
            set_password(dir.path(), "short").is_err()
                && set_password(dir.path(), &"x".repeat(1025)).is_err()
        );
        assert!(remove_password(dir.path()).unwrap() && !remove_password(dir.path()).unwrap());
        assert!(read(&path(dir.path())).unwrap().is_empty());
    }

    #[test]
    fn a_token_is_shown_once_and_kept_as_its_hash() {
        let dir = tempfile::tempdir().unwrap();
        let token = add_token(dir.path(), "grafana").unwrap();
        let text = fs::read_to_string(path(dir.path())).unwrap();
        assert!(!text.contains(&token[TOKEN_PREFIX.len()..]), "{text}");
        let known = read(&path(dir.path())).unwrap();
        assert!(known.has_token(&token) && !known.has_password(&token));
        for wrong in ["", TOKEN_PREFIX, &token[1..], &format!("{token}0"), &token[TOKEN_PREFIX.len()..]] {
            assert!(!known.has_token(wrong), "{wrong}");
        }
        assert!(add_token(dir.path(), "grafana").is_err() && add_token(dir.path(), "a b").is_err());
        assert_eq!(who(dir.path()).unwrap(), (false, vec!["grafana".to_owned()]));
        assert!(
            remove_token(dir.path(), "grafana").unwrap() && !remove_token(dir.path(), "grafana").unwrap()
        );
    }

    #[test]
    fn a_change_is_seen_at_once_and_a_broken_file_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::open(dir.path()).unwrap();
        assert!(credentials.now().0.is_empty());
        set_password(dir.path(), PASSWORD).unwrap();
        let (known, changed) = credentials.now();
        assert!(changed && known.has_password(PASSWORD) && !credentials.now().1);
        fs::write(path(dir.path()), "{").unwrap();
        let (known, changed) = credentials.now();
        assert!(changed && !known.is_empty() && !known.has_password(PASSWORD) && !known.has_password(""));
        assert!(Credentials::open(dir.path()).is_err());
    }

    #[test]
    fn a_file_that_others_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        set_password(dir.path(), PASSWORD).unwrap();
        fs::set_permissions(path(dir.path()), fs::Permissions::from_mode(0o644)).unwrap();
        let error = Credentials::open(dir.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 600") && error.contains("0644"), "{error}");
    }
}

//! Keys: read once, sent to their service, shown nowhere.

use super::LookupError;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Bytes of the largest key file that is read.
const KEY_BYTES_MAX: u64 = 4096;

/// A key. Neither `Debug` nor an error shows it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Secret {
    /// The key in this text, without the white space around it; `None` where that is no key.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = (1..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// The key of a service: from `file` where one is named, else from the environment's `variable`.
    pub fn find(
        section: &'static str,
        file: Option<&Path>,
        variable: &'static str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, LookupError> {
        let what = match file {
            Some(path) => return Self::read(section, path),
            None => match environment(variable) {
                Some(text) => match Self::new(&text) {
                    Some(key) => return Ok(key),
                    None => format!("the environment's {variable} holds no key"),
                },
                None => format!(
                    "it needs a key: set {variable} in the environment, or {section}.key_file to a file that holds it"
                ),
            },
        };
        Err(LookupError::Key { setting: format!("{section}.enabled"), what })
    }

    fn read(section: &'static str, path: &Path) -> Result<Self, LookupError> {
        let fail = |what: String| LookupError::Key {
            setting: format!("{section}.key_file"),
            what: format!("{}: {what}", path.display()),
        };
        let file = File::open(path).map_err(|error| fail(error.to_string()))?;
        let mode = file.metadata().map_err(|error| fail(error.to_string()))?.mode();
        if mode & 0o077 != 0 {
            return Err(fail(format!(
                "others may read it (mode {:04o}); chmod 600 it, and think of the key as known",
                mode & 0o7777
            )));
        }
        let mut text = String::new();
        let read = file.take(KEY_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| fail(error.to_string()))?;
        Self::new(&text).ok_or_else(|| fail("holds no key: one line of printable characters".to_owned()))
    }

    /// The key itself, to be sent.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    /// Tells this key from another without telling it.
    pub(super) fn mark(&self) -> String {
        let digest = Sha256::digest(self.0.as_bytes());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_found_and_never_shown() {
        let found = Secret::find("lookup.virustotal", None, "V", &|_| Some(" s3cret\n".to_owned())).unwrap();
        assert_eq!(found.expose(), "s3cret");
        assert!(!format!("{found:?} {}", found.mark()).contains("s3cret"));
        let error = Secret::find("lookup.virustotal", None, "V", &|_| None).unwrap_err().to_string();
        assert!(error.starts_with("lookup.virustotal.enabled: it needs a key: set V"), "{error}");
        assert!(Secret::new("two words").is_none() && Secret::new("line\nbreak").is_none());
    }

    #[test]
    fn a_key_file_that_others_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "s3cret\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let find = || Secret::find("lookup.virustotal", Some(&path), "V", &|_| None);
        let error = find().unwrap_err().to_string();
        assert!(
            error.contains("chmod 600") && error.contains("0644") && !error.contains("s3cret"),
            "{error}"
        );
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(find().unwrap().expose(), "s3cret");
    }
}

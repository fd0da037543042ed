//! A real browser for the console's tests: Debian's Chromium without a window, driven over the DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>).
//!
//! Nothing here sleeps: what a test waits for is a condition in the page, and the page says when it holds. Everything
//! that a page complains about, and every address that it asks for, is noted ([`Page::complaints`],
//! [`Page::requests`]), so that a test can assert that there was none. No name resolves but `localhost`, and no
//! address is reached through a proxy.

mod page;
mod seen;
mod wire;

pub use page::{Look, Page};
pub use seen::Complaint;

use anyhow::{Context, bail};
use seen::Seen;
use serde_json::{Value, json};
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use wire::Wire;

/// How long anything may take on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// Names under which distributions install it.
const NAMES: [&str; 2] = ["chromium", "chromium-browser"];
/// What a started browser must not do: ask anybody for anything, keep anything, ask the user.
const FLAGS: &[&str] = &[
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-proxy-server",
    "--password-store=basic",
    "--remote-debugging-pipe",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/// A running browser; gone when dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    wire: Arc<Wire>,
    stderr: Arc<Mutex<String>>,
    profile: TempDir,
}

impl Browser {
    /// Starts one with a fresh profile.
    ///
    /// # Errors
    /// Where no Chromium is installed (`scripts/setup-tests.sh` installs it) or it does not answer.
    pub fn start() -> anyhow::Result<Self> {
        let program = find().with_context(|| {
            format!("no {} in PATH: scripts/setup-tests.sh installs Debian's package `chromium`", NAMES[0])
        })?;
        let profile = tempfile::Builder::new().prefix("roridula-browser-").tempdir()?;
        let downloads = profile.path().join("downloads");
        std::fs::create_dir(&downloads)?;
        // The protocol is spoken on descriptors 3 and 4; the shell puts our pipes there.
        let script = r#"exec "$0" "$@" 3<&0 4>&1 </dev/null >/dev/null"#;
        let mut child = Command::new("sh")
            .args(["-c", script])
            .arg(program)
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().join("profile").display()))
            .env("HOME", profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start a shell")?;
        let stderr = Arc::new(Mutex::new(String::new()));
        let lines = child.stderr.take().context("stderr")?;
        let collected = Arc::clone(&stderr);
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(lines).lines().map_while(Result::ok) {
                let mut text = collected.lock().unwrap_or_else(PoisonError::into_inner);
                text.push_str(&line);
                text.push('\n');
            }
        });
        let wire = Wire::start(child.stdin.take().context("stdin")?, child.stdout.take().context("stdout")?)?;
        let browser = Self { child, wire, stderr, profile };
        browser.ask("Browser.getVersion", json!({})).with_context(|| browser.diagnostics())?;
        let behaviour = json!({ "behavior": "allow", "downloadPath": downloads, "eventsEnabled": true });
        browser.ask("Browser.setDownloadBehavior", behaviour)?;
        Ok(browser)
    }

    /// Opens an empty page.
    pub fn page(&self) -> anyhow::Result<Page> {
        let target = self.ask("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.ask("Target.attachToTarget", attach)?;
        let session = session["sessionId"].as_str().context("attachToTarget names a session")?.to_owned();
        Page::open(Arc::clone(&self.wire), session, self.downloads())
    }

    /// Where files that a page gave out are.
    pub fn downloads(&self) -> PathBuf {
        self.profile.path().join("downloads")
    }

    /// What it wrote to stderr.
    pub fn diagnostics(&self) -> String {
        self.stderr.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn ask(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.wire.ask(None, method, params, PATIENCE)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked first, so that its own children end with it.
        let _ = self.wire.ask(None, "Browser.close", json!({}), Duration::from_secs(5));
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_)) | Err(_)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn find() -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let place = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|file| is_program(file));
    NAMES.into_iter().find_map(place).context("chromium is not installed")
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Bytes from base64 ([RFC 4648] 4), as screenshots come.
fn from_base64(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0);
    for letter in text.bytes().take_while(|letter| *letter != b'=') {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => bail!("not base64"),
        };
        word = word << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push((word >> bits & 0xff) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(from_base64(text).unwrap(), bytes.as_bytes());
        }
        assert!(from_base64("Zm9v\n").is_err());
    }
}

//! A honeypot with a past and a console, and a browser that looks at it.

use roridula_lab::browser::{Browser, Page};
use roridula_lab::history::{Args, write};
use roridula_lab::honeypot::{Honeypot, PATIENCE, Start};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(crate) struct Rig {
    pub(crate) page: Page,
    pub(crate) browser: Browser,
    pub(crate) honeypot: Honeypot,
    /// `http://127.0.0.1:40001`.
    pub(crate) origin: String,
    _dir: TempDir,
}

impl Rig {
    /// With a past of three days, explained.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("data");
        let args =
            Args { out, days: 3, connections: 400, incidents: 30, samples: 12, seed: 3, triage: false };
        write(&args, roridula_evidence::wall_clock()).unwrap();
        Self::on(dir, Start::default().data(&args.out))
    }

    /// With an empty one.
    pub(crate) fn empty() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        Self::on(dir, Start::default().data(&data))
    }

    fn on(dir: TempDir, start: Start) -> Self {
        let honeypot = start.console().set("implant.policy=present").run().unwrap();
        let origin = honeypot.console().unwrap();
        honeypot.wait_for_samples(|samples| samples.iter().all(|sample| sample["triaged"] == true)).unwrap();
        let browser = Browser::start().unwrap();
        let page = browser.page().unwrap();
        Self { page, browser, honeypot, origin, _dir: dir }
    }

    /// Opens an address of the console.
    pub(crate) fn open(&self, path: &str) {
        self.page.goto(&format!("{}{path}", self.origin)).unwrap();
    }

    /// The API's answer, as a script of the page gets it.
    pub(crate) fn api(&self, path: &str) -> Value {
        self.page.eval(&format!("fetch('/api/v1{path}').then(answer => answer.json())")).unwrap()
    }

    /// Asks the API until its answer has what is looked for: what is derived in the background comes a moment later.
    pub(crate) fn wait_for<T>(&self, path: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.api(path);
            if let Some(found) = look(&answer) {
                return found;
            }
            assert!(Instant::now() < deadline, "{path}: {answer:#}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Asserts that no page complained, and that nothing was asked for from anywhere else.
    pub(crate) fn assert_clean(&self) {
        let complaints: Vec<String> = self.page.complaints().iter().map(ToString::to_string).collect();
        assert_eq!(complaints, [""; 0]);
        assert_eq!(self.page.requests_off(&self.origin), [""; 0]);
    }

    /// Where pictures are kept: CI takes them from there.
    pub(crate) fn pictures() -> PathBuf {
        roridula_lab::tidy::root().join("target/console")
    }
}

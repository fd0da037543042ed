//! One page: what a test does with it.

use super::seen::{Complaint, TELL};
use super::wire::Wire;
use super::{PATIENCE, from_base64};
use anyhow::{Context, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// How a page is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Width in CSS pixels.
    pub width: u32,
    /// Height in CSS pixels.
    pub height: u32,
    /// Whether the user likes it dark.
    pub dark: bool,
}

impl Look {
    /// A usual screen.
    pub const SCREEN: Self = Self { width: 1280, height: 900, dark: false };
    /// A phone held upright, as most are.
    pub const PHONE: Self = Self { width: 390, height: 844, dark: false };
    /// The widths that small phones have, upright.
    pub const SMALL_PHONES: [Self; 2] =
        [Self { width: 360, height: 740, dark: false }, Self { width: 320, height: 568, dark: false }];

    /// The same in the dark.
    #[must_use]
    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

/// An open page.
#[derive(Debug)]
pub struct Page {
    wire: Arc<Wire>,
    session: String,
    downloads: PathBuf,
}

impl Page {
    pub(super) fn open(wire: Arc<Wire>, session: String, downloads: PathBuf) -> anyhow::Result<Self> {
        let page = Self { wire, session, downloads };
        for domain in ["Page", "Runtime", "Log", "Network", "DOM", "Inspector"] {
            page.ask(&format!("{domain}.enable"), json!({}))?;
        }
        page.ask("Page.setLifecycleEventsEnabled", json!({ "enabled": true }))?;
        page.ask("Runtime.addBinding", json!({ "name": TELL }))?;
        let watch = format!(
            "document.addEventListener('securitypolicyviolation', event => \
             {TELL}(`${{event.effectiveDirective}} blocks ${{event.blockedURI}} on ${{event.documentURI}}`));"
        );
        page.ask("Page.addScriptToEvaluateOnNewDocument", json!({ "source": watch }))?;
        page.look(Look::SCREEN)?;
        Ok(page)
    }

    /// Shows pages in this way from now on.
    pub fn look(&self, look: Look) -> anyhow::Result<()> {
        let Look { width, height, dark } = look;
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.ask("Emulation.setDeviceMetricsOverride", size)?;
        let scheme = if dark { "dark" } else { "light" };
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.ask("Emulation.setEmulatedMedia", media).map(drop)
    }

    /// Shows pages as they are printed, or as on a screen again.
    pub fn on_paper(&self, paper: bool) -> anyhow::Result<()> {
        let media = if paper { "print" } else { "" };
        self.ask("Emulation.setEmulatedMedia", json!({ "media": media })).map(drop)
    }

    /// Lives in this zone of time from now on: `Asia/Kolkata`.
    pub fn zone(&self, name: &str) -> anyhow::Result<()> {
        self.ask("Emulation.setTimezoneOverride", json!({ "timezoneId": name })).map(drop)
    }

    /// Runs no script of pages that are opened from now on; [`Self::html`] still reads them.
    pub fn without_script(&self, without: bool) -> anyhow::Result<()> {
        self.ask("Emulation.setScriptExecutionDisabled", json!({ "value": without })).map(drop)
    }

    /// Sends these headers with every request from now on.
    pub fn headers(&self, headers: &[(&str, &str)]) -> anyhow::Result<()> {
        let headers: serde_json::Map<String, Value> =
            headers.iter().map(|&(name, value)| (name.to_owned(), value.into())).collect();
        self.ask("Network.setExtraHTTPHeaders", json!({ "headers": headers })).map(drop)
    }

    /// Opens an address and waits until it is loaded.
    pub fn goto(&self, url: &str) -> anyhow::Result<()> {
        let went = self.ask("Page.navigate", json!({ "url": url }))?;
        if let Some(error) = went["errorText"].as_str() {
            bail!("{url}: {error}");
        }
        // A place on the same page has no loader: it is there at once.
        let Some(loader) = went["loaderId"].as_str() else { return Ok(()) };
        self.wire
            .wait_seen(&self.session, PATIENCE, |seen| {
                seen.loaded.iter().any(|loaded| loaded == loader).then_some(())
            })
            .with_context(|| format!("{url} is not loaded"))
    }

    /// The address of the page.
    pub fn url(&self) -> anyhow::Result<String> {
        self.eval("location.href")?.as_str().map(str::to_owned).context("an address")
    }

    /// The value of an expression; a promise is waited for.
    pub fn eval(&self, js: &str) -> anyhow::Result<Value> {
        let params = json!({
            "expression": js, "awaitPromise": true, "returnByValue": true, "userGesture": true,
        });
        let mut answer = self.ask("Runtime.evaluate", params)?;
        let thrown = &answer["exceptionDetails"];
        if !thrown.is_null() {
            let what = thrown["exception"]["description"].as_str().or(thrown["text"].as_str());
            bail!("{js}: {}", what.unwrap_or("an exception"));
        }
        Ok(answer["result"]["value"].take())
    }

    /// Waits until an expression is true; its value. Looked at whenever the page changes, also by another page in
    /// its place.
    pub fn wait_for(&self, js: &str) -> anyhow::Result<Value> {
        let waiting = format!(
            "new Promise(done => {{
                const look = () => {{
                    let held = false;
                    try {{ held = ({js}); }} catch (error) {{ held = false; }}
                    if (held) {{ observer.disconnect(); done(held); }}
                }};
                const observer = new MutationObserver(look);
                observer.observe(document,
                    {{ subtree: true, childList: true, attributes: true, characterData: true }});
                for (const event of ['load', 'input', 'change', 'toggle', 'hashchange', 'focusin', 'scroll'])
                    addEventListener(event, look, {{ capture: true }});
                look();
            }})"
        );
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.eval(&waiting) {
                Ok(held) => return Ok(held),
                // Another page came in its place: look there.
                Err(error) if is_navigation(&error) && Instant::now() < deadline => {}
                Err(error) => {
                    let shown = self.eval("document.body?.innerText.slice(0, 2000)").unwrap_or_default();
                    let shown = shown.as_str().unwrap_or_default().to_owned();
                    return Err(error.context(format!("never: {js}\nthe page says:\n{shown}")));
                }
            }
        }
    }

    /// Clicks on the middle of the first element that fits, as a user would: it must be visible, and nothing may lie
    /// above it.
    pub fn click(&self, css: &str) -> anyhow::Result<()> {
        let at = self.wait_for(&format!(
            "(() => {{
                const found = document.querySelector({css});
                if (!found) return null;
                found.scrollIntoView({{ block: 'center', inline: 'nearest', behavior: 'instant' }});
                const box = found.getClientRects()[0];
                if (!box || !box.width || !box.height) return null;
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                const top = document.elementFromPoint(x, y);
                return top && (found.contains(top) || top.contains(found)) ? [x, y] : null;
            }})()",
            css = quoted(css)
        ))?;
        for (kind, count) in [("mouseMoved", 0), ("mousePressed", 1), ("mouseReleased", 1)] {
            let button = if count == 0 { "none" } else { "left" };
            let event =
                json!({ "type": kind, "x": at[0], "y": at[1], "button": button, "clickCount": count });
            self.ask("Input.dispatchMouseEvent", event)?;
        }
        Ok(())
    }

    /// Clicks on what leads to another page, and waits until that is loaded.
    pub fn follow(&self, css: &str) -> anyhow::Result<()> {
        let before = self.wire.seen(&self.session, |seen| seen.loaded.len());
        self.click(css)?;
        self.wait_loaded(before).with_context(|| format!("{css} leads to no page"))
    }

    /// Presses a key that leads to another page, and waits until that is loaded.
    pub fn press_and_follow(&self, key: &str) -> anyhow::Result<()> {
        let before = self.wire.seen(&self.session, |seen| seen.loaded.len());
        self.press(key)?;
        self.wait_loaded(before).with_context(|| format!("{key} leads to no page"))
    }

    /// Clicks on what gives out a file, and waits until that is whole; the name that it was offered under, and
    /// where it is.
    pub fn download(&self, css: &str) -> anyhow::Result<(String, PathBuf)> {
        let before = self.wire.seen("", |seen| seen.downloads.len());
        self.click(css)?;
        let (id, whole) = self
            .wire
            .wait_seen("", PATIENCE, |seen| seen.downloads.get(before).cloned())
            .with_context(|| format!("{css} gives out no file"))?;
        ensure!(whole, "{css}: the file did not come whole");
        let name = self.wire.seen("", |seen| {
            seen.offered.iter().find(|(offered, _)| *offered == id).map(|(_, name)| name.clone())
        });
        let name = name.context("a file is offered before it comes")?;
        let path = self.downloads.join(&name);
        Ok((name, path))
    }

    /// Puts the cursor into a field, empties it, and types.
    pub fn fill(&self, css: &str, text: &str) -> anyhow::Result<()> {
        let css = quoted(css);
        self.wait_for(&format!("document.querySelector({css})"))?;
        self.eval(&format!(
            "(() => {{ const field = document.querySelector({css}); field.focus(); field.select?.(); }})()"
        ))?;
        self.ask("Input.insertText", json!({ "text": text })).map(drop)
    }

    /// Presses a key: a letter, or `Enter`, `Tab`, `Escape`, `ArrowDown` and their like.
    pub fn press(&self, key: &str) -> anyhow::Result<()> {
        let (code, text) = match key {
            "Enter" => (13, "\r"),
            "Tab" => (9, ""),
            "Escape" => (27, ""),
            "ArrowLeft" => (37, ""),
            "ArrowUp" => (38, ""),
            "ArrowRight" => (39, ""),
            "ArrowDown" => (40, ""),
            letter if letter.chars().count() == 1 => (0, letter),
            other => bail!("no key is called {other}"),
        };
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code, "text": text });
            self.ask("Input.dispatchKeyEvent", event)?;
        }
        Ok(())
    }

    /// What a user reads in the first element that fits.
    pub fn text(&self, css: &str) -> anyhow::Result<String> {
        let text = self.eval(&format!("document.querySelector({})?.innerText", quoted(css)))?;
        text.as_str()
            .map(str::to_owned)
            .with_context(|| format!("no {css} on {}", self.url().unwrap_or_default()))
    }

    /// How many elements fit.
    pub fn count(&self, css: &str) -> anyhow::Result<u64> {
        let count = self.eval(&format!("document.querySelectorAll({}).length", quoted(css)))?;
        count.as_u64().context("a count")
    }

    /// The document's source as it is now, also where no script runs.
    pub fn html(&self) -> anyhow::Result<String> {
        let root = self.ask("DOM.getDocument", json!({ "depth": 0 }))?;
        let html = self.ask("DOM.getOuterHTML", json!({ "nodeId": root["root"]["nodeId"] }))?;
        html["outerHTML"].as_str().map(str::to_owned).context("getOuterHTML")
    }

    /// Writes a picture of the whole page to a PNG file.
    pub fn screenshot(&self, path: &Path) -> anyhow::Result<()> {
        let shot =
            self.ask("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }))?;
        let bytes = from_base64(shot["data"].as_str().context("captureScreenshot gives data")?)?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Everything that the page complained about so far.
    pub fn complaints(&self) -> Vec<Complaint> {
        self.wire.seen(&self.session, |seen| seen.complaints.clone())
    }

    /// Forgets the complaints so far; what they were.
    pub fn take_complaints(&self) -> Vec<Complaint> {
        self.wire.seen(&self.session, |seen| std::mem::take(&mut seen.complaints))
    }

    /// Every address asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.wire.seen(&self.session, |seen| seen.requests.clone())
    }

    /// Those that are not below `origin` (`http://127.0.0.1:8445`), and none of the page itself (`data:`).
    pub fn requests_off(&self, origin: &str) -> Vec<String> {
        let origin = origin.trim_end_matches('/');
        let inside = |url: &String| {
            url.strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
                || url.starts_with("data:")
                || url == "about:blank"
        };
        self.requests().into_iter().filter(|url| !inside(url)).collect()
    }

    fn wait_loaded(&self, before: usize) -> anyhow::Result<()> {
        self.wire.wait_seen(&self.session, PATIENCE, |seen| (seen.loaded.len() > before).then_some(()))
    }

    fn ask(&self, method: &str, params: Value) -> anyhow::Result<Value> {
        self.wire.ask(Some(&self.session), method, params, PATIENCE)
    }
}

/// Whether a question was lost because another page came in the place of the one that was asked.
fn is_navigation(error: &anyhow::Error) -> bool {
    let text = error.to_string();
    ["context was destroyed", "Cannot find context", "navigated or closed"]
        .iter()
        .any(|hint| text.contains(hint))
}

/// A text as a JavaScript literal.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).map_err(|error| anyhow!(error)).unwrap_or_default()
}

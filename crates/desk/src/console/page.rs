//! The frame that all pages have.

use super::ask::{Ask, RANGES};
use super::asset;
use super::stage::{self, Reached};
use super::text;
use crate::incident::known_tools;
use crate::index::Step;
use maud::{DOCTYPE, Markup, html};

/// The views that stand in the navigation: address, name, key.
const VIEWS: &[(&str, &str, &str)] = &[
    ("/", "Home", "h"),
    ("/incidents", "Incidents", "i"),
    ("/samples", "Samples", "s"),
    ("/groups", "Groups", "g"),
    ("/sources", "Sources", "o"),
    ("/tools", "Tools", "t"),
    ("/credentials", "Credentials", "c"),
    ("/unknown", "Unknown", "u"),
    ("/health", "Health", "e"),
    ("/report", "Report", "r"),
];

/// A page: its title and what is on it.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    /// What it is, for the window and the heading.
    pub(crate) title: String,
    /// What is on it.
    pub(crate) body: Markup,
    /// Whether the filter has a meaning on it.
    pub(crate) filtered: bool,
    /// The range of time that it shows where none is asked for; empty where it shows several.
    pub(crate) range: &'static str,
}

impl Page {
    /// A page that the filter changes.
    pub(crate) fn new(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body, filtered: true, range: "all" }
    }

    /// The same, showing several ranges of time where none is asked for.
    pub(crate) fn of_ranges(self) -> Self {
        Self { range: "", ..self }
    }

    /// A page about one thing.
    pub(crate) fn of_one(title: impl Into<String>, body: Markup) -> Self {
        Self { title: title.into(), body, filtered: false, range: "" }
    }

    /// The whole document.
    pub(crate) fn html(&self, ask: &Ask) -> String {
        let version = env!("CARGO_PKG_VERSION");
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) " · Roridula" }
                    link rel="icon" href=(asset::address(asset::ICON_AT)) type="image/svg+xml";
                    link rel="stylesheet" href=(asset::address(asset::STYLE_AT));
                    script src=(asset::address(asset::SCRIPT_AT)) defer {}
                }
                body {
                    a.skip href="#main" { "Skip to the content" }
                    (navigation(ask))
                    main #main tabindex="-1" {
                        h1 { (text::shown(&self.title)) }
                        @for note in &ask.notes { p.notice { (text::shown(note)) } }
                        @if self.filtered { (filter(ask, self.range)) }
                        (self.body)
                    }
                    footer {
                        p {
                            "Roridula " (version) " · times are UTC"
                            span.zone {}
                            span.screen {
                                " · " a href="/api/v1/openapi.json" { "API" }
                                @if ask.logged_in { " · " a href="/logout" { "Log out" } }
                                " " button #keys-open type="button" hidden { "Keys" }
                            }
                        }
                    }
                    (keys())
                }
            }
        }
        .into_string()
    }
}

fn navigation(ask: &Ask) -> Markup {
    let here = |path: &str| ask.path == path || (path != "/" && ask.path.starts_with(&format!("{path}/")));
    html! {
        header.top {
            a.brand href="/" { "Roridula" }
            nav aria-label="Views" {
                ul {
                    @for (path, name, key) in VIEWS {
                        li {
                            a href=(ask.to(path)) data-key=(key) aria-keyshortcuts=(key) aria-current=[here(path).then_some("page")] { (name) }
                        }
                    }
                }
            }
            form.search action="/search" method="get" role="search" {
                label.hidden for="q" { "Search" }
                input #q type="search" name="q" aria-keyshortcuts="/" maxlength="200" placeholder="hash, IP, domain, incident, T1595" value=[ask.value("q").map(text::shown)];
                button type="submit" { "Search" }
            }
        }
    }
}

/// Keys that are no view's.
const KEYS: &[(&str, &str)] = &[
    ("/", "Search"),
    ("j", "The next row of a list"),
    ("k", "The row before"),
    ("Enter", "Opens the row"),
    ("?", "This list"),
];

/// What the script's keys do; only the script opens it.
fn keys() -> Markup {
    html! {
        dialog #keys aria-labelledby="keys-title" {
            h2 #keys-title { "Keys" }
            dl {
                @for (key, what) in KEYS { dt { kbd { (key) } } dd { (what) } }
                @for (_, name, key) in VIEWS { dt { kbd { (key) } } dd { (name) } }
            }
            p { label { input #letters type="checkbox" checked; " Single keys do something" } }
            form method="dialog" { button { "Close" } }
        }
    }
}

fn filter(ask: &Ask, default: &str) -> Markup {
    let is_told = ask.filter.since.is_some() || ask.filter.until.is_some() || !ask.filter.range.is_empty();
    let range = if is_told { ask.filter.range } else { default };
    let field = |name: &'static str, label: &str, hint: &str| {
        html! {
            label { (label) " " input type="text" name=(name) size="12" placeholder=(hint) value=[ask.value(name).map(text::shown)]; }
        }
    };
    let heeds = |name: &str| ask.heeds.contains(&name);
    html! {
        nav.ranges aria-label="Time" {
            @for shown in RANGES {
                a href=(ask.with("range", shown.name)) aria-current=[(range == shown.name).then_some("true")] {
                    (shown.name)
                }
            }
        }
        details.filter open[ask.is_filtered()] {
            summary { "Filter" }
            form method="get" action=(ask.path) {
                @if let Some(range) = ask.value("range") { input type="hidden" name="range" value=(range); }
                (field("since", "From", "2026-11-23")) (field("until", "To", "2026-11-24"))
                @if heeds("source") { (field("source", "Source", "192.0.2.7")) }
                @if heeds("family") { (field("family", "Family", "wannacry")) }
                @if heeds("stage") { (stages(ask)) }
                @if heeds("tool") {
                    label {
                        "Tool " input type="text" name="tool" size="12" list="known-tools" placeholder="wannacry" value=[ask.value("tool").map(text::shown)];
                    }
                    datalist #known-tools { @for (id, label) in known_tools() { option value=(id) { (label) } } }
                }
                button type="submit" { "Apply" } " "
                a href=(ask.path) { "Clear" }
            }
        }
    }
}

/// How far something must have come at least: the steps of the funnel, and a word of another kind where one was asked for.
fn stages(ask: &Ask) -> Markup {
    let asked = ask.filter.stage;
    html! {
        label {
            "Came to "
            select name="stage" {
                option value="" { "anything" }
                @for step in Step::ALL {
                    option value=(step.as_str()) selected[asked == Some(Reached::Step(step))] { (stage::told(step)) }
                }
                @if let Some(other @ Reached::Stage(_)) = asked { option value=(other.as_str()) selected { (other.told()) } }
            }
        }
    }
}

/// Characters of what went wrong that a page says.
const PROBLEM_CHARS: usize = 600;

/// A page that says what went wrong.
pub(crate) fn problem(title: &str, what: &str) -> Page {
    let body = html! {
        p.problem role="alert" { (text::shown_to(what, PROBLEM_CHARS)) }
        p { a href="/" { "Home" } " shows whether the honeypot is well." }
    };
    Page::of_one(title, body)
}

//! The first step of taking a sample away: what it is, and a button. The second step sends the archive (`download`).

use super::View;
use super::asked;
use super::sample::find;
use crate::console::archive::PASSWORD;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::text;
use maud::{Markup, html};
use roridula_evidence::Kept;
use schemars::JsonSchema;
use serde::Serialize;

/// `/samples/{sha256}/export`
pub(crate) struct Export;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// SHA-256, hexadecimal.
    sha256: String,
    /// Bytes.
    size: u64,
    /// Whether its bytes are here.
    is_here: bool,
    /// What it is, in one sentence.
    sentence: String,
    /// The archive's password.
    password: &'static str,
}

impl View for Export {
    type Model = Model;
    const PATH: &'static str = "/samples/{sha256}/export";
    const API: &'static str = "/samples/{sha256}/export";
    const ABOUT: &'static str =
        "What an export of a sample holds; the archive itself is sent to a form of the console.";
    const HEEDS: &'static [&'static str] = &[];

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let sample = find(shelf, ask)?;
        let kept = shelf.reader.kept(sample.sha256).map_err(Problem::failed)?;
        let entry = asked::entry(shelf, sample.sha256);
        Ok(Model {
            sha256: sample.sha256.to_string(),
            size: sample.size,
            is_here: matches!(kept, Kept::Whole { .. } | Kept::Difference { .. }),
            sentence: entry.map(|entry| entry.sentence.clone()).unwrap_or_default(),
            password: PASSWORD,
        })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        Page::of_one("Export a sample", body(model, ask))
    }
}

fn body(model: &Model, ask: &Ask) -> Markup {
    let address = format!("/samples/{}", model.sha256);
    html! {
        p.notice role="note" {
            "This is a file that an attacker sent to run it. Handle it on a machine that is made for that."
        }
        dl {
            dt { "Sample" } dd { a href=(address) { code { (model.sha256) } } }
            dt { "Bytes" } dd { (text::number(model.size)) }
            @if !model.sentence.is_empty() { dt { "It is" } dd { (text::shown_to(&model.sentence, 600)) } }
            dt { "You get" }
            dd { code { (model.sha256) ".zip" } ", encrypted with AES-256; its password is " code data-copy=(model.password) { (model.password) } }
            dt { "In it" } dd { "the bytes as caught (" code { ".bin" } ") and what is known of them (" code { ".json" } ")" }
        }
        @if model.is_here {
            form method="post" action={ (address) "/export" } {
                input type="hidden" name="csrf" value=(ask.csrf);
                button.main type="submit" { "Download the encrypted archive" }
                " " a href=(address) { "Back" }
            }
        } @else {
            p.empty { "Its bytes are not kept any more. " a href=(address) { "Back" } }
        }
    }
}

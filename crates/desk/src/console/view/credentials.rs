//! What visitors said of themselves when they logged on: names, machines, and the hashes that they offered.

use super::View;
use super::asked;
use super::word::Word;
use crate::console::ask::{Ask, Problem};
use crate::console::page::Page;
use crate::console::shelf::Shelf;
use crate::console::table::{Cell, Table};
use crate::console::text;
use crate::index::LogonRow;
use maud::html;
use schemars::JsonSchema;
use serde::Serialize;

/// Characters of a hash as offered that are shown.
const OFFERED_MAX: usize = 48;
/// Bytes of it that a click copies; a longer one is in the exports.
const COPY_MAX: usize = 2048;

/// `/credentials`
pub(crate) struct Credentials;

/// What it shows.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Model {
    /// One page of them, in the hours that are asked for, the most frequent first.
    credentials: Vec<Row>,
    /// Where the next page begins; null after the last.
    next: Option<String>,
}

/// All logons that said the same. The texts are a visitor's.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Row {
    #[serde(flatten)]
    logon: LogonRow,
    /// Where the latest connection's evidence is shown; empty while it is open.
    evidence: String,
}

impl View for Credentials {
    type Model = Model;
    const PATH: &'static str = "/credentials";
    const API: &'static str = "/credentials";
    const ABOUT: &'static str = "What visitors said of themselves in logons, counted.";
    const QUERY: &'static [Word] =
        &[Word::one("accounts", "yes: only logons with an account, no anonymous ones.", &["yes", "no"])];
    const GRAIN: &'static str = asked::BY_HOURS;

    fn load(shelf: &mut Shelf, ask: &Ask) -> Result<Model, Problem> {
        let accounts = match ask.value("accounts") {
            None | Some("no") => false,
            Some("yes") => true,
            Some(_) => return Err(Problem::Bad("`accounts` is yes or no".to_owned())),
        };
        let filter = asked::filter(shelf, ask)?;
        let found = shelf.index.logons(&filter, accounts, ask.cursor(), ask.limit()?);
        let page = found.map_err(asked::problem)?;
        Ok(Model { credentials: rows(shelf, page.rows)?, next: page.next })
    }

    fn page(model: &Model, ask: &Ask) -> Page {
        let body = html! {
            (asked::hours(ask))
            p.quiet {
                "A hash is what the latest of these visitors answered to our challenge: nothing of it is a password of ours. "
                @if ask.value("accounts") == Some("yes") {
                    a href=(ask.with("accounts", "")) { "Anonymous logons too" }
                } @else {
                    a href=(ask.with("accounts", "yes")) { "Only with an account" }
                }
            }
            @for table in Self::tables(model, ask) { (table.html(ask)) }
        };
        Page::new("Credentials", body)
    }

    fn tables(model: &Model, _ask: &Ask) -> Vec<Table> {
        let empty = html! {
            p { "Nobody has logged on yet, or nobody who fits the filter." }
            p {
                "Worms log on without an account, and are listed too: " code { "roridula doctor" }
                " says whether anybody can reach this machine."
            }
        };
        vec![Table {
            empty: Some(empty),
            next: model.next.clone(),
            ..table("Names, domains, machines and hashes as offered", &model.credentials)
        }]
    }
}

/// Logons of the index, with where their evidence is.
pub(super) fn rows(shelf: &mut Shelf, logons: Vec<LogonRow>) -> Result<Vec<Row>, Problem> {
    let row = |logon: LogonRow| {
        let evidence = asked::evidence(shelf, logon.connection)?;
        Ok(Row { logon, evidence })
    };
    logons.into_iter().map(row).collect()
}

/// A hash as it was offered: its beginning to see, the whole of it to copy.
fn offered(response: &str) -> Cell {
    if response.is_empty() {
        return Cell::None;
    }
    let whole = text::copied(response).filter(|whole| whole.len() <= COPY_MAX);
    let drawing = html! { code.hash.offered data-copy=[whole] { (text::shown_to(response, OFFERED_MAX)) } };
    Cell::Drawing(drawing, response.to_owned())
}

/// As a table.
pub(super) fn table(caption: &str, rows: &[Row]) -> Table {
    let cells = |Row { logon, evidence }: &Row| {
        vec![
            Cell::Cut(logon.account.clone()),
            Cell::Cut(logon.domain.clone()),
            Cell::Cut(logon.workstation.clone()),
            offered(&logon.response),
            Cell::Number(logon.count),
            Cell::Number(logon.sources),
            Cell::Time(logon.first),
            Cell::Last(logon.last),
            Cell::text(&logon.method),
            Cell::Cut(logon.native_os.clone()),
            Cell::Cut(logon.native_lan_manager.clone()),
            asked::link(&logon.connection.to_string(), evidence),
        ]
    };
    Table {
        name: "credentials",
        caption: caption.to_owned(),
        columns: vec![
            "Account",
            "Domain",
            "Machine",
            "Hash as offered",
            "Logons",
            "Hosts",
            "First",
            "Last",
            "Method",
            "System",
            "LAN manager",
            "Latest connection",
        ],
        rows: rows.iter().map(cells).collect(),
        empty: None,
        next: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::asked::tests::ask;
    use super::*;
    use roridula_proto::connection::ConnectionId;
    use roridula_proto::time::WallClock;

    fn row(account: &str) -> Row {
        let logon = LogonRow {
            method: "legacy".to_owned(),
            account: account.to_owned(),
            domain: "-2+3".to_owned(),
            workstation: "\u{202e}txt.exe".to_owned(),
            native_os: "\u{1b}[31m".to_owned(),
            native_lan_manager: String::new(),
            response: "a::b:11:22:33".to_owned(),
            count: 3,
            sources: 2,
            first: WallClock(1_763_632_800_000_000),
            last: WallClock(1_763_636_400_000_000),
            connection: ConnectionId(1_763_632_800_000_000 << 11),
        };
        Row { logon, evidence: String::new() }
    }

    #[test]
    fn hostile_names_are_cut_escaped_and_no_formula() {
        let long = format!("<script>{}", "A".repeat(65_536));
        let model = Model { credentials: vec![row(&long), row("=1+1")], next: Some("7-1".to_owned()) };
        let ask = ask("/credentials", &[]);
        let page = Credentials::page(&model, &ask).html(&ask);
        assert!(page.len() < 20_000 && page.contains("&lt;script&gt;AAA") && !page.contains("<script>"));
        assert!(
            page.contains("\\u{202e}txt.exe") && page.contains("\\u{1b}[31m") && page.contains("cursor=7-1")
        );
        let csv = Credentials::tables(&model, &ask).remove(0).csv();
        assert!(
            csv.contains("\"'=1+1\",\"'-2+3\",\"\\u{202e}txt.exe\"") && csv.len() > 65_536,
            "all of it is there"
        );
    }

    #[test]
    fn an_empty_list_says_what_to_do() {
        let model = Model { credentials: Vec::new(), next: None };
        let ask = ask("/credentials", &[]);
        let page = Credentials::page(&model, &ask).html(&ask);
        assert!(page.contains("roridula doctor"), "{page}");
    }
}

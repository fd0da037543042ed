//! Keeps what views read up to date, in a thread of its own.

use super::ask::Ask;
use super::live::Feed;
use super::shelf::Shelves;
use super::view::{funnel_part_of_all, headline_part, incident_row, novel_part, pulse_part};
use crate::incident::Incidents;
use crate::index::Index;
use crate::pulse::{News, Pulse};
use crate::sample::{Catalog, Edition, Reports};
use roridula_evidence::{Reader, wall_clock};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often it looks for news.
const EVERY: Duration = Duration::from_secs(1);
/// How often those who read along are told how it is.
const PULSE_EVERY: Duration = Duration::from_secs(5);
/// How often they are told how far incidents came where nothing happens: the last hour is another by then.
const FUNNEL_EVERY: Duration = Duration::from_secs(60);
/// The catalog is made anew at most at this part of the time that making it takes: a tenth.
const CATALOG_REST: u32 = 9;

/// Keeps up what `shelves` give out and tells `live` what is new, until the shelves are gone.
pub(crate) fn spawn(dir: &Path, shelves: Weak<Shelves>, live: Arc<Feed>) {
    let dir = dir.to_owned();
    thread::spawn(move || {
        let now = Instant::now();
        let mut seen = Seen {
            told: None,
            last: None,
            edition: None,
            funnel: None,
            catalog: Arc::default(),
            next_catalog: now,
            next_pulse: now,
            next_funnel: now,
        };
        let mut views = None;
        while let Some(shelves) = shelves.upgrade() {
            // What cannot be read now is opened anew and tried again; a view that reads it says why.
            if let Err(error) = step(&dir, &mut views, &mut seen, &shelves, &live) {
                shelves.put_fault(error.to_string());
                views = None;
            }
            drop(shelves);
            thread::sleep(EVERY);
        }
    });
}

/// What is kept up, open.
struct Views {
    reader: Reader,
    incidents: Incidents,
    index: Index,
    reports: Reports,
}

/// What the catalog was made of, and when it may be made again.
struct Seen {
    /// The last event that the feed knows of.
    told: Option<u64>,
    last: Option<u64>,
    /// Which reports it was made of: they are made again, or deleted, without an event.
    edition: Option<Edition>,
    /// The last event that the funnel was told of.
    funnel: Option<u64>,
    catalog: Arc<Catalog>,
    next_catalog: Instant,
    next_pulse: Instant,
    next_funnel: Instant,
}

fn step(
    dir: &Path,
    views: &mut Option<Views>,
    seen: &mut Seen,
    shelves: &Shelves,
    live: &Feed,
) -> Result<(), Box<dyn std::error::Error>> {
    let Views { reader, incidents, index, reports } = match views {
        Some(views) => views,
        None => views.insert(Views {
            reader: Reader::open(dir)?,
            incidents: Incidents::open_or_temporary(dir)?,
            index: Index::open_or_temporary(dir)?,
            reports: Reports::open(dir)?,
        }),
    };
    // Before they catch up: what is told as seen must not hold an event that came behind their backs.
    let last = reader.last_seq()?;
    // Each second even where nothing happens: somebody may have deleted them, which is allowed.
    incidents.catch_up(&mut |_| {})?;
    index.catch_up(&mut |_| {})?;
    let edition = Some(reports.edition()?);
    if (seen.last != Some(last) || seen.edition != edition) && Instant::now() >= seen.next_catalog {
        let begun = Instant::now();
        seen.catalog = Arc::new(Catalog::load(index, reports)?);
        shelves.put_catalog(&seen.catalog, bytes_below(&dir.join("samples"), 2));
        // What the samples of the latest incidents are is news too.
        (seen.last, seen.edition, seen.told) = (Some(last), edition, None);
        seen.next_catalog = Instant::now() + begun.elapsed() * CATALOG_REST;
    }
    if seen.told != Some(last) {
        let (books, catalog) = (shelves.geo().books(), Arc::clone(&seen.catalog));
        live.look(incidents, |incident| incident_row(incident, &books, &catalog))?;
        seen.told = Some(last);
    }
    if live.is_read() && Instant::now() >= seen.next_pulse {
        let ask = Ask { now: wall_clock(), path: "/".to_owned(), ..Ask::default() };
        let catalog = &seen.catalog;
        live.part(pulse_part(&Pulse::take(dir, reader, index)?, &ask).into_string());
        live.part(headline_part(&News::of(Some(catalog), index, ask.now)?).into_string());
        live.part(novel_part(catalog, ask.now).into_string());
        if seen.funnel != Some(last) || Instant::now() >= seen.next_funnel {
            live.funnel(funnel_part_of_all(incidents, index, &ask)?.into_string());
            (seen.funnel, seen.next_funnel) = (Some(last), Instant::now() + FUNNEL_EVERY);
        }
        seen.next_pulse = Instant::now() + PULSE_EVERY;
    }
    Ok(())
}

/// Bytes of the files that lie so many folders below.
fn bytes_below(folder: &Path, depth: u32) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match depth {
        0 => entry.metadata().map_or(0, |meta| meta.len()),
        _ => bytes_below(&entry.path(), depth - 1),
    });
    bytes.sum()
}

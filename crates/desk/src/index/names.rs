//! Numbers for what has long names: given in the order of the journal, kept in memory while they are in use.

use super::fold::address_bytes;
use crate::derived::{Derived, DerivedError};
use roridula_evidence::SampleId;
use roridula_proto::event::Event;
use rusqlite::params;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};

/// Names of one kind that are kept in memory; when there are more, all are forgotten and looked up again.
const KEPT_MAX: usize = 200_000;
/// Fingerprints that have a row; those beyond are only what their connections have.
const PRINTS_MAX: i64 = 100_000;
/// Shapes that are told apart; what comes beyond is counted as one.
const SHAPES_MAX: i64 = 10_000;
/// Logons that are told apart; what comes beyond is counted as one.
const LOGONS_MAX: i64 = 100_000;
/// What counts for the shapes beyond.
const OTHER_SHAPES: &str = "(other shapes)";
/// What counts for the logons beyond, as their method.
const OTHER_LOGONS: &str = "(other logons)";

/// Names of one kind.
#[derive(Debug)]
struct Kept<K> {
    known: HashMap<K, i64>,
    /// How many have a row.
    count: i64,
}

impl<K: Eq + Hash> Kept<K> {
    fn load(file: &Derived, table: &'static str) -> Result<Self, DerivedError> {
        let rows = file.rows(&format!("SELECT ifnull(max(n), 0) FROM {table}"), [], |row| row.get(0))?;
        Ok(Self { known: HashMap::new(), count: rows.first().copied().unwrap_or(0) })
    }

    /// The number of `key`: as it is kept, or as `look` finds it.
    fn get(
        &mut self,
        key: &K,
        look: impl FnOnce() -> Result<Option<i64>, DerivedError>,
    ) -> Result<Option<i64>, DerivedError>
    where
        K: Clone,
    {
        if let Some(n) = self.known.get(key) {
            return Ok(Some(*n));
        }
        let found = look()?;
        if let Some(n) = found {
            self.keep(key.clone(), n);
        }
        Ok(found)
    }

    /// The next number, for `key`, whose row is written by the caller.
    fn give(&mut self, key: K) -> i64 {
        self.count += 1;
        let n = self.count;
        self.keep(key, n);
        n
    }

    fn keep(&mut self, key: K, n: i64) {
        if self.known.len() >= KEPT_MAX {
            self.known.clear();
        }
        self.known.insert(key, n);
    }
}

/// What a logon is told apart by.
type LogonKey = [String; 6];

/// All names.
#[derive(Debug)]
pub(super) struct Names {
    sources: Kept<IpAddr>,
    endpoints: Kept<SocketAddr>,
    toolsets: Kept<Vec<String>>,
    prints: Kept<String>,
    shapes: Kept<(String, bool)>,
    samples: Kept<SampleId>,
    logons: Kept<LogonKey>,
}

impl Names {
    /// Of what is in the file.
    pub(super) fn load(file: &Derived) -> Result<Self, DerivedError> {
        Ok(Self {
            sources: Kept::load(file, "source")?,
            endpoints: Kept::load(file, "endpoint")?,
            toolsets: Kept::load(file, "toolset")?,
            prints: Kept::load(file, "fingerprint")?,
            shapes: Kept::load(file, "shape")?,
            samples: Kept::load(file, "sample")?,
            logons: Kept::load(file, "logon")?,
        })
    }

    pub(super) fn source(&mut self, file: &Derived, ip: IpAddr) -> Result<i64, DerivedError> {
        let bytes = address_bytes(ip);
        if let Some(n) =
            self.sources.get(&ip, || one(file, "SELECT n FROM source WHERE ip = ?", params![bytes]))?
        {
            return Ok(n);
        }
        let n = self.sources.give(ip);
        let sql = "INSERT INTO source VALUES (?, ?, ?, 9223372036854775807, 0, 0, 0, 0, 0, 0)";
        file.run(sql, params![n, bytes, ip.to_string()])?;
        Ok(n)
    }

    pub(super) fn endpoint(&mut self, file: &Derived, address: SocketAddr) -> Result<i64, DerivedError> {
        let text = || address.to_string();
        let look = || one(file, "SELECT n FROM endpoint WHERE address = ?", params![text()]);
        if let Some(n) = self.endpoints.get(&address, look)? {
            return Ok(n);
        }
        let n = self.endpoints.give(address);
        file.run("INSERT INTO endpoint VALUES (?, ?)", params![n, text()])?;
        Ok(n)
    }

    /// `None` for no tool.
    pub(super) fn toolset(&mut self, file: &Derived, tools: &[String]) -> Result<Option<i64>, DerivedError> {
        if tools.is_empty() {
            return Ok(None);
        }
        let text = || format!(" {} ", tools.join(" "));
        let look = || one(file, "SELECT n FROM toolset WHERE names = ?", params![text()]);
        if let Some(n) = self.toolsets.get(&tools.to_vec(), look)? {
            return Ok(Some(n));
        }
        let n = self.toolsets.give(tools.to_vec());
        file.run("INSERT INTO toolset VALUES (?, ?)", params![n, text()])?;
        Ok(Some(n))
    }

    /// `None` where there are too many.
    pub(super) fn print(&mut self, file: &Derived, name: &str) -> Result<Option<i64>, DerivedError> {
        let look = || one(file, "SELECT n FROM fingerprint WHERE name = ?", params![name]);
        let known = self.prints.get(&name.to_owned(), look)?;
        if known.is_some() || self.prints.count >= PRINTS_MAX {
            return Ok(known);
        }
        let n = self.prints.give(name.to_owned());
        let sql = "INSERT INTO fingerprint VALUES (?, ?, '', '[]', '[]', '[]', '', 0, 0, 9223372036854775807, 0, 0)";
        file.run(sql, params![n, name])?;
        Ok(Some(n))
    }

    /// `named`: whether a tool was named all the same.
    pub(super) fn shape(&mut self, file: &Derived, shape: &str, named: bool) -> Result<i64, DerivedError> {
        let sql = "SELECT n FROM shape WHERE shape = ? AND known = ?";
        let mut key = (shape.to_owned(), named);
        let mut known = self.shapes.get(&key, || one(file, sql, params![shape, named]))?;
        if known.is_none() && self.shapes.count >= SHAPES_MAX {
            key = (OTHER_SHAPES.to_owned(), named);
            known = self.shapes.get(&key, || one(file, sql, params![OTHER_SHAPES, named]))?;
        }
        if let Some(n) = known {
            return Ok(n);
        }
        let n = self.shapes.give(key.clone());
        let sql = "INSERT INTO shape VALUES (?, ?, ?, '', '', 0, 0, 9223372036854775807, 0, 0)";
        file.run(sql, params![n, key.0, named])?;
        Ok(n)
    }

    /// Its number, and whether it has a row with a capture in it.
    pub(super) fn sample(&mut self, file: &Derived, id: SampleId) -> Result<(i64, bool), DerivedError> {
        if let Some(n) = self.known_sample(file, id)? {
            return Ok((n, true));
        }
        let n = self.samples.give(id);
        let sql = "INSERT INTO sample VALUES
            (?, ?, '', '', 0, '', '', NULL, '[]', 0, 0, 9223372036854775807, 0, 9223372036854775807, NULL, '', '', '')";
        file.run(sql, params![n, id.0])?;
        Ok((n, false))
    }

    pub(super) fn known_sample(&mut self, file: &Derived, id: SampleId) -> Result<Option<i64>, DerivedError> {
        self.samples.get(&id, || one(file, "SELECT n FROM sample WHERE sha256 = ?", params![id.0]))
    }

    /// Of an `smb1.session`.
    pub(super) fn logon(&mut self, file: &Derived, event: &Event) -> Result<i64, DerivedError> {
        let mut key = logon_key(event);
        let mut known = self.logons.get(&key, || find_logon(file, &key))?;
        if known.is_none() && self.logons.count >= LOGONS_MAX {
            key = LogonKey::default();
            key[0] = OTHER_LOGONS.to_owned();
            known = self.logons.get(&key, || find_logon(file, &key))?;
        }
        if let Some(n) = known {
            return Ok(n);
        }
        let n = self.logons.give(key.clone());
        let sql = "INSERT INTO logon VALUES (?, ?, ?, ?, ?, ?, ?, '', 0, 0, 9223372036854775807, 0, 0)";
        file.run(sql, params![n, key[0], key[1], key[2], key[3], key[4], key[5]])?;
        Ok(n)
    }
}

fn logon_key(event: &Event) -> LogonKey {
    let Event::Smb1Session { method, account, domain, workstation, native_os, native_lan_manager, .. } =
        event
    else {
        return LogonKey::default();
    };
    let text = |text: &roridula_proto::event::Text| text.0.clone();
    [
        method.clone(),
        text(account),
        text(domain),
        text(workstation),
        text(native_os),
        text(native_lan_manager),
    ]
}

fn find_logon(file: &Derived, key: &LogonKey) -> Result<Option<i64>, DerivedError> {
    let sql = "SELECT n FROM logon WHERE method = ? AND account = ? AND domain = ? AND workstation = ?
        AND native_os = ? AND native_lan_manager = ?";
    one(file, sql, params![key[0], key[1], key[2], key[3], key[4], key[5]])
}

fn one(file: &Derived, sql: &str, params: impl rusqlite::Params) -> Result<Option<i64>, DerivedError> {
    Ok(file.rows(sql, params, |row| row.get(0))?.pop())
}

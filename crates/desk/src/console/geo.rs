//! Where an address is: country and autonomous system, out of databases in the [MaxMind format] that the
//! owner of the honeypot has put there. Nothing is asked of anybody. Without a database nothing is known, and
//! nothing fails.
//!
//! [MaxMind format]: https://maxmind.github.io/MaxMind-DB/

use maxminddb::Reader;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Databases that are opened; more in the directory are told as left out.
const BOOKS_MAX: usize = 8;
/// Bytes of one database: it is held in memory.
const BOOK_BYTES_MAX: u64 = 512 << 20;
/// Characters of a name out of a database.
const NAME_MAX: usize = 80;

/// What is known of an address; empty where nothing is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Place {
    /// Its country, ISO 3166-1: two letters.
    pub(crate) country: String,
    /// The number of its autonomous system; 0 where none is known.
    pub(crate) asn: u32,
    /// Who runs that.
    pub(crate) organisation: String,
}

impl Place {
    /// `AS64496 Example (NL)`, as far as it is known.
    pub(crate) fn told(&self) -> String {
        let system = if self.asn > 0 { format!("AS{}", self.asn) } else { String::new() };
        let country = if self.country.is_empty() { String::new() } else { format!("({})", self.country) };
        let parts = [system.as_str(), &self.organisation, &country];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

/// How one database stands, for Health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct BookState {
    /// Its file.
    pub(crate) file: String,
    /// What kind it says that it is, or empty.
    pub(crate) kind: String,
    /// When it was made, in seconds since 1970; 0 where it does not say.
    pub(crate) made: u64,
    /// Why it cannot be used; null where it can.
    pub(crate) error: Option<String>,
}

/// The databases of a path: a file, or all `.mmdb` of a directory.
#[derive(Debug, Default)]
pub(crate) struct Geo {
    path: Option<PathBuf>,
    books: Mutex<Arc<Books>>,
}

/// Databases as they were read.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// What they were read of.
    stamps: Vec<Stamp>,
    readers: Vec<Reader<Vec<u8>>>,
    states: Vec<BookState>,
}

/// What tells that a file was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    changed: Option<SystemTime>,
    bytes: u64,
}

/// What we want of a record, in any of the databases that are common.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow)]
    country: Country<'a>,
    #[serde(borrow)]
    registered_country: Country<'a>,
    autonomous_system_number: u32,
    autonomous_system_organization: &'a str,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Country<'a> {
    iso_code: &'a str,
}

impl Geo {
    /// Of `path`. Nothing is opened before something is asked.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, books: Mutex::default() }
    }

    /// Whether the owner has named a database.
    pub(crate) fn is_configured(&self) -> bool {
        self.path.is_some()
    }

    /// The databases as their files are now: read when they are asked for first, and again when a file has
    /// changed.
    pub(crate) fn books(&self) -> Arc<Books> {
        let Some(path) = &self.path else { return Arc::default() };
        let stamps = stamps(path);
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if books.stamps != stamps || stamps.is_empty() {
            *books = Arc::new(Books::read(path, stamps));
        }
        Arc::clone(&books)
    }
}

impl Books {
    fn read(path: &Path, stamps: Vec<Stamp>) -> Self {
        let mut books = Self::default();
        for stamp in stamps.iter().take(BOOKS_MAX) {
            let state = match open(stamp) {
                Ok(reader) => {
                    let kind = cut(&reader.metadata().database_type);
                    let made = reader.metadata().build_epoch;
                    books.readers.push(reader);
                    BookState { file: named(&stamp.path), kind, made, error: None }
                }
                Err(error) => {
                    BookState { file: named(&stamp.path), kind: String::new(), made: 0, error: Some(error) }
                }
            };
            books.states.push(state);
        }
        let left = stamps.len().saturating_sub(BOOKS_MAX);
        let missing = match (stamps.is_empty(), left) {
            (true, _) => Some("there is no .mmdb file".to_owned()),
            (false, 0) => None,
            (false, left) => Some(format!("{left} more databases in it are left out")),
        };
        let told = missing.map(|error| BookState {
            file: named(path),
            kind: String::new(),
            made: 0,
            error: Some(error),
        });
        books.states.extend(told);
        books.stamps = stamps;
        books
    }

    /// What the databases say of an address.
    pub(crate) fn place(&self, address: IpAddr) -> Place {
        let mut place = Place::default();
        for reader in &self.readers {
            // A database that is broken in one place, or of another kind, says nothing there.
            let Ok(found) = reader.lookup(address.to_canonical()) else { continue };
            let Ok(Some(record)) = found.decode::<Record<'_>>() else { continue };
            let codes = [record.country.iso_code, record.registered_country.iso_code];
            if place.country.is_empty()
                && let Some(code) = codes.into_iter().find(|code| !code.is_empty())
            {
                place.country = cut(code);
            }
            if place.asn == 0 {
                place.asn = record.autonomous_system_number;
                place.organisation = cut(record.autonomous_system_organization);
            }
        }
        place
    }

    /// Whether any can be used.
    pub(crate) fn is_usable(&self) -> bool {
        !self.readers.is_empty()
    }

    /// How they stand.
    pub(crate) fn states(&self) -> &[BookState] {
        &self.states
    }
}

fn stamps(path: &Path) -> Vec<Stamp> {
    let mut paths = match fs::read_dir(path) {
        Ok(entries) => {
            let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
            paths.filter(|path| path.extension().is_some_and(|end| end == "mmdb")).collect()
        }
        Err(_) => vec![path.to_owned()],
    };
    paths.sort();
    let stamp = |path: PathBuf| {
        let meta = fs::metadata(&path).ok();
        let changed = meta.as_ref().and_then(|meta| meta.modified().ok());
        Stamp { path, changed, bytes: meta.map_or(0, |meta| meta.len()) }
    };
    paths.into_iter().map(stamp).collect()
}

fn open(stamp: &Stamp) -> Result<Reader<Vec<u8>>, String> {
    if stamp.bytes > BOOK_BYTES_MAX {
        return Err(format!("it is larger than {} MiB", BOOK_BYTES_MAX >> 20));
    }
    let bytes = fs::read(&stamp.path).map_err(|error| error.to_string())?;
    Reader::from_source(bytes).map_err(|error| format!("it is no database in the MaxMind format ({error})"))
}

fn named(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn cut(text: &str) -> String {
    text.chars().take(NAME_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value in the format's data section.
    enum Data<'a> {
        Text(&'a str),
        /// With the number of its type: 5, 6 and 9 have 16, 32 and 64 bits.
        Number(u8, u64),
        Map(Vec<(&'a str, Data<'a>)>),
        List(Vec<Data<'a>>),
    }

    fn put(data: &Data<'_>, out: &mut Vec<u8>) {
        let head = |kind: u8, size: usize, out: &mut Vec<u8>| {
            // A size from 29 on stands in a byte of its own.
            let (low, more) = if size < 29 { (size as u8, None) } else { (29, Some(size as u8 - 29)) };
            match kind {
                0..8 => out.push(kind << 5 | low),
                _ => out.extend([low, kind - 7]),
            }
            out.extend(more);
        };
        match data {
            Data::Text(text) => {
                head(2, text.len(), out);
                out.extend(text.bytes());
            }
            Data::Number(kind, n) => {
                let bytes: Vec<u8> = n.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
                head(*kind, bytes.len(), out);
                out.extend(bytes);
            }
            Data::Map(pairs) => {
                head(7, pairs.len(), out);
                for (key, value) in pairs {
                    put(&Data::Text(key), out);
                    put(value, out);
                }
            }
            Data::List(values) => {
                head(11, values.len(), out);
                values.iter().for_each(|value| put(value, out));
            }
        }
    }

    /// A database that says `record` of the addresses 128.0.0.0/1 and nothing of the others.
    fn database(record: &Data<'_>) -> Vec<u8> {
        // One node: nothing on the left; on the right the data's beginning, behind the node and 16 bytes of
        // nothing.
        let mut out = vec![0, 0, 1, 0, 0, 1 + 16];
        out.extend([0; 16]);
        put(record, &mut out);
        out.extend(b"\xab\xcd\xefMaxMind.com");
        let metadata = Data::Map(vec![
            ("node_count", Data::Number(6, 1)),
            ("record_size", Data::Number(5, 24)),
            ("ip_version", Data::Number(5, 4)),
            ("database_type", Data::Text("Of the test")),
            ("languages", Data::List(Vec::new())),
            ("binary_format_major_version", Data::Number(5, 2)),
            ("binary_format_minor_version", Data::Number(5, 0)),
            ("build_epoch", Data::Number(9, 1_700_000_000)),
            ("description", Data::Map(Vec::new())),
        ]);
        put(&metadata, &mut out);
        out
    }

    fn country(code: &str) -> Vec<u8> {
        database(&Data::Map(vec![("country", Data::Map(vec![("iso_code", Data::Text(code))]))]))
    }

    fn place(geo: &Geo, address: &str) -> Place {
        geo.books().place(address.parse().unwrap())
    }

    #[test]
    fn databases_of_a_directory_are_put_together_and_read_again_when_they_change() {
        let dir = tempfile::tempdir().unwrap();
        let geo = Geo::new(Some(dir.path().to_owned()));
        assert_eq!(place(&geo, "192.0.2.7"), Place::default());
        assert!(geo.books().states()[0].error.is_some(), "an empty directory is told");

        fs::write(dir.path().join("country.mmdb"), country("NL")).unwrap();
        let system = Data::Map(vec![
            ("autonomous_system_number", Data::Number(6, 64496)),
            ("autonomous_system_organization", Data::Text("Example")),
        ]);
        fs::write(dir.path().join("asn.mmdb"), database(&system)).unwrap();
        assert_eq!(place(&geo, "192.0.2.7").told(), "AS64496 Example (NL)");
        assert_eq!(place(&geo, "::ffff:192.0.2.7").told(), "AS64496 Example (NL)");
        assert_eq!(place(&geo, "10.0.0.1"), Place::default());
        assert_eq!(place(&geo, "2001:db8::1"), Place::default(), "it knows no IPv6");

        let longer = database(&Data::Map(vec![
            ("registered_country", Data::Map(vec![("iso_code", Data::Text("BE"))])),
            ("more", Data::Number(6, 1)),
        ]));
        fs::write(dir.path().join("country.mmdb"), longer).unwrap();
        assert_eq!(place(&geo, "192.0.2.7").country, "BE");
    }

    #[test]
    fn a_bad_file_is_told_and_the_others_work() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.mmdb"), b"nothing of the kind").unwrap();
        fs::write(dir.path().join("b.mmdb"), country("SE")).unwrap();
        let geo = Geo::new(Some(dir.path().to_owned()));
        let books = geo.books();
        let errors: Vec<bool> = books.states().iter().map(|state| state.error.is_some()).collect();
        assert_eq!(errors, [true, false], "{books:?}");
        assert_eq!(place(&geo, "192.0.2.7").country, "SE");
        assert_eq!((books.states()[1].kind.as_str(), books.states()[1].made), ("Of the test", 1_700_000_000));
    }

    #[test]
    fn no_cut_or_twisted_database_is_more_than_an_error() {
        let whole = country("NL");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.mmdb");
        for at in 0..whole.len() {
            let mut twisted = whole.clone();
            twisted[at] ^= 0xff;
            for bytes in [&whole[..at], &twisted[..]] {
                fs::write(&path, bytes).unwrap();
                let books = Books::read(&path, stamps(&path));
                let _ = books.place("192.0.2.7".parse().unwrap());
                assert_eq!(books.states().len(), 1);
            }
        }
    }

    #[test]
    fn without_a_database_nothing_is_known_and_nothing_fails() {
        assert_eq!(place(&Geo::default(), "192.0.2.7"), Place::default());
        let gone = Geo::new(Some(PathBuf::from("/nowhere/at/all.mmdb")));
        assert_eq!(place(&gone, "192.0.2.7"), Place::default());
        assert!(gone.books().states()[0].error.is_some());
        assert!(!gone.books().is_usable());
    }
}

//! Known-good reference data: what was published about files, configurations and structures, with its source.
//!
//! The data are files (`reference/*.toml`), so that a reader may check them without reading code.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// A published file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Which family it is of.
    pub family: String,
    /// Which part of it: `worm EXE`.
    pub part: String,
    /// Its name on a victim.
    pub name: String,
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// MD5, in hexadecimal; empty where it was not found published.
    pub md5: String,
    /// Its size in bytes; 0 where it was not found published.
    pub size: u64,
    /// Where it was published.
    pub source: String,
}

/// A domain whose answer stops a worm.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillSwitch {
    /// The domain, without `www.`.
    pub domain: String,
    /// Which family asks for it.
    pub family: String,
    /// Which variant of it.
    pub variant: String,
    /// The day that it was registered, as `2017-05-12`.
    pub registered: String,
    /// By whom.
    pub registered_by: String,
    /// Where that was published.
    pub source: String,
}

/// A published value of a configuration: a mutex, a service's name, a wallet.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// As it stands in the file.
    pub value: String,
    /// Which family has it.
    pub family: String,
    /// Where it was published.
    pub source: String,
}

/// A resource that carries the next part.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Carrier {
    /// Which family does that.
    pub family: String,
    /// The part that has the resource.
    pub part: String,
    /// Type and name, as `W/101`.
    pub path: String,
    /// What is in it, in words.
    pub carries: String,
    /// Whether that stands behind its length, 32 bits, little-endian.
    #[serde(default)]
    pub behind_length: bool,
    /// Where that was published.
    pub source: String,
}

/// A launcher's fixed size.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launcher {
    /// Which family it is of.
    pub family: String,
    /// `x86` or `x64`.
    pub machine: String,
    /// Its size in bytes.
    pub size: u64,
    /// The function that its loader calls.
    pub export: String,
    /// Where it was published.
    pub source: String,
}

/// A loader's layout. Offsets in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StubLayout {
    /// As in [`StubFacts::name`](crate::facts::StubFacts::name).
    pub name: String,
    /// `x86` or `x64`.
    pub machine: String,
    /// Its own size, where its file starts.
    pub size: usize,
    /// Where the number of bytes that it copies stands.
    pub copied_at: usize,
    /// Where its file's size stands.
    pub file_size_at: usize,
    /// Where the ordinal of the export that it calls stands.
    pub ordinal_at: usize,
    /// Where that was published.
    pub source: String,
}

/// A published archive.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// Which family it is of.
    pub family: String,
    /// Its published password.
    pub password: String,
    /// Names that stand in it.
    pub members: Vec<String>,
    /// Where that was published.
    pub source: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Files {
    file: Vec<Published>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Configuration {
    kill_switch: Vec<KillSwitch>,
    mutex: Vec<Known>,
    service: Vec<Known>,
    wallet: Vec<Known>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Structure {
    resource: Vec<Carrier>,
    launcher: Vec<Launcher>,
    stub: Vec<StubLayout>,
    archive: Vec<Archive>,
}

const TEXTS: [&str; 3] = [
    include_str!("../reference/published.toml"),
    include_str!("../reference/configuration.toml"),
    include_str!("../reference/structure.toml"),
];

/// Names the reference data: changes when any of it does. 16 hexadecimal digits.
pub fn digest() -> &'static str {
    static DIGEST: LazyLock<String> = LazyLock::new(|| {
        let digest = Sha256::digest(TEXTS.concat());
        digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    });
    &DIGEST
}

// The texts are ours and a test reads them all: a text that could not be read would be an empty one.
static FILES: LazyLock<Files> =
    LazyLock::new(|| toml::from_str(include_str!("../reference/published.toml")).unwrap_or_default());
static CONFIGURATION: LazyLock<Configuration> =
    LazyLock::new(|| toml::from_str(include_str!("../reference/configuration.toml")).unwrap_or_default());
static STRUCTURE: LazyLock<Structure> =
    LazyLock::new(|| toml::from_str(include_str!("../reference/structure.toml")).unwrap_or_default());

/// The published file with this SHA-256.
pub fn published(sha256: &str) -> Option<&'static Published> {
    FILES.file.iter().find(|file| file.sha256.eq_ignore_ascii_case(sha256))
}

/// All published files.
pub fn files() -> &'static [Published] {
    &FILES.file
}

/// Domains that stop worms.
pub fn kill_switches() -> &'static [KillSwitch] {
    &CONFIGURATION.kill_switch
}

/// Published mutexes.
pub fn mutexes() -> &'static [Known] {
    &CONFIGURATION.mutex
}

/// Published names of services.
pub fn services() -> &'static [Known] {
    &CONFIGURATION.service
}

/// Published wallets.
pub fn wallets() -> &'static [Known] {
    &CONFIGURATION.wallet
}

/// Resources that carry the next part.
pub fn carriers() -> &'static [Carrier] {
    &STRUCTURE.resource
}

/// Launchers with their fixed sizes.
pub fn launchers() -> &'static [Launcher] {
    &STRUCTURE.launcher
}

/// Layouts of loaders.
pub fn stubs() -> &'static [StubLayout] {
    &STRUCTURE.stub
}

/// Published archives with their passwords.
pub fn archives() -> &'static [Archive] {
    &STRUCTURE.archive
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub;

    #[test]
    fn every_file_is_read() {
        let _: Files = toml::from_str(include_str!("../reference/published.toml")).unwrap();
        let _: Configuration = toml::from_str(include_str!("../reference/configuration.toml")).unwrap();
        let _: Structure = toml::from_str(include_str!("../reference/structure.toml")).unwrap();
        assert_eq!((files().len(), kill_switches().len(), wallets().len()), (15, 3, 4));
        assert_eq!((mutexes().len(), services().len()), (3, 2));
    }

    #[test]
    fn published_files_have_whole_hashes_that_differ() {
        for (at, file) in files().iter().enumerate() {
            let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(file.sha256.len() == 64 && hexadecimal(&file.sha256), "{file:?}");
            assert!(matches!(file.md5.len(), 0 | 32) && hexadecimal(&file.md5), "{file:?}");
            assert!(file.source.starts_with("https://"), "{file:?}");
            assert!(files().iter().skip(at + 1).all(|other| other.sha256 != file.sha256), "{file:?}");
        }
        let sources = kill_switches().iter().map(|one| &one.source);
        let known = mutexes().iter().chain(services()).chain(wallets()).map(|one| &one.source);
        let structure = carriers().iter().map(|one| &one.source).chain(stubs().iter().map(|one| &one.source));
        assert!(sources.chain(known).chain(structure).all(|source| source.starts_with("http")));
        let worm = published("24D004A104D4D54034DBCFFC2A4B19A11F39008A575AA614EA04703480B1022C").unwrap();
        assert_eq!(
            (worm.family.as_str(), worm.part.as_str(), worm.size),
            ("WannaCry", "worm EXE", 3_723_264)
        );
        assert_eq!(published(""), None);
    }

    #[test]
    fn the_stubs_are_those_that_the_peeler_knows() {
        let data: Vec<_> = stubs().iter().map(|stub| (stub.file_size_at, stub.size)).collect();
        let code: Vec<_> = stub::ALL.iter().map(|layout| (layout.size_at, layout.file_at)).collect();
        assert_eq!(data, code);
    }
}

//! The index's tables.
//!
//! Times are microseconds since 1970; `at` of a roll-up is its minute, hour or day since 1970. `source`, `sample`,
//! `endpoint`, `toolset` are numbers of rows of those tables, given in the order of the journal, so that the file is
//! the same however often the making of it was interrupted.

use super::view::COUNTED;
use crate::derived::Layout;
use std::sync::LazyLock;

/// Which layout, and which meaning of what is in it, this build writes.
const VERSION: i64 = 5;

/// The columns of what is counted for each hour and visitor, so that it can be told of any time and any of them; `n` is
/// the row of what is counted, or a tool's id, `connection` the latest.
const HOURS: &str =
    "at INTEGER, source INTEGER, count INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  connection INTEGER NOT NULL,";

/// The same of all time and all visitors.
const EVER: &str =
    "count INTEGER NOT NULL, sources INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  connection INTEGER NOT NULL";

const TABLES: &str = "
CREATE TABLE meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE minute (at INTEGER PRIMARY KEY, {counted});
CREATE TABLE hour (at INTEGER PRIMARY KEY, {counted});
-- ip: 16 bytes, IPv4 as mapped, so that a network is a range. reached: bit n for step n. days: with a connection.
-- captures: buffers too; uploads: none of them.
CREATE TABLE source (n INTEGER PRIMARY KEY, ip BLOB NOT NULL UNIQUE, text TEXT NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, connections INTEGER NOT NULL, captures INTEGER NOT NULL, reached INTEGER NOT NULL,
  days INTEGER NOT NULL, uploads INTEGER NOT NULL);
CREATE INDEX source_text ON source (text);
CREATE INDEX source_first ON source (first);
CREATE INDEX source_last ON source (last);
CREATE INDEX source_connections ON source (connections);
CREATE INDEX source_uploads ON source (uploads);
CREATE TABLE source_hour (at INTEGER, source INTEGER, {counted}, PRIMARY KEY (at, source)) WITHOUT ROWID;
CREATE INDEX source_hour_source ON source_hour (source);
CREATE TABLE endpoint (n INTEGER PRIMARY KEY, address TEXT NOT NULL UNIQUE);
-- names: ` a b `, for searching.
CREATE TABLE toolset (n INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE);
CREATE TABLE tool_hour (n TEXT, {hours} PRIMARY KEY (n, at, source)) WITHOUT ROWID;
-- closed, reason: null while it is open. fingerprint: its 64 bits. toolset: null where no tool was named.
CREATE TABLE connection (id INTEGER PRIMARY KEY, opened INTEGER NOT NULL, closed INTEGER, source INTEGER NOT NULL,
  port INTEGER NOT NULL, endpoint INTEGER NOT NULL, reached INTEGER NOT NULL, bytes_in INTEGER NOT NULL,
  bytes_out INTEGER NOT NULL, events INTEGER NOT NULL, dropped INTEGER NOT NULL, captures INTEGER NOT NULL,
  fingerprint INTEGER, toolset INTEGER, reason TEXT);
CREATE INDEX connection_opened ON connection (opened);
CREATE INDEX connection_source ON connection (source, opened);
CREATE INDEX connection_fingerprint ON connection (fingerprint, opened) WHERE fingerprint IS NOT NULL;
CREATE INDEX connection_toolset ON connection (toolset, opened) WHERE toolset IS NOT NULL;
CREATE INDEX connection_reached_2 ON connection (opened) WHERE reached & 4;
CREATE INDEX connection_reached_3 ON connection (opened) WHERE reached & 8;
CREATE INDEX connection_reached_4 ON connection (opened) WHERE reached & 16;
CREATE INDEX connection_reached_5 ON connection (opened) WHERE reached & 32;
CREATE INDEX connection_reached_6 ON connection (opened) WHERE reached & 64;
CREATE INDEX connection_reached_7 ON connection (opened) WHERE reached & 128;
-- tools, grounds, recognised: JSON; all as the latest connection told them.
CREATE TABLE fingerprint (n INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, features TEXT NOT NULL, tools TEXT NOT NULL,
  grounds TEXT NOT NULL, recognised TEXT NOT NULL, shape TEXT NOT NULL, {ever});
CREATE INDEX fingerprint_shape ON fingerprint (shape);
CREATE INDEX fingerprint_count ON fingerprint (count);
CREATE TABLE fingerprint_hour (n INTEGER, {hours} PRIMARY KEY (at, n, source)) WITHOUT ROWID;
CREATE INDEX fingerprint_hour_source ON fingerprint_hour (source, n);
-- Connections in which no recogniser found anything. known: whether a tool was named all the same. examples: names of
-- connections, parted by blanks.
CREATE TABLE shape (n INTEGER PRIMARY KEY, shape TEXT NOT NULL, known INTEGER NOT NULL, tools TEXT NOT NULL,
  examples TEXT NOT NULL, {ever}, UNIQUE (shape, known));
CREATE TABLE shape_hour (n INTEGER, {hours} PRIMARY KEY (at, n, source)) WITHOUT ROWID;
CREATE INDEX shape_hour_source ON shape_hour (source, n);
-- state, origin, total, ranges (JSON): of its best capture. connection: the first one with it. layers: JSON, null
-- where triage has not looked.
CREATE TABLE sample (n INTEGER PRIMARY KEY, sha256 BLOB NOT NULL UNIQUE, md5 TEXT NOT NULL, sha1 TEXT NOT NULL,
  size INTEGER NOT NULL, state TEXT NOT NULL, origin TEXT NOT NULL, total INTEGER, ranges TEXT NOT NULL,
  captures INTEGER NOT NULL, sources INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  connection INTEGER NOT NULL, layers TEXT, core TEXT NOT NULL, family TEXT NOT NULL, error TEXT NOT NULL);
CREATE INDEX sample_md5 ON sample (md5);
CREATE INDEX sample_sha1 ON sample (sha1);
-- seq: its sample.captured.
CREATE TABLE capture (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, sample INTEGER NOT NULL, source INTEGER NOT NULL,
  connection INTEGER NOT NULL, upload INTEGER NOT NULL, state TEXT NOT NULL, origin TEXT NOT NULL,
  first_seen INTEGER NOT NULL);
CREATE INDEX capture_at ON capture (at);
CREATE INDEX capture_sample ON capture (sample, at);
CREATE INDEX capture_source ON capture (source, at);
-- All that is asked of the captures of a time: of all of them, of uploads, and of those that nobody had brought before.
CREATE INDEX capture_of ON capture (at, sample, source);
CREATE INDEX capture_upload ON capture (at, source, state, sample, first_seen)
  WHERE origin IN ('doublepulsar', 'doublepulsar-raw', 'doublepulsar-conflict');
CREATE TABLE sample_source (sample INTEGER, source INTEGER, captures INTEGER NOT NULL, first INTEGER NOT NULL,
  last INTEGER NOT NULL, PRIMARY KEY (sample, source)) WITHOUT ROWID;
CREATE TABLE sample_day (sample INTEGER, at INTEGER, source INTEGER, captures INTEGER NOT NULL,
  PRIMARY KEY (sample, at, source)) WITHOUT ROWID;
-- response: the latest of all visitors.
CREATE TABLE logon (n INTEGER PRIMARY KEY, method TEXT NOT NULL, account TEXT NOT NULL, domain TEXT NOT NULL,
  workstation TEXT NOT NULL, native_os TEXT NOT NULL, native_lan_manager TEXT NOT NULL, response TEXT NOT NULL,
  {ever}, UNIQUE (account, domain, workstation, native_os, native_lan_manager, method));
CREATE INDEX logon_count ON logon (count);
CREATE TABLE logon_hour (n INTEGER, {hours} PRIMARY KEY (at, n, source)) WITHOUT ROWID;
CREATE INDEX logon_hour_source ON logon_hour (source, n);
-- The latest response of each hour and visitor; seq: of its event.
CREATE TABLE offered (n INTEGER, at INTEGER, source INTEGER, seq INTEGER NOT NULL, response TEXT NOT NULL,
  PRIMARY KEY (n, at, source)) WITHOUT ROWID;
CREATE TABLE health (at INTEGER, kind TEXT, name TEXT, count INTEGER NOT NULL, PRIMARY KEY (at, kind, name))
  WITHOUT ROWID;
-- seq: its sensor.started or sensor.stopped; version and what follows is of a start, connections of a stop.
CREATE TABLE run (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, version TEXT, listen TEXT, persona TEXT, policy TEXT,
  connections INTEGER);
";

const NAMES: &[&str] = &[
    "meta",
    "minute",
    "hour",
    "source",
    "source_hour",
    "endpoint",
    "toolset",
    "tool_hour",
    "connection",
    "fingerprint",
    "fingerprint_hour",
    "shape",
    "shape_hour",
    "sample",
    "capture",
    "sample_source",
    "sample_day",
    "logon",
    "logon_hour",
    "offered",
    "health",
    "run",
];

static FILLED: LazyLock<String> = LazyLock::new(|| {
    let counted: Vec<String> = COUNTED.iter().map(|name| format!("{name} INTEGER NOT NULL")).collect();
    TABLES.replace("{counted}", &counted.join(", ")).replace("{hours}", HOURS).replace("{ever}", EVER)
});

/// The index's file.
pub(super) static LAYOUT: LazyLock<Layout> = LazyLock::new(|| Layout {
    file: "index.sqlite",
    version: VERSION,
    tables: &FILLED,
    names: NAMES,
    cache_kib: 32 * 1024,
});

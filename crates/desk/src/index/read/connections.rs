//! Connections.

use super::super::filter::{Cursor, Filter, Network};
use super::super::fold::{HOUR, bits};
use super::super::view::{COUNTED, ConnectionRow, Page, Step};
use super::super::{Index, IndexError};
use super::{Asked, Lane, Paged, SCAN_MAX, Wanted, address, count, time, words};
use crate::derived::{to_sql, to_u64};
use roridula_proto::connection::ConnectionId;
use roridula_proto::time::WallClock;
use rusqlite::types::Value;
use rusqlite::{Row, params};
use std::net::{Ipv4Addr, SocketAddr};

const COLUMNS: &str =
    "r.closed, s.ip, r.port, p.address, r.reached, r.bytes_in, r.bytes_out, r.events, r.dropped,
    r.captures, r.fingerprint, t.names, r.reason";
const JOINS: &str = "JOIN source s ON s.n = r.source JOIN endpoint p ON p.n = r.endpoint
    LEFT JOIN toolset t ON t.n = r.toolset";
/// Visitors of a network whose connections are put together one by one.
pub(super) const SOURCES_MAX: usize = 64;

/// A way to the connections that are asked for.
struct Road {
    lanes: Vec<Lane>,
    /// What it sees to, as it would be asked of each row.
    sees_to: Wanted,
    /// How many rows it has, about.
    rows: u64,
}

impl Index {
    /// Connections that fit, the latest first.
    pub fn connections(
        &mut self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ConnectionRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        self.look(|index| index.read_connections(filter, cursor, limit))
    }

    /// One connection.
    pub fn connection(&mut self, id: ConnectionId) -> Result<Option<ConnectionRow>, IndexError> {
        self.look(|index| index.read_connection(to_sql(id.0)))
    }

    pub(super) fn read_connection(&self, id: i64) -> Result<Option<ConnectionRow>, IndexError> {
        let sql = format!("SELECT r.opened, r.id, {COLUMNS} FROM connection r {JOINS} WHERE r.id = ?");
        Ok(self.file.rows(&sql, [id], connection)?.pop())
    }

    /// The connections whose names lie between these.
    pub(super) fn connections_named(
        &self,
        least: u64,
        most: u64,
        limit: i64,
    ) -> Result<Vec<ConnectionRow>, IndexError> {
        let sql = format!(
            "SELECT r.opened, r.id, {COLUMNS} FROM connection r {JOINS} WHERE r.id BETWEEN ? AND ?
            ORDER BY r.id DESC LIMIT ?"
        );
        self.file.rows(&sql, [to_sql(least), to_sql(most), limit], connection)
    }

    /// Of the latest connections, those whose names have these `bits` under a mask: that end alike.
    pub(super) fn connections_ending(
        &self,
        mask: u64,
        bits: u64,
        limit: i64,
    ) -> Result<Vec<ConnectionRow>, IndexError> {
        let sql = format!(
            "SELECT r.opened, r.id, {COLUMNS} FROM (SELECT * FROM connection ORDER BY opened DESC LIMIT {SCAN_MAX}) r
            {JOINS} WHERE r.id & ? = ? ORDER BY r.opened DESC LIMIT ?"
        );
        self.file.rows(&sql, [to_sql(mask), to_sql(bits), limit], connection)
    }

    fn read_connections(
        &self,
        filter: &Filter,
        cursor: Cursor,
        limit: usize,
    ) -> Result<Page<ConnectionRow>, IndexError> {
        let mut roads = Vec::new();
        roads.extend(filter.source.map(|network| self.by_source(network)).transpose()?);
        roads.extend(filter.fingerprint.as_ref().map(|print| self.by_fingerprint(print)).transpose()?);
        roads.extend(filter.tool.as_ref().map(|tool| self.by_tool(tool)).transpose()?);
        roads.extend(filter.step.map(|step| self.by_step(step, filter)).transpose()?);
        // The shortest leads, and the others are asked of each row.
        roads.sort_by_key(|road| road.rows);
        let mut roads = roads.into_iter();
        let leads = roads.next().unwrap_or_else(|| Road::all(Wanted::default()));
        let mut wanted = Wanted::default();
        if leads.lanes.iter().any(|lane| lane.of.sql.is_empty()) {
            wanted.and(leads.sees_to.text(), leads.sees_to.values.clone());
        }
        for road in roads {
            wanted.and(road.sees_to.text(), road.sees_to.values);
        }
        let paged = Paged { table: "connection", key: ("opened", "id"), columns: COLUMNS, joins: JOINS };
        let span = filter.span.moments();
        let asked = Asked { lanes: &leads.lanes, span, wanted: &wanted, cursor, limit };
        self.page(&paged, &asked, connection)
    }

    /// One lane for each of a few visitors; for many, all connections and a look at each.
    fn by_source(&self, network: Network) -> Result<Road, IndexError> {
        let (least, most) = network.range();
        let sources = self.sources_of(network)?;
        let mut sees_to = Wanted::default();
        let range = [least, most].map(|ip| Value::from(ip.to_vec()));
        sees_to.and("r.source IN (SELECT n FROM source WHERE ip BETWEEN ? AND ?)", range);
        let Some(sources) = sources else {
            let sql = "SELECT sum(connections) FROM source WHERE ip BETWEEN ? AND ?";
            let rows = self.number(sql, params![least, most])?;
            return Ok(Road { rows, ..Road::all(sees_to) });
        };
        let lanes =
            sources.iter().map(|(n, _)| Lane::of("connection_source", "source = ?", [Value::from(*n)]));
        let rows = sources.iter().map(|(_, rows)| *rows).sum();
        Ok(Road { lanes: lanes.collect(), sees_to, rows })
    }

    /// The visitors of a network with their connections, unless they are many.
    pub(super) fn sources_of(&self, network: Network) -> Result<Option<Vec<(i64, u64)>>, IndexError> {
        let (least, most) = network.range();
        let sql = "SELECT n, connections FROM source WHERE ip BETWEEN ? AND ? LIMIT ?";
        let values = params![least, most, SOURCES_MAX as i64 + 1];
        let found = self.file.rows(sql, values, |row| Ok((row.get(0)?, count(row, 1)?)))?;
        Ok(Some(found).filter(|found| found.len() <= SOURCES_MAX))
    }

    fn by_fingerprint(&self, fingerprint: &str) -> Result<Road, IndexError> {
        let Some(print) = bits(fingerprint) else { return Ok(Road::none()) };
        let mut sees_to = Wanted::default();
        sees_to.and("r.fingerprint = ?", [Value::from(print)]);
        let rows = self.number("SELECT count FROM fingerprint WHERE name = ?", [fingerprint])?;
        let lane = Lane::of("connection_fingerprint", "fingerprint = ?", [Value::from(print)]);
        Ok(Road { lanes: vec![lane], sees_to, rows })
    }

    fn by_tool(&self, tool: &str) -> Result<Road, IndexError> {
        let sql = "SELECT n FROM toolset WHERE instr(names, ?)";
        let sets: Vec<i64> = self.file.rows(sql, [format!(" {tool} ")], |row| row.get(0))?;
        let mut sees_to = Wanted::default();
        let places = vec!["?"; sets.len()].join(", ");
        sees_to.and(format!("r.toolset IN ({places})"), sets.iter().map(|n| Value::from(*n)));
        let rows = self.number("SELECT sum(count) FROM tool_hour WHERE n = ?", [tool])?;
        let lane = |n: &i64| Lane::of("connection_toolset", "toolset = ?", [Value::from(*n)]);
        Ok(Road { lanes: sets.iter().map(lane).collect(), sees_to, rows })
    }

    fn by_step(&self, step: Step, filter: &Filter) -> Result<Road, IndexError> {
        let bit = step.bit();
        let mut sees_to = Wanted::default();
        sees_to.and(format!("r.reached & {bit}"), []);
        let column =
            COUNTED.get(step as usize).copied().filter(|_| step != Step::New).unwrap_or("new_samples");
        let (first, last) = filter.span.intervals(HOUR);
        let sql = format!("SELECT sum({column}) FROM hour WHERE at BETWEEN ? AND ?");
        let rows = self.number(&sql, [first, last])?;
        if step < Step::Probe {
            // Next to all of them did.
            return Ok(Road { rows, ..Road::all(sees_to) });
        }
        let index = format!("connection_reached_{}", step as u8);
        let lane = Lane::of(index, format!("reached & {bit}"), []);
        Ok(Road { lanes: vec![lane], sees_to, rows })
    }
}

impl Lane {
    pub(super) fn of(
        index: impl Into<String>,
        sql: impl Into<String>,
        values: impl IntoIterator<Item = Value>,
    ) -> Self {
        let mut of = Wanted::default();
        of.and(sql, values);
        Self { index: index.into(), of }
    }
}

impl Road {
    /// Over all connections.
    fn all(sees_to: Wanted) -> Self {
        let lane = Lane { index: "connection_opened".to_owned(), of: Wanted::default() };
        Self { lanes: vec![lane], sees_to, rows: u64::MAX }
    }

    /// To none.
    fn none() -> Self {
        let mut sees_to = Wanted::default();
        sees_to.and("0", []);
        Self { lanes: Vec::new(), sees_to, rows: 0 }
    }
}

fn connection(row: &Row<'_>) -> rusqlite::Result<ConnectionRow> {
    let reached: i64 = row.get(6)?;
    let address_text: String = row.get(5)?;
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let fingerprint: Option<i64> = row.get(12)?;
    Ok(ConnectionRow {
        opened: time(row, 0)?,
        connection: ConnectionId(count(row, 1)?),
        closed: row.get::<_, Option<i64>>(2)?.map(|at| WallClock(to_u64(at))),
        source: address(row, 3)?,
        source_port: row.get(4)?,
        destination: address_text.parse().unwrap_or(nowhere),
        furthest: Step::furthest(reached),
        steps: Step::all(reached),
        bytes_in: count(row, 7)?,
        bytes_out: count(row, 8)?,
        events: count(row, 9)?,
        events_dropped: count(row, 10)?,
        captures: count(row, 11)?,
        fingerprint: fingerprint.map_or(String::new(), |print| format!("{:016x}", print.cast_unsigned())),
        tools: words(&row.get::<_, Option<String>>(13)?.unwrap_or_default()),
        reason: row.get::<_, Option<String>>(14)?.unwrap_or_default(),
    })
}

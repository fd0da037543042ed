//! What visitors said of themselves.

use super::super::filter::{Cursor, Filter};
use super::super::view::{LogonRow, Page};
use super::super::{Index, IndexError};
use super::{Wanted, bounded, count, cut, time};
use crate::derived::to_sql;
use roridula_proto::connection::ConnectionId;
use rusqlite::types::Value;
use rusqlite::{Row, params_from_iter};

const COLUMNS: &str =
    "n, method, account, domain, workstation, native_os, native_lan_manager, response, connection,
    count, sources, first, last";

impl Index {
    /// What the filter's visitors said in logons that happened in its span, the most frequent of all time first.
    /// `accounts`: only with an account.
    pub fn logons(
        &mut self,
        filter: &Filter,
        accounts: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<LogonRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        let (since, until) = filter.span.moments();
        let mut wanted = Wanted::default();
        wanted.and("(count, n) < (?, ?)", [cursor.0, cursor.1].map(Value::from));
        wanted.and("last >= ? AND first <= ?", [since, until].map(Value::from));
        if accounts {
            wanted.and("account <> ''", []);
        }
        self.look(|index| {
            let mut wanted = wanted.clone();
            wanted.link(index, "logon", filter)?;
            let sql = format!(
                "SELECT {COLUMNS} FROM logon WHERE {} ORDER BY count DESC, n DESC LIMIT ?",
                wanted.text()
            );
            wanted.values.push(Value::from(more));
            let rows = index
                .file
                .rows(&sql, params_from_iter(&wanted.values), |row| Ok((row.get(0)?, logon(row)?)))?;
            let key = |(n, row): (i64, LogonRow)| (Cursor(to_sql(row.count), n), row);
            Ok(cut(rows.into_iter().map(key).collect(), limit))
        })
    }
}

fn logon(row: &Row<'_>) -> rusqlite::Result<LogonRow> {
    Ok(LogonRow {
        method: row.get(1)?,
        account: row.get(2)?,
        domain: row.get(3)?,
        workstation: row.get(4)?,
        native_os: row.get(5)?,
        native_lan_manager: row.get(6)?,
        response: row.get(7)?,
        connection: ConnectionId(count(row, 8)?),
        count: count(row, 9)?,
        sources: count(row, 10)?,
        first: time(row, 11)?,
        last: time(row, 12)?,
    })
}

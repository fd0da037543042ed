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
    "t.n, t.method, t.account, t.domain, t.workstation, t.native_os, t.native_lan_manager, t.response,
    s.connection, s.count, s.sources, s.first, s.last";

impl Index {
    /// What the filter's visitors said in logons in a span of whole hours, the most frequent of theirs in that time
    /// first. `accounts`: only with an account.
    pub fn logons(
        &mut self,
        filter: &Filter,
        accounts: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<LogonRow>, IndexError> {
        let cursor = Cursor::read(cursor)?;
        let (limit, more) = bounded(limit);
        self.look(|index| {
            let hours = Wanted::hours(index, filter)?;
            let mut wanted = Wanted { sql: Vec::new(), values: hours.values.clone() };
            wanted.and("(s.count, s.n) < (?, ?)", [cursor.0, cursor.1].map(Value::from));
            if accounts {
                wanted.and("t.account <> ''", []);
            }
            let sql = format!(
                "SELECT {COLUMNS} FROM logon t JOIN ({}) s ON s.n = t.n WHERE {}
                ORDER BY s.count DESC, s.n DESC LIMIT ?",
                hours.sums("logon"),
                wanted.text()
            );
            wanted.values.push(Value::from(more));
            let mut rows = index
                .file
                .rows(&sql, params_from_iter(&wanted.values), |row| Ok((row.get(0)?, logon(row)?)))?;
            if !hours.sql.is_empty() {
                index.tell_responses(&hours, &mut rows)?;
            }
            let key = |(n, row): (i64, LogonRow)| (Cursor(to_sql(row.count), n), row);
            Ok(cut(rows.into_iter().map(key).collect(), limit))
        })
    }

    /// Puts the latest response of those who are asked for, in the hours that are asked for, in the place of anybody's.
    fn tell_responses(&self, hours: &Wanted, rows: &mut [(i64, LogonRow)]) -> Result<(), IndexError> {
        let sql = format!(
            "SELECT response FROM offered WHERE n = ? AND {} ORDER BY seq DESC LIMIT 1",
            hours.text()
        );
        for (n, row) in rows.iter_mut().filter(|(_, row)| !row.response.is_empty()) {
            let values = std::iter::once(Value::from(*n)).chain(hours.values.iter().cloned());
            let found = self.file.rows(&sql, params_from_iter(values), |row| row.get(0))?;
            row.response = found.into_iter().next().unwrap_or_default();
        }
        Ok(())
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

//! One box: whatever begins like this.

use super::super::filter::{Network, Span};
use super::super::view::Hit;
use super::super::{Index, IndexError};
use super::{Wanted, bounded};
use rusqlite::types::Value;

/// Characters of a connection's name.
const NAME: usize = 13;
/// Characters that a search needs.
const LEAST: usize = 3;

impl Index {
    /// Connections (the latest also by the end of their names), visitors (also by network, as `192.0.2.0/24`),
    /// fingerprints and samples whose names begin with `text`, at most `limit` of each; nothing for fewer than three characters.
    pub fn search(&mut self, text: &str, limit: usize) -> Result<Vec<Hit>, IndexError> {
        let text = text.trim().to_ascii_lowercase();
        let (limit, _) = bounded(limit);
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        if text.len() < LEAST || text.len() > 64 {
            return Ok(Vec::new());
        }
        self.look(|index| {
            let mut hits = Vec::new();
            if let Some((least, most)) = beginning(&text) {
                let found = index.connections_named(least, most, limit)?;
                hits.extend(found.into_iter().map(|connection| Hit::Connection { connection }));
            }
            if let Some((mask, bits)) = tail(&text) {
                let found = index.connections_ending(mask, bits, limit)?;
                hits.extend(found.into_iter().map(|connection| Hit::Connection { connection }));
            }
            hits.extend(index.sources_named(&text, limit)?);
            if text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let found = index.fingerprints_named(&text, limit)?;
                hits.extend(found.into_iter().map(|fingerprint| Hit::Fingerprint { fingerprint }));
                let found = index.samples_hashed(&text, limit)?;
                hits.extend(found.into_iter().map(|(sample, by)| Hit::Sample { sample, by }));
            }
            Ok(hits)
        })
    }

    fn sources_named(&self, text: &str, limit: i64) -> Result<Vec<Hit>, IndexError> {
        let mut wanted = Wanted::default();
        wanted.and("s.connections > 0", []);
        match text.parse::<Network>() {
            Ok(network) => {
                let range = <[[u8; 16]; 2]>::from(network.range());
                wanted.and("s.ip BETWEEN ? AND ?", range.map(|ip| Value::from(ip.to_vec())));
            }
            Err(_) if text.bytes().all(|byte| byte.is_ascii_hexdigit() || b".:".contains(&byte)) => {
                // `~` comes behind everything that an address may go on with.
                let range = [text.to_owned(), format!("{text}~")];
                wanted.and("s.text >= ? AND s.text < ?", range.map(Value::from));
            }
            Err(_) => return Ok(Vec::new()),
        }
        let tail = "ORDER BY s.last DESC, s.n DESC LIMIT ?";
        let found = self.sources_where(&wanted, tail, [Value::from(limit)], Span::ALL)?;
        Ok(found.into_iter().map(|(_, source)| Hit::Source { source }).collect())
    }
}

/// Which bits of a connection's name end like this, and what they are; `None` where no name does, or all of it is asked
/// for.
fn tail(end: &str) -> Option<(u64, u64)> {
    let rest = NAME.checked_sub(end.len()).filter(|rest| *rest > 0)?;
    let name = format!("{}{end}", "0".repeat(rest));
    let bits = name.parse::<roridula_proto::connection::ConnectionId>().ok()?;
    // Five bits a letter.
    Some(((1 << (5 * end.len())) - 1, bits.0))
}

/// The lowest and the highest name of a connection that begin like this; `None` where none does.
pub(crate) fn beginning(prefix: &str) -> Option<(u64, u64)> {
    let rest = NAME.checked_sub(prefix.len())?;
    let filled = |with: &str| {
        let name = format!("{prefix}{}", with.repeat(rest));
        name.parse::<roridula_proto::connection::ConnectionId>().ok()
    };
    // The first letter holds four bits of 64: a name beyond them is none.
    Some((filled("0")?.0, filled("z")?.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use roridula_proto::connection::ConnectionId;

    #[test]
    fn the_beginning_of_a_name_is_a_range_of_names() {
        let id = ConnectionId(1_700_000_000_000_000 << 11);
        let name = id.to_string();
        assert_eq!(beginning(&name), Some((id.0, id.0)));
        let (least, most) = beginning(&name[..6]).unwrap();
        assert!(least <= id.0 && id.0 <= most);
        assert_eq!(most - least, (1 << 35) - 1);
        let (mask, bits) = tail(&name[7..]).unwrap();
        assert_eq!((mask, id.0 & mask), ((1 << 30) - 1, bits));
        assert_eq!((tail(&name), tail("")), (None, Some((0, 0))));
        assert_eq!((beginning("ilo"), beginning(&"0".repeat(14))), (None, None));
    }
}

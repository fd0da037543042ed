//! Names of incidents.

use crate::index::beginning;
use roridula_proto::connection::{BadConnectionId, ConnectionId};
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// An incident's name: `i` and the name of the connection that was the first of it to end. No connection's name has
/// an `i` in it, so the two cannot be taken for each other. It never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IncidentId(pub ConnectionId);

/// The letter that begins it.
const MARK: char = 'i';

impl IncidentId {
    /// The lowest and the highest name that begin like this; `None` where none does.
    pub(crate) fn beginning(prefix: &str) -> Option<(Self, Self)> {
        let (least, most) = beginning(prefix.strip_prefix(MARK)?)?;
        Some((Self(ConnectionId(least)), Self(ConnectionId(most))))
    }
}

impl fmt::Display for IncidentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{}", self.0)
    }
}

impl FromStr for IncidentId {
    type Err = BadConnectionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix(MARK).unwrap_or_default().parse().map(Self)
    }
}

impl Serialize for IncidentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_both_an_incidents_and_a_connections() {
        let id = IncidentId(ConnectionId(1_700_000_000_000_000 << 10));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().parse::<ConnectionId>().is_err());
        assert!(id.0.to_string().parse::<IncidentId>().is_err());
        let (least, most) = IncidentId::beginning(&id.to_string()[..8]).unwrap();
        assert!(least < id && id < most && IncidentId::beginning(&id.0.to_string()).is_none());
    }
}

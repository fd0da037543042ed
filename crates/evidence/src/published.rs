//! An event as it is published: with the envelope that says whose it is.

use jiff::fmt::temporal::DateTimePrinter;
use roridula_proto::connection::ConnectionId;
use roridula_proto::event::{Event, Text};
use roridula_proto::time::WallClock;
use serde::{Serialize, Serializer};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

/// Who a connection is: bound at accept, never changed, written by nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attribution {
    /// The connection's name.
    pub connection: ConnectionId,
    /// When it was accepted.
    pub at: WallClock,
    /// The visitor.
    pub source: SocketAddr,
    /// The address of ours that it came to.
    pub destination: SocketAddr,
}

/// A published event. As JSON it is one object: the envelope (`eventid`, `seq`, `time`, `sensor`,
/// `connection`, `src_ip`, `src_port`, `dst_ip`, `dst_port`; `null` where there is none) and the event's fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// Its place in the journal, from 1, without gaps.
    pub seq: u64,
    /// When it happened.
    pub time: WallClock,
    /// The sensor's name.
    pub sensor: Arc<str>,
    /// The connection, if it is about one.
    pub connection: Option<ConnectionId>,
    /// The visitor, if there is one.
    pub source: Option<SocketAddr>,
    /// The address of ours, if there is one.
    pub destination: Option<SocketAddr>,
    /// What happened.
    pub event: Event,
}

impl Published {
    /// The event as one JSON object without a line end, which does a terminal no harm.
    pub fn to_json(&self) -> String {
        // Written by hand, since a flood of visitors makes tens of thousands a second.
        let mut text = String::with_capacity(512);
        let _ = write!(text, r#"{{"eventid":"{}","seq":{},"time":""#, self.event.id(), self.seq);
        text.push_str(&rfc3339(self.time));
        let sensor = serde_json::to_string(&*self.sensor).unwrap_or_default();
        let _ = write!(text, r#"","sensor":{sensor}"#);
        let _ = match self.connection {
            Some(id) => write!(text, r#","connection":"{id}""#),
            None => write!(text, r#","connection":null"#),
        };
        for (side, address) in [("src", self.source), ("dst", self.destination)] {
            let _ = match address {
                Some(address) => {
                    let (ip, port) = (address.ip().to_canonical(), address.port());
                    write!(text, r#","{side}_ip":"{ip}","{side}_port":{port}"#)
                }
                None => write!(text, r#","{side}_ip":null,"{side}_port":null"#),
            };
        }
        let event = serde_json::to_string(&self.event).unwrap_or_default();
        // Its `eventid` is in front already; what follows it begins with a comma, or is the end.
        let head = r#"{"eventid":"""#.len() + self.event.id().len();
        text.push_str(event.get(head..).unwrap_or("}"));
        Text::in_json(text)
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    eventid: &'static str,
    seq: u64,
    time: String,
    sensor: &'a str,
    connection: Option<String>,
    src_ip: Option<String>,
    src_port: Option<u16>,
    dst_ip: Option<String>,
    dst_port: Option<u16>,
}

impl Published {
    fn envelope(&self) -> Envelope<'_> {
        let ip = |address: &SocketAddr| address.ip().to_canonical().to_string();
        Envelope {
            eventid: self.event.id(),
            seq: self.seq,
            time: rfc3339(self.time),
            sensor: &self.sensor,
            connection: self.connection.map(|id| id.to_string()),
            src_ip: self.source.as_ref().map(ip),
            src_port: self.source.map(|address| address.port()),
            dst_ip: self.destination.as_ref().map(ip),
            dst_port: self.destination.map(|address| address.port()),
        }
    }
}

impl Serialize for Published {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeMap};
        let envelope = serde_json::to_value(self.envelope()).map_err(S::Error::custom)?;
        let event = serde_json::to_value(&self.event).map_err(S::Error::custom)?;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in envelope.as_object().into_iter().flatten() {
            map.serialize_entry(key, value)?;
        }
        // The event's own `eventid` is in front already.
        for (key, value) in event.as_object().into_iter().flatten().filter(|(key, _)| *key != "eventid") {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// A moment as RFC 3339 in UTC with microseconds: `2026-11-23T02:50:00.123456Z`.
pub fn rfc3339(at: WallClock) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    let stamp = jiff::Timestamp::from_microsecond(micros).unwrap_or(jiff::Timestamp::MAX);
    PRINTER.timestamp_to_string(&stamp)
}

/// Serialises a moment as [`rfc3339`] does.
pub(crate) fn serialize_time<S: Serializer>(at: &WallClock, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rfc3339(*at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_json_say_the_same() {
        let published = |event| Published {
            seq: 1,
            time: WallClock(5),
            sensor: "p\"q".into(),
            connection: None,
            source: None,
            destination: None,
            event,
        };
        for event in [
            Event::SensorStopped { connections: 3 },
            Event::LimitReached { limit: "\n\"\u{9b}31m\u{202e}\u{feff}".to_owned(), value: u64::MAX },
        ] {
            let published = published(event);
            let direct: serde_json::Value = serde_json::from_str(&published.to_json()).unwrap();
            assert_eq!(direct, serde_json::to_value(&published).unwrap());
            assert!(published.to_json().chars().all(Text::shows));
        }
    }

    #[test]
    fn the_envelope_comes_first_and_mapped_addresses_are_shown_as_v4() {
        let published = Published {
            seq: 7,
            time: WallClock(1_700_000_000_000_001),
            sensor: "porch".into(),
            connection: Some(ConnectionId(33)),
            source: Some("[::ffff:192.0.2.7]:1025".parse().unwrap()),
            destination: Some("[2001:db8::1]:445".parse().unwrap()),
            event: Event::SensorStopped { connections: 3 },
        };
        assert_eq!(
            published.to_json(),
            r#"{"eventid":"sensor.stopped","seq":7,"time":"2023-11-14T22:13:20.000001Z","sensor":"porch","connection":"0000000000011","src_ip":"192.0.2.7","src_port":1025,"dst_ip":"2001:db8::1","dst_port":445,"connections":3}"#
        );
    }
}

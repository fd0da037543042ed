//! Whether a published line keeps to the contract.

use super::ENVELOPE;
use roridula_proto::event::{CATALOGUE, FieldSpec};
use serde_json::{Map, Value};

/// Checks one published event, as parsed from a JSON line, against the catalogue: its id is known, the envelope
/// is complete, exactly the documented fields are there and each has its type. `Err` says what is wrong.
pub fn check(line: &Value) -> Result<(), String> {
    let object = line.as_object().ok_or("no JSON object")?;
    let id = object.get("eventid").and_then(Value::as_str).ok_or("no `eventid`")?;
    let spec =
        CATALOGUE.iter().find(|spec| spec.id == id).ok_or_else(|| format!("unknown eventid `{id}`"))?;
    for field in ENVELOPE {
        fits(object, field.name, field.kind).map_err(|what| format!("{id}: {what}"))?;
    }
    let time = object.get("time").and_then(Value::as_str).unwrap_or_default();
    if !is_utc(time) {
        return Err(format!("{id}: `time` is `{time}`, not RFC 3339 in UTC with microseconds"));
    }
    for FieldSpec { name, kind, .. } in spec.fields {
        fits(object, name, kind).map_err(|what| format!("{id}: {what}"))?;
    }
    let known = |name: &str| {
        ENVELOPE.iter().any(|field| field.name == name) || spec.fields.iter().any(|field| field.name == name)
    };
    match object.keys().find(|name| !known(name)) {
        Some(name) => Err(format!("{id}: `{name}` is not in the catalogue")),
        None => Ok(()),
    }
}

fn fits(object: &Map<String, Value>, name: &str, kind: &str) -> Result<(), String> {
    let value = object.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    if of_kind(value, kind) { Ok(()) } else { Err(format!("`{name}` is {value}, not {kind}")) }
}

fn of_kind(value: &Value, kind: &str) -> bool {
    let items = |each: &dyn Fn(&Value) -> bool| value.as_array().is_some_and(|items| items.iter().all(each));
    match kind {
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "string" => value.is_string(),
        "integer or null" => value.is_u64() || value.is_null(),
        "string or null" => value.is_string() || value.is_null(),
        "array of strings" => items(&Value::is_string),
        "array of [start, end]" => items(&is_range),
        "array of layers" => items(&is_layer),
        // A list of words, each in backticks.
        words => value
            .as_str()
            .is_some_and(|word| words.split_whitespace().any(|known| known == format!("`{word}`"))),
    }
}

fn is_range(value: &Value) -> bool {
    let pair = value.as_array().map(|pair| pair.iter().map(Value::as_u64).collect::<Vec<_>>());
    matches!(pair.as_deref(), Some([Some(start), Some(end)]) if start < end)
}

fn is_layer(value: &Value) -> bool {
    let text = |name| value.get(name).is_some_and(Value::is_string);
    let number = |name| value.get(name).is_some_and(Value::is_u64);
    text("kind") && text("found_by") && text("sha256") && number("offset") && number("size")
}

fn is_utc(time: &str) -> bool {
    let shape = "dddd-dd-ddTdd:dd:dd.ddddddZ";
    time.len() == shape.len()
        && time
            .chars()
            .zip(shape.chars())
            .all(|(c, form)| if form == 'd' { c.is_ascii_digit() } else { c == form })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event() -> Value {
        json!({
            "eventid": "upload.finished", "seq": 4, "time": "2026-11-23T02:50:00.123456Z", "sensor": "porch",
            "connection": "0000000000011", "src_ip": "192.0.2.1", "src_port": 1, "dst_ip": "192.0.2.2",
            "dst_port": 445, "upload": 1, "state": "complete", "total": null, "received": 7,
            "ranges": [[0, 7]], "chunks": 1, "repeats": 0,
        })
    }

    #[test]
    fn a_right_event_passes() {
        check(&event()).unwrap();
    }

    #[test]
    fn each_departure_is_named() {
        let wrong = |name: &str, value: Value| {
            let mut event = event();
            event[name] = value;
            check(&event).unwrap_err()
        };
        assert!(wrong("eventid", json!("x.y")).contains("unknown eventid"));
        assert!(wrong("state", json!("done")).contains("`state`"));
        assert!(wrong("ranges", json!([[7, 0]])).contains("`ranges`"));
        assert!(wrong("time", json!("2026-11-23T02:50:00Z")).contains("`time`"));
        assert!(wrong("seq", json!(-1)).contains("`seq`"));
        assert!(wrong("extra", json!(1)).contains("`extra`"));
        let mut short = event();
        short.as_object_mut().unwrap().remove("chunks");
        assert!(check(&short).unwrap_err().contains("`chunks` is missing"));
    }
}

//! JSON for people and programs: with nothing in it that a terminal would obey or a reader not see.

use roridula_proto::event::Text;
use serde::Serialize;

/// The value as indented JSON, without a line end; an error where it cannot be written as JSON.
pub fn pretty(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string_pretty(value).map(Text::in_json)
}

/// The value as JSON in one line, without its end; an error as for [`pretty`].
pub fn line(value: &impl Serialize) -> serde_json::Result<String> {
    serde_json::to_string(value).map(Text::in_json)
}

/// What went wrong, as the API says it.
pub(crate) fn error(text: &str) -> String {
    Text::in_json(serde_json::json!({ "error": text }).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn what_nobody_sees_is_escaped_and_means_the_same() {
        let hidden = "\u{7f}\u{80}\u{9b}31m\u{9f}\u{ad}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{e0041}\0\u{1b}\n";
        let value = BTreeMap::from([(format!("key {hidden}"), format!("ä \u{1f41b} \"\\{hidden}"))]);
        for text in [pretty(&value).unwrap(), line(&value).unwrap()] {
            assert!(text.chars().all(|c| c == '\n' || Text::shows(c)), "{text:?}");
            assert!(
                text.contains("ä \u{1f41b}") && text.contains("\\u202e") && text.contains("\\udb40\\udc41")
            );
            assert_eq!(serde_json::from_str::<BTreeMap<String, String>>(&text).unwrap(), value);
        }
        assert_eq!(line(&"plain").unwrap(), "\"plain\"");
    }
}

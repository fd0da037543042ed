//! Numbers as people read them.

/// `1,544,192`.
pub fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (left, digit) in (0..digits.len()).rev().zip(digits.chars()) {
        text.push(digit);
        if left > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
    }
    text
}

/// `1,544,192`, of a length in memory.
pub(crate) fn length(value: usize) -> String {
    number(u64::try_from(value).unwrap_or(u64::MAX))
}

/// `1 byte`, `2 bytes`: of a noun that takes an `s`.
pub fn counted(value: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(value), if value == 1 { "" } else { "s" })
}

/// `1 byte is missing`, `4,000 bytes are missing`.
pub(crate) fn missing(value: usize) -> String {
    let value = u64::try_from(value).unwrap_or(u64::MAX);
    format!("{} {} missing", counted(value, "byte"), if value == 1 { "is" } else { "are" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let told = [0, 999, 1000, 50_000, 1_544_192].map(number);
        assert_eq!(told, ["0", "999", "1,000", "50,000", "1,544,192"]);
        assert_eq!([counted(1, "member"), counted(5000, "member")], ["1 member", "5,000 members"]);
        assert_eq!([missing(1), missing(4000)], ["1 byte is missing", "4,000 bytes are missing"]);
    }
}

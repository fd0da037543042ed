//! Accounts to be paid to: by their checksums where they have one that can be checked.

use super::known;
use sha2::{Digest, Sha256};

const BASE58: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BECH32: &[u8] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";
/// Version, hash, checksum.
const BITCOIN_SIZE: usize = 25;
/// The shortest account that is known here: bitcoin's.
pub(super) const LEN_MIN: usize = 26;
/// A standard Monero address; sub-addresses are as long.
const MONERO_LEN: usize = 95;

/// Which account a word is, with whose where that is known; `None` if it is none.
pub(super) fn note(word: &str) -> Option<String> {
    let coin = coin(word)?;
    let whose = known::WALLETS.iter().find(|(address, _)| *address == word);
    Some(whose.map_or_else(|| coin.to_owned(), |(_, whose)| format!("{coin}, {whose}")))
}

fn coin(word: &str) -> Option<&'static str> {
    let bytes = word.as_bytes();
    match (bytes.first()?, bytes.len()) {
        (b'1' | b'3', LEN_MIN..=35) => base58check(bytes).then_some("bitcoin"),
        (b'b' | b'B', 42 | 62) => bech32(&word.to_ascii_lowercase()).then_some("bitcoin"),
        // Its checksum is in the letters' case, and needs a hash that nothing else here does.
        (b'0', 42) => {
            let digits = bytes.strip_prefix(b"0x")?;
            let varies = digits.iter().any(|digit| Some(digit) != digits.first());
            (varies && digits.iter().all(u8::is_ascii_hexdigit)).then_some("ethereum, checksum not verified")
        }
        (b'4' | b'8', MONERO_LEN) => {
            let second =
                bytes.get(1).is_some_and(|byte| byte.is_ascii_digit() || (b'A'..=b'C').contains(byte));
            (second && bytes.iter().all(|byte| BASE58.contains(byte)))
                .then_some("monero, checksum not verified")
        }
        _ => None,
    }
}

/// Base58Check (Bitcoin wiki, "Base58Check encoding"): pay-to-public-key-hash and pay-to-script-hash.
fn base58check(word: &[u8]) -> bool {
    let mut number = [0u8; BITCOIN_SIZE];
    for character in word {
        let Some(digit) = BASE58.iter().position(|one| one == character) else { return false };
        let mut carry = u32::try_from(digit).unwrap_or(0);
        for byte in number.iter_mut().rev() {
            carry = carry.wrapping_add(u32::from(*byte).wrapping_mul(58));
            *byte = u8::try_from(carry & 0xff).unwrap_or(0);
            carry >>= 8;
        }
        if carry > 0 {
            return false;
        }
    }
    let Some((body, sum)) = number.split_last_chunk::<4>() else { return false };
    let twice = Sha256::digest(Sha256::digest(body));
    matches!(body.first(), Some(0 | 5)) && twice.starts_with(sum)
}

/// Bech32 and Bech32m (BIP 173, BIP 350) of `bc`.
fn bech32(word: &str) -> bool {
    let Some(data) = word.strip_prefix("bc1") else { return false };
    // The human-readable part, spread out as the checksum wants it.
    let mut sum = [3u8, 3, 0, 2, 3].iter().fold(1u32, |sum, &value| polymod(sum, value));
    for character in data.bytes() {
        let Some(value) = BECH32.iter().position(|&one| one == character) else { return false };
        sum = polymod(sum, u8::try_from(value).unwrap_or(0));
    }
    matches!(sum, 1 | 0x2bc8_30a3)
}

fn polymod(sum: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = sum >> 25;
    let shifted = ((sum & 0x01ff_ffff) << 5) ^ u32::from(value);
    let bits = GENERATOR.iter().enumerate().filter(|(bit, _)| (top >> bit) & 1 == 1);
    bits.fold(shifted, |sum, (_, generator)| sum ^ generator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_addresses_have_good_checksums_and_changed_ones_do_not() {
        for (address, whose) in known::WALLETS {
            assert_eq!(note(address), Some(format!("bitcoin, {whose}")));
            let mut changed = address.to_string();
            let last = changed.pop();
            changed.push(if last == Some('x') { 'y' } else { 'x' });
            assert_eq!(note(&changed), None, "{changed}");
        }
        // BIP 173's own example, BIP 350's own example.
        assert_eq!(note("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"), Some("bitcoin".to_owned()));
        assert_eq!(
            note("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"),
            Some("bitcoin".to_owned())
        );
        assert_eq!(note("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"), None);
        // EIP-55's own example.
        assert!(note("0x52908400098527886E0F7030069857D2E4169EE7").is_some());
        assert_eq!(note(&format!("0x{}", "0".repeat(40))), None);
        assert!(note(&format!("4A{}", "x".repeat(93))).is_some());
        assert_eq!(note(&format!("4A{}0", "x".repeat(92))), None);
    }
}

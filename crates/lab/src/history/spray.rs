//! Logons with guessed accounts, as credential sprayers make them; some of the names are meant to hurt who shows them.

use crate::samples::raw;
use roridula_proto::client::chance::Chance;
use roridula_proto::client::request;
use roridula_proto::client::sender::Sender;

/// What is guessed most, by published lists of honeypots.
const ACCOUNTS: &[&str] = &[
    "Administrator",
    "admin",
    "Guest",
    "user",
    "test",
    "backup",
    "sql",
    "sqladmin",
    "server",
    "scanner",
    "owner",
    "operator",
    "support",
    "ftpuser",
    "veeam",
    "postgres",
    "root",
    "pos",
    "kiosk",
    "Administrateur",
];
/// What a screen, a table or a terminal must not obey.
pub const HOSTILE: &[&str] = &[
    "<script>alert(document.domain)</script>",
    "\"><img src=x onerror=alert(1)>",
    "=HYPERLINK(\"http://example.invalid\",\"admin\")",
    "\u{1b}[2J\u{1b}]0;owned\u{7}admin",
    "adm\u{202e}nimda\u{202c}",
    "line one\r\nSet-Cookie: a=b",
];
const DOMAINS: &[&str] = &["", "WORKGROUP", ".", "CORP", "EXAMPLE"];
const WORKSTATIONS: &[&str] = &["", "WIN-9KQ2TBD1", "DESKTOP-1A2B3C", "kali", "WORKSTATION"];
const SYSTEMS: &[[&str; 2]] =
    &[["Unix", "Samba"], ["Windows 2000 2195", "Windows 2000 5.0"], ["Nmap", "Native Lanman"]];

/// What somebody says of themselves when they log on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim<'a> {
    /// The account.
    pub account: &'a str,
    /// Its domain.
    pub domain: &'a str,
    /// The machine's name.
    pub workstation: &'a str,
    /// NativeOS and NativeLanMan.
    pub native: [&'a str; 2],
}

/// A guessed logon on a connection of its own. `seed` is the visitor's: its machine and its taste stay the same.
pub(super) fn guess(say: &mut dyn FnMut(&[u8]) -> Vec<u8>, seed: u64, chance: &mut Chance) {
    let mut own = Chance::new(seed >> 16);
    let native = SYSTEMS[own.below(SYSTEMS.len())];
    let workstation = WORKSTATIONS[own.below(WORKSTATIONS.len())];
    let list = if own.below(8) == 0 { HOSTILE } else { ACCOUNTS };
    let (account, domain) = (list[chance.below(list.len())], DOMAINS[chance.below(DOMAINS.len())]);
    logon(say, Claim { account, domain, workstation, native }, chance.next_u64());
}

/// NEGOTIATE and the two messages of a logon: `say` sends each and gives the answer; `seed` makes the responses.
pub fn logon(say: &mut dyn FnMut(&[u8]) -> Vec<u8>, claim: Claim<'_>, seed: u64) {
    let manner = Sender::Smbclient.implant_manner();
    let mut frame = Vec::new();
    request::negotiate(&mut frame, manner.header(0, 0, 0), manner.dialects);
    say(&frame);
    let token = request::ntlmssp_negotiate();
    request::extended_setup(&mut frame, manner.header(1, 0, 0), &manner.setup, claim.native, &token);
    let reply = say(&frame);
    // The header's UID: NBSS, then 28 bytes of the header.
    let uid = reply.get(32..34).and_then(|uid| uid.try_into().ok()).map_or(0, u16::from_le_bytes);
    let token = authenticate(claim, seed);
    request::extended_setup(&mut frame, manner.header(1, 0, uid), &manner.setup, claim.native, &token);
    say(&frame);
}

/// NTLMSSP's third message ([MS-NLMP] 2.2.1.3), its responses filler.
fn authenticate(claim: Claim<'_>, seed: u64) -> Vec<u8> {
    let Claim { account, domain, workstation, .. } = claim;
    const HEAD: usize = 64;
    // Unicode, NTLM, always sign, target: [MS-NLMP] 2.2.2.5.
    const FLAGS: u32 = 0x0000_8205;
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let filler = raw(80, seed);
    let response = filler[filler.len() - 24..].to_vec();
    // LM response, NT response, domain, account, workstation, session key.
    let fields = [response.clone(), response, wide(domain), wide(account), wide(workstation), Vec::new()];
    let mut token = b"NTLMSSP\0\x03\0\0\0".to_vec();
    let mut at = HEAD;
    for field in &fields {
        let len = u16::try_from(field.len()).unwrap_or(0);
        token.extend_from_slice(&len.to_le_bytes());
        token.extend_from_slice(&len.to_le_bytes());
        token.extend_from_slice(&u32::try_from(at).unwrap_or(0).to_le_bytes());
        at += field.len();
    }
    token.extend_from_slice(&FLAGS.to_le_bytes());
    token.extend(fields.concat());
    token
}

//! The known tools as a page.

use roridula_proto::fingerprint::tools::TOOLS;
use std::fmt::Write;

const INTRO: &str = "\
# Fingerprints and known tools

<!-- Written from the table in crates/proto/src/fingerprint/tools.rs; a test compares. Renew with
     UPDATE_EXPECT=1 cargo test -p roridula-desk --test contract -->

At the end of every connection that brought a byte, `client.fingerprint` says what the visitor's implementation looks
like. Nothing in it depends on when bytes came or how they were cut into segments: what it says follows from the
messages alone, so a replay says the same.

- `features` is what was observed, as `key=value` parted by `; `, in the order in which it came: the dialects and the
  flags offered, buffer sizes, the names that the client gives its system, the host and the leftovers of its tree
  connect, its Timeouts. Numbers are hexadecimal where the protocol's are. What changes by chance is written as a habit:
  `own` stands for a process id, a multiplex id or a Timeout that is none of the constants known from a tool.
- `order` is the order of messages as commands, a run of equal ones as `+`; `&` marks a command chained to the one
  before. `32.ping`, `32.exec` and `32.kill` are knocks at DoublePulsar's door, `25/23` is a transaction with its
  subcommand, `cut00fff7:fe534d42` the end inside a frame: bytes promised, first four bytes. `long455420` is a frame
  that promises more than is read, `?fe534d42` a message that is no SMB1, `nb81` a frame of the NetBIOS session service.
- `fingerprint` is a hash over `features`. `shape` is `order` with its counts.
- `tools` names the tools below whose every feature was observed; `grounds` are those features. A tool that is another
  one in a special shape takes its place. A tool is an observation about an implementation: who uses it is another
  question, and a client that imitates another one looks like it.
- `recognised` says what recognisers found. Where it is empty, nobody knows this traffic yet: `roridula unknown` groups
  it by shape.

To add a tool, add a row to the table.

| tool | what | observed | known from |
|---|---|---|---|
";

/// `docs/tools.md`.
pub fn markdown() -> String {
    let mut page = INTRO.to_owned();
    for tool in TOOLS {
        let needs: Vec<String> =
            tool.needs.iter().map(|need| format!("`{}`", need.replace('|', "\\|"))).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| `{}` | {} | {} | {} |", tool.id, tool.title, needs.join(", "), tool.source);
    }
    page
}

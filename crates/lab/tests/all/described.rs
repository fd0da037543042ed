//! Every golden transcript is described whole: all that came, all replies, each byte in a field.

use roridula_lab::golden::Golden;
use roridula_lab::theatre::decoy;
use roridula_lab::tidy::root;
use roridula_proto::describe::{DescribedMessage, Field, NOT_UNDERSTOOD, Page, Side, describe};
use std::fs;

fn messages(golden: &Golden) -> Vec<DescribedMessage> {
    let (mut messages, mut at) = (Vec::new(), Some(0));
    while let Some(from) = at {
        let page = describe(&golden.transcript, &decoy(), &golden.payloads, Page { at: from, messages: 64 });
        assert_eq!(page.gone, None, "{}", golden.name());
        let first = page.messages.first().map(|message| message.number);
        assert!(first.is_none_or(|first| first == messages.len() as u64), "{}", golden.name());
        messages.extend(page.messages);
        // A whole upload is the same message over and over.
        at = page.later.filter(|_| messages.len() < 1000);
    }
    messages
}

/// Bytes of a reply that nobody has divided.
fn unknown(fields: &[Field]) -> usize {
    let of = |field: &Field| match field.name {
        NOT_UNDERSTOOD => field.range.len(),
        _ => unknown(&field.fields),
    };
    fields.iter().map(of).sum()
}

#[test]
fn every_golden_is_described_from_its_first_byte_to_its_last() {
    let folders = fs::read_dir(root().join("transcripts")).expect("transcripts");
    let mut titles = 0;
    for folder in folders.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
        let golden = Golden::load(&folder).expect("a golden");
        let mut at = [0, 0];
        for message in messages(&golden) {
            let side = usize::from(message.from == Side::Decoy);
            assert_eq!(message.stream_at, at[side], "{}: bytes are left out", golden.name());
            at[side] += message.len as u64;
            // The long form of NT_CREATE_ANDX's reply has words that its WordCount denies.
            let known = message.from == Side::Visitor || message.title.starts_with("NT_CREATE_ANDX");
            let unknown = unknown(&message.fields);
            assert!(known || unknown == 0, "{}: {unknown} bytes of {:#?}", golden.name(), message);
            titles += 1;
        }
    }
    assert!(titles > 1000, "{titles}");
}

//! What holds for every input, on look-alikes whole, cut and damaged.

use super::build::{self, How, noise};
use super::chain::{archive, chain};
use crate::fuzzing::{TARGETS, check};
use crate::report::{Budget, Road};

/// One of each kind of sample.
pub(crate) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let small = build::zip(&[("a.txt", b"some text, some text", How::Deflated), ("b", b"1234", How::Stored)]);
    let dll =
        build::pe(&[("W", 101, build::behind_length(&build::pe(&[("XIA", 2058, small.clone())]), 1536, 40))]);
    let hidden: Vec<u8> = dll.iter().map(|byte| byte ^ 0x5a).collect();
    vec![
        ("chain", chain(archive(), 0).upload),
        ("dll", dll.clone()),
        ("locked", archive()),
        ("small-zip", small.clone()),
        ("zip-behind-pe", [dll.clone(), small.clone()].concat()),
        ("zip-without-end", small[..small.len() - 30].to_vec()),
        ("gzip", build::gzip(&dll)),
        ("cab", super::archives::cabinet()),
        ("hidden", [noise(100, 1), hidden].concat()),
        ("packet", super::packet(300)),
        ("text", b"nothing but text\r\n".repeat(8)),
        ("noise", noise(600, 3)),
    ]
}

#[test]
fn layers_and_gaps_rebuild_every_sample_and_every_bound_holds() {
    for (name, seed) in seeds() {
        let peeled = crate::peel::peel(&seed, Road::Payload, &Budget::default());
        check(&seed, &peeled, &Budget::default());
        assert!(peeled.remarks.is_empty(), "{name}: {:?}", peeled.remarks);
        for (_, body) in TARGETS {
            body(&seed);
        }
    }
}

#[test]
fn cuts_and_damage_break_nothing() {
    for (name, seed) in seeds() {
        // Cut and damaged at places that are spread over the whole, more of them among the first bytes.
        let places =
            (0..seed.len()).filter(|at| at % (seed.len() / 60 + 1) == 0 || (at % 3 == 0 && *at < 60));
        for at in places {
            println!("{name} at {at}");
            crate::fuzzing::peel(&seed[..at]);
            let mut damaged = seed.clone();
            for (offset, value) in [(0, 0xff), (1, 0x7f), (2, 0), (3, 0x80)] {
                if let Some(byte) = damaged.get_mut(at + offset) {
                    *byte = value;
                }
            }
            crate::fuzzing::peel(&damaged);
            crate::fuzzing::pe(&damaged);
            crate::fuzzing::zip(&damaged);
        }
    }
}

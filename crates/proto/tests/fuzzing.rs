//! The fuzz targets' bodies over pseudo-random bytes: a smoke test that runs everywhere. What a fuzzer found is
//! kept in `fuzz/regressions` and runs in the lab's tests.

use roridula_proto::fuzzing;

/// A xorshift generator: the same bytes on every machine.
fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn no_body_breaks_an_invariant() {
    for seed in 0..1500 {
        let data = bytes(seed, usize::try_from(seed % 600).unwrap());
        fuzzing::connection_operations(&data);
        fuzzing::connection_bytes(&data);
        fuzzing::connection_cuts(&data);
        if seed % 5 == 0 {
            fuzzing::exploits(&data);
        }
        fuzzing::deframer(&data);
        fuzzing::security_blob(&data);
        let message = [&b"\xffSMB"[..], &data].concat();
        fuzzing::smb1_messages(&message);
        let frame = [&[0, 0, 0, data.len().to_le_bytes()[0]][..], &message].concat();
        fuzzing::connection_bytes(&frame);
        if seed % 3 == 0 {
            fuzzing::describe(&data);
            fuzzing::describe(&frame);
        }
    }
}

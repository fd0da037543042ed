#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| roridula_triage::fuzzing::diff(data));

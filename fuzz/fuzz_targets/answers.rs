#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| roridula_triage::facts::fuzzing::answers(data));

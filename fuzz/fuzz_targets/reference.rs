//! `minik_runtime::fuzzing::reference` says what the bytes are.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| minik_runtime::fuzzing::reference(data));

//! `minik_runtime::fuzzing::layer` says what the bytes are.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| minik_runtime::fuzzing::layer(data));

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| rohrpost_tests::fuzz::timestamp_response(data));

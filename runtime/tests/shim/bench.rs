use super::Test;
pub const TESTS: &[Test] = &[];
pub fn run() {}

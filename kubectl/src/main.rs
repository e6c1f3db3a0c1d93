//! minikctl
fn main() {}

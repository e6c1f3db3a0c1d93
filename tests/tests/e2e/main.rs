//! End to end: the real executable as root, on nodes of its own, seen from outside.

mod machine;

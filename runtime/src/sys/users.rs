//! User namespaces (user_namespaces(7)).

/// Whether this process's user namespace forbids setgroups(2).
#[must_use]
pub fn groups_are_kept() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"))
}

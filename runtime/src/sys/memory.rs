//! Giving memory back that a process no longer needs, before the kernel would ask for it.

use std::fs;
use std::io;

use super::check;

/// Takes the program's and its libraries' code out of this process's memory. What is still used comes back, page by page,
/// from the file's pages in the kernel's cache; what only the start needed (and what the kernel mapped around it) does not.
///
/// # Errors
/// /proc can't be read, or madvise(2) refuses.
pub fn forget_code() -> io::Result<()> {
    for line in fs::read_to_string("/proc/self/maps")?.lines() {
        if let Some((start, length)) = code_of_file(line) {
            // SAFETY: the range is a mapping of this process, private and not writable from the start (`r-xp`; what the
            // loader relocates is never executable), so each page is the file's and reads the same when it comes back
            // (madvise(2), MADV_DONTNEED).
            let result = unsafe { libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED) };
            check(result.into()).map_err(io::Error::from)?;
        }
    }
    Ok(())
}

/// Start and length of a mapping of a file's code, from a line of /proc/PID/maps (proc_pid_maps(5)).
fn code_of_file(line: &str) -> Option<(usize, usize)> {
    let mut fields = line.split_ascii_whitespace();
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next()?;
    let path = fields.nth(3)?;
    if permissions != "r-xp" || !path.starts_with('/') {
        return None;
    }
    let address = |text| usize::from_str_radix(text, 16).ok();
    let start = address(start)?;
    Some((start, address(end)?.checked_sub(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_that_comes_from_a_file_is_forgotten() {
        for (line, range) in [
            (
                "00400000-00402000 r-xp 00000000 08:01 12 /usr/bin/minikctl",
                Some((0x40_0000, 0x2000)),
            ),
            ("00400000-00402000 r--p 00000000 08:01 12 /usr/bin/minikctl", None),
            ("00400000-00402000 rw-p 00000000 08:01 12 /usr/bin/minikctl", None),
            ("7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0 [vdso]", None),
            ("7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0", None),
            ("", None),
        ] {
            assert_eq!(code_of_file(line), range, "{line}");
        }
    }

    #[test]
    fn the_program_goes_on_with_less_in_memory() {
        // The page tables are walked for this; the counters of /proc/self/status lag behind.
        let resident = || {
            let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("/proc is there");
            let line = rollup
                .lines()
                .find_map(|line| line.strip_prefix("Rss:"))
                .expect("the kernel tells");
            line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number")
        };
        let before = resident();
        forget_code().expect("the code is forgotten");
        assert!(resident() < before);
    }
}

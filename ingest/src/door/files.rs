//! Files: each connection is one, and a process may open so many only.

use std::io;

/// What the system says when no file can be opened: the process's limit, the system's, no memory for it.
const EXHAUSTED: [i32; 4] = [24, 23, 105, 12];

/// Whether a connection was not accepted because files have run out.
pub(super) fn are_exhausted(error: &io::Error) -> bool {
    error.raw_os_error().is_some_and(|code| EXHAUSTED.contains(&code))
}

/// How many files this process may open, where the system tells.
pub(super) fn limit() -> Option<usize> {
    soft_limit(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_read() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max processes             4096                 4096                 processes \n\
                      Max open files            256                  524288               files     \n";
        assert_eq!(soft_limit(limits), Some(256));
        assert_eq!(soft_limit("Max open files            unlimited            unlimited            files"), None);
        assert_eq!(soft_limit(""), None);
        assert!(are_exhausted(&io::Error::from_raw_os_error(24)));
        assert!(!are_exhausted(&io::Error::from_raw_os_error(103)));
    }
}

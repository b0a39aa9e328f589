//! The machine that a figure comes from: a figure without it says nothing.

use serde::{Deserialize, Serialize};

/// What is known of the machine.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// How many of it.
    pub cores: usize,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// The kernel's release.
    pub kernel: String,
}

impl Machine {
    /// This one. What the system does not tell stays empty.
    pub fn here() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let (cpu, cores) = processors(&read("/proc/cpuinfo"));
        Self {
            cpu,
            cores,
            memory_mib: memory_mib(&read("/proc/meminfo")),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
        }
    }
}

/// The name of the first processor, and how many there are.
fn processors(cpuinfo: &str) -> (String, usize) {
    let field = |line: &str, name: &str| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_string())
    };
    let name = cpuinfo.lines().find_map(|line| field(line, "model name")).unwrap_or_default();
    (name, cpuinfo.lines().filter(|line| field(line, "processor").is_some()).count())
}

fn memory_mib(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// How many files a process may open, where the system tells.
pub fn files_max() -> Option<usize> {
    files_of(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn files_of(limits: &str) -> Option<usize> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_words_are_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU\nprocessor\t: 1\nmodel name\t: Some CPU\n";
        assert_eq!(processors(cpuinfo), ("Some CPU".into(), 2));
        assert_eq!(memory_mib("MemTotal:       24576000 kB\nMemFree: 1 kB\n"), 24_000);
        assert_eq!(memory_mib(""), 0);
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            20000                20000                files\n";
        assert_eq!(files_of(limits), Some(20_000));
        assert_eq!(files_of("Max open files            unlimited            unlimited            files"), None);
    }

    #[test]
    fn this_machine_has_a_processor_and_memory() {
        let here = Machine::here();
        assert!(here.cores > 0 && here.memory_mib > 0 && !here.kernel.is_empty(), "{here:?}");
    }
}

//! What processes cost, from /proc: processor time, memory now and at its most.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Ticks of /proc/PID/stat in a second: USER_HZ, which Linux keeps at 100 for programs whatever its own clock does.
const TICKS_PER_S: f64 = 100.0;

/// What one process has used so far, and holds now. A dead process that nobody has waited for yet has
/// its time, but no memory.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Reading {
    /// Processor time of all its threads, user and system, s.
    pub cpu_s: f64,
    /// Memory, KiB.
    pub rss_kib: u64,
    /// Memory at its most, KiB.
    pub peak_kib: u64,
}

/// How deep children of children are looked for.
const GENERATIONS_MAX: u32 = 4;

/// Reads a process and its children; none when it is gone.
pub fn read(pid: u32) -> Option<Reading> {
    read_family(pid, GENERATIONS_MAX)
}

fn read_family(pid: u32, generations: u32) -> Option<Reading> {
    let ticks = ticks(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib = |field| memory_kib(&status, field).unwrap_or(0);
    let own = Reading { cpu_s: ticks as f64 / TICKS_PER_S, rss_kib: kib("VmRSS:"), peak_kib: kib("VmHWM:") };
    let below = generations.checked_sub(1);
    let children = below.into_iter().flat_map(|below| children(pid).into_iter().map(move |child| (child, below)));
    Some(children.filter_map(|(child, below)| read_family(child, below)).fold(own, |sum, child| Reading {
        cpu_s: sum.cpu_s + child.cpu_s,
        rss_kib: sum.rss_kib + child.rss_kib,
        peak_kib: sum.peak_kib + child.peak_kib,
    }))
}

/// The children that live, or that nobody has waited for. Linux tells them by the thread that started each.
fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let text = |thread: std::fs::DirEntry| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
    threads.flatten().map(text).flat_map(|text| numbers(&text)).collect()
}

fn numbers(text: &str) -> Vec<u32> {
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// utime + stime + what waited-for children used: cutime + cstime. The command's name may hold spaces and
/// parentheses, so fields count from the last one.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let times: Vec<u64> = fields.split_whitespace().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    (times.len() == 4).then(|| times.iter().sum())
}

fn memory_kib(status: &str, field: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(field))?.split_whitespace().next()?.parse().ok()
}

/// A process that is watched.
#[derive(Clone, Debug)]
pub struct Watched {
    /// What it does; several may do the same.
    pub role: String,
    /// Its process id.
    pub pid: u32,
    /// Its admin port, if it has one.
    pub admin: Option<SocketAddr>,
}

/// The role of a load client.
pub const LOAD_CLIENT: &str = "load";

/// Who is watched. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct Roster(Arc<Mutex<Vec<Watched>>>);

impl Roster {
    /// With these servers, which live longer than any run.
    pub fn of(servers: &[(String, u32)]) -> Self {
        let roster = Self::default();
        servers.iter().for_each(|(role, pid)| roster.add(role, *pid, None));
        roster
    }

    /// Watches one more.
    pub fn add(&self, role: &str, pid: u32, admin: Option<SocketAddr>) {
        // Sets the peak that the kernel keeps back to what is held now; a peak since the start is no worse.
        let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        self.all().push(Watched { role: role.to_string(), pid, admin });
    }

    /// Forgets one.
    pub fn remove(&self, pid: u32) {
        self.all().retain(|watched| watched.pid != pid);
    }

    /// Those of a role that have an admin port.
    pub fn admins(&self, role: &str) -> Vec<(u32, SocketAddr)> {
        self.all().iter().filter(|one| one.role == role).filter_map(|one| Some((one.pid, one.admin?))).collect()
    }

    /// Reads all.
    pub fn snapshot(&self) -> Snapshot {
        let read = |watched: &Watched| Some((watched.pid, (watched.role.clone(), read(watched.pid)?)));
        Snapshot { at: Instant::now(), processes: self.all().iter().filter_map(read).collect() }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Watched>> {
        self.0.lock().expect("nobody panics while it holds the lock")
    }
}

/// All processes at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// When.
    pub at: Instant,
    /// Role and reading by process id.
    pub processes: BTreeMap<u32, (String, Reading)>,
}

/// What the processes of one role used between two moments, and hold at the second.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct RoleUse {
    /// What they do.
    pub role: String,
    /// How many.
    pub processes: usize,
    /// Processor time, s.
    pub cpu_s: f64,
    /// Memory of all together, MiB.
    pub rss_mib: f64,
    /// The sum of what each held at its most, MiB.
    pub peak_mib: f64,
}

impl RoleUse {
    /// Whether it is what plays, which is no part of what a figure costs.
    pub fn is_load_client(&self) -> bool {
        self.role == LOAD_CLIENT
    }
}

impl Snapshot {
    /// What each role used since `before`. One who came later is counted from its start.
    pub fn since(&self, before: &Snapshot) -> Vec<RoleUse> {
        let mut roles: BTreeMap<&str, RoleUse> = BTreeMap::new();
        for (pid, (role, reading)) in &self.processes {
            let used = roles.entry(role).or_insert_with(|| RoleUse { role: role.clone(), ..RoleUse::default() });
            let had = before.processes.get(pid).map_or(0.0, |(_, reading)| reading.cpu_s);
            used.processes += 1;
            used.cpu_s += (reading.cpu_s - had).max(0.0);
            used.rss_mib += reading.rss_kib as f64 / 1024.0;
            used.peak_mib += reading.peak_kib as f64 / 1024.0;
        }
        roles.into_values().collect()
    }

    /// What all processes of a role hold, KiB.
    pub fn rss_kib(&self, role: &str) -> u64 {
        self.processes.values().filter(|(of, _)| of == role).map(|(_, reading)| reading.rss_kib).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_hides_no_field() {
        let stat = "4242 (a (b) c) S 1 4242 4242 0 -1 4194560 1 2 3 4 150 50 7 3 20 0 12 0 99 1 1";
        assert_eq!(ticks(stat), Some(210));
        assert_eq!(ticks("4242 (x) S 1"), None);
        assert_eq!(ticks(""), None);
    }

    #[test]
    fn memory_is_read_by_field() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!((memory_kib(status, "VmRSS:"), memory_kib(status, "VmHWM:")), (Some(1024), Some(2048)));
        assert_eq!(memory_kib("Name:\tzombie\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let reading = read(std::process::id()).expect("it runs");
        assert!(reading.rss_kib > 0 && reading.peak_kib >= reading.rss_kib, "{reading:?}");
    }

    /// Goal: what a client's processes use is counted as its own. Method: a child that lives, and one that is waited for.
    #[test]
    fn children_count_with_their_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("it starts");
        let found = children(std::process::id());
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        assert!(found.contains(&child.id()), "{found:?}");
        assert_eq!(numbers("12 34 \n"), [12, 34]);
    }

    #[test]
    fn roles_are_summed_and_newcomers_count_from_their_start() {
        let reading = |cpu_s, rss_kib| Reading { cpu_s, rss_kib, peak_kib: rss_kib * 2 };
        let snapshot = |processes: &[(u32, &str, Reading)]| Snapshot {
            at: Instant::now(),
            processes: processes.iter().map(|(pid, role, reading)| (*pid, (role.to_string(), *reading))).collect(),
        };
        let before = snapshot(&[(1, "edge", reading(5.0, 0)), (9, "gone", reading(1.0, 0))]);
        let after = snapshot(&[(1, "edge", reading(6.5, 1024)), (2, "edge", reading(2.0, 1024))]);
        let used = after.since(&before);
        let edge = RoleUse { role: "edge".into(), processes: 2, cpu_s: 3.5, rss_mib: 2.0, peak_mib: 4.0 };
        assert_eq!(used, [edge]);
        assert_eq!(after.rss_kib("edge"), 2048);
    }
}

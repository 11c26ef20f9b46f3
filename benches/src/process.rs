//! What the kernel says of a process and its children: CPU time and memory.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::sleep;

/// How often a process is looked at until it rests.
const LOOK: Duration = Duration::from_millis(50);
/// CPU time between two looks up to which a process counts as resting.
const RESTING_NS: u64 = 250_000;
/// How often it must be seen resting.
const LOOKS: usize = 4;
/// Looks after which a process that does not rest is given up: 20 seconds.
const LOOKS_MAX: usize = 400;

/// A process and its children.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    pids: Vec<u32>,
}

/// CPU time in nanoseconds, by thread.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cpu(BTreeMap<u32, u64>);

impl Cpu {
    /// The CPU time since an earlier look, in nanoseconds.
    pub(crate) fn since(&self, earlier: &Cpu) -> u64 {
        self.0
            .iter()
            .map(|(thread, time)| time - earlier.0.get(thread).copied().unwrap_or(0).min(*time))
            .sum()
    }
}

impl Tree {
    /// The process `root` and those that it has started by now.
    pub(crate) fn of(root: u32) -> Result<Self> {
        let mut pids = vec![root];
        for entry in fs::read_dir("/proc")? {
            let pid = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            // A process may end while we look.
            if let Some(pid) = pid
                && fs::read_to_string(format!("/proc/{pid}/stat"))
                    .is_ok_and(|stat| parent(&stat) == Some(root))
            {
                pids.push(pid);
            }
        }
        Ok(Tree { pids })
    }

    /// How many they are.
    pub(crate) fn processes(&self) -> usize {
        self.pids.len()
    }

    /// CPU time that was used so far, in user and kernel mode, by the scheduler's own account. That counts
    /// nanoseconds, where `utime` and `stime` count hundredths of a second.
    pub(crate) fn cpu(&self) -> Result<Cpu> {
        let mut cpu = Cpu::default();
        for pid in &self.pids {
            let threads =
                fs::read_dir(format!("/proc/{pid}/task")).context("a measured process has ended")?;
            for thread in threads {
                let path = thread?.path();
                let id = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
                // A thread may end while we look; those of a runtime's blocking pool do.
                let Ok(account) = fs::read_to_string(path.join("schedstat")) else { continue };
                let time = account.split(' ').next().and_then(|time| time.parse().ok());
                let (id, time) = id.zip(time).with_context(|| format!("{}: {account}", path.display()))?;
                cpu.0.insert(id, time);
            }
        }
        Ok(cpu)
    }

    /// Waits until what was begun is done, also in the background, and gives the CPU time used by then.
    pub(crate) async fn at_rest(&self) -> Result<Cpu> {
        let mut before = self.cpu()?;
        let mut resting = 0;
        for _ in 0..LOOKS_MAX {
            sleep(LOOK).await;
            let now = self.cpu()?;
            resting = if now.since(&before) <= RESTING_NS { resting + 1 } else { 0 };
            before = now;
            if resting == LOOKS {
                return Ok(before);
            }
        }
        bail!("the proxy did not come to rest after the last request");
    }

    /// Memory that is in use now, in kilobytes.
    pub(crate) fn resident_kb(&self) -> Result<u64> {
        self.pids.iter().map(|pid| resident_kb(*pid)).sum()
    }
}

fn resident_kb(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("a measured process has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let size = line.and_then(|line| line.trim().strip_suffix(" kB"));
    size.and_then(|size| size.parse().ok()).context("the kernel does not say how much memory is in use")
}

/// The parent in a line of `/proc/PID/stat`. The command before it may hold anything, parentheses included.
fn parent(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_of_a_busy_process_grows() {
        let tree = Tree::of(std::process::id()).unwrap();
        let before = tree.cpu().unwrap();
        let mut sum = 0_u64;
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(30) {
            sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(7));
        }
        assert!(tree.cpu().unwrap().since(&before) > 1_000_000);
        assert!(tree.resident_kb().unwrap() > 100);
    }

    #[test]
    fn parents_are_found_behind_any_command() {
        assert_eq!(parent("12 (nginx) S 7 12"), Some(7));
        assert_eq!(parent("12 (a) R (b) c) S 7 12"), Some(7));
        assert_eq!(parent("12 nginx"), None);
    }

    #[test]
    fn a_new_thread_counts_from_its_start() {
        let cpu = |threads: &[(u32, u64)]| Cpu(threads.iter().copied().collect());
        assert_eq!(cpu(&[(1, 50), (2, 30)]).since(&cpu(&[(1, 20), (3, 99)])), 60);
    }
}

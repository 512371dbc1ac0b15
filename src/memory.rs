//! Memory: what this process occupies, and what the machine or its control group still has to give (Linux; elsewhere
//! nothing is known and nothing is refused).

use std::path::{Path, PathBuf};

/// What the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Bytes of the machine.
    pub total: u64,
    /// Bytes that this process can still take without swapping, limits considered.
    pub available: u64,
    /// Limit of the control group, where it is below `total`.
    pub limit: Option<u64>,
}

impl Memory {
    /// Asks the system.
    pub fn now() -> Option<Memory> {
        let info = std::fs::read_to_string("/proc/meminfo").ok()?;
        let (total, free) = (field(&info, "MemTotal:")?, field(&info, "MemAvailable:")?);
        let groups = groups(&std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default());
        let limits = groups.iter().filter_map(|folder| group(folder)).filter(|(limit, _)| *limit < total);
        let mut memory = Memory { total, available: free, limit: None };
        for (limit, left) in limits {
            memory.available = memory.available.min(left);
            memory.limit = Some(memory.limit.map_or(limit, |other| other.min(limit)));
        }
        Some(memory)
    }
}

/// Memory this process occupies, where the system tells.
pub fn resident_bytes() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
}

/// The most memory this process has occupied so far, where the system tells.
pub fn peak_bytes() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// A line such as `MemTotal:   16384 kB`, in bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// Folders that hold the memory limits of this process: its own control group and those around it, version 2 or 1.
fn groups(own: &str) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let root = match controllers {
            "" => Path::new("/sys/fs/cgroup"),
            names if names.split(',').any(|name| name == "memory") => Path::new("/sys/fs/cgroup/memory"),
            _ => continue,
        };
        // Inside a container the path is often that of the host; its root is then our own group.
        let own = root.join(path.trim_start_matches('/'));
        folders.extend(own.ancestors().take_while(|folder| folder.starts_with(root)).map(Path::to_path_buf));
    }
    folders
}

/// Limit of a group and what is left of it. File pages that nobody uses count as free.
fn group(folder: &Path) -> Option<(u64, u64)> {
    let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let limit = number("memory.max").or_else(|| number("memory.limit_in_bytes"))?;
    let used = number("memory.current").or_else(|| number("memory.usage_in_bytes")).unwrap_or(0);
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let idle = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok());
    Some((limit, limit.saturating_sub(used.saturating_sub(idle.unwrap_or(0)))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn limits_of_groups_are_found() {
        let folders = groups("12:cpu,memory:/docker/a\n3:pids:/x\n0::/user.slice/me\n");
        let paths: Vec<_> = folders.iter().map(|f| f.to_str().unwrap()).collect();
        let v1 = ["/sys/fs/cgroup/memory/docker/a", "/sys/fs/cgroup/memory/docker", "/sys/fs/cgroup/memory"];
        assert_eq!(paths[..3], v1);
        assert_eq!(paths[3..], ["/sys/fs/cgroup/user.slice/me", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"]);
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write("memory.max", "max\n");
        assert_eq!(group(dir.path()), None);
        write("memory.max", "1000\n");
        write("memory.current", "700\n");
        assert_eq!(group(dir.path()), Some((1000, 300)));
        write("memory.stat", "anon 300\ninactive_file 400\n");
        assert_eq!(group(dir.path()), Some((1000, 700)));
    }

    #[test]
    fn this_process_has_a_size() {
        let Some(memory) = Memory::now() else { return };
        assert!(memory.available <= memory.total && memory.total > 1 << 20);
        assert!(resident_bytes() <= peak_bytes());
        assert_eq!(field("MemFree:  12 kB\n", "MemFree:"), Some(12 << 10));
    }
}

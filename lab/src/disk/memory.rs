//! The memory that files can take here: whether all of them have room, as hot ones need it, or not, as 'thrash' needs it.

use loadtest::available_memory;
use process_tree::own_cgroup;
use results::cache::Cache;

use super::files::Files;

/// The share of the free memory that hot files may take.
const HOT_SHARE: f64 = 0.7;

/// Memory, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// What this program and its children may use, with the files that they read: the machine's memory, or the limit of its
    /// control group if that is less.
    pub most: u64,
    /// How much of this is free now, or is taken by files only.
    free: u64,
}

impl Memory {
    /// The memory that this program may use; `None` if the kernel does not tell it.
    pub fn of_this_program() -> Option<Memory> {
        let all = nix::sys::sysinfo::sysinfo().ok()?.ram_total();
        let most = own_cgroup().and_then(|group| group.memory_max()).map_or(all, |limit| limit.min(all));
        Some(Memory { most, free: available_memory()?.min(most) })
    }

    /// Why these files cannot be in this state here, and what to do.
    pub fn why_not(self, cache: Cache, sets: &[Files]) -> Option<String> {
        let bytes = sets.iter().map(Files::total);
        let megabytes = |bytes: u64| bytes / 1_000_000;
        match cache {
            Cache::Cold => None,
            Cache::Hot => bytes.max().filter(|&all| all as f64 > self.free as f64 * HOT_SHARE).map(|all| {
                let (files, free) = (megabytes(all), megabytes(self.free));
                format!("--cache hot: the files have {files} MB, and {free} MB of memory are free; give a smaller --set")
            }),
            Cache::Thrash => bytes.min().filter(|&all| all <= self.most).map(|all| {
                let (files, most) = (megabytes(all), megabytes(self.most));
                format!(
                    "--cache thrash: the files have {files} MB, and {most} MB of memory may hold them all; give a larger --set, or let \
                     the lab have less memory: 'docker compose run --rm disk --cache thrash', or 'systemd-run --scope -p MemoryMax=1G' \
                     in front of the command"
                )
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn hot_files_need_room_and_thrashing_ones_must_have_none() {
        let of = |megabytes| Files::new(Path::new("d"), &"1M".parse().unwrap(), megabytes);
        let memory = Memory { most: 2_000_000_000, free: 1_000_000_000 };
        let is_refused = |cache, sets: &[Files]| memory.why_not(cache, sets).is_some();
        assert!(!is_refused(Cache::Hot, &[of(700)]) && is_refused(Cache::Hot, &[of(700), of(701)]));
        assert!(!is_refused(Cache::Thrash, &[of(2001)]) && is_refused(Cache::Thrash, &[of(2000), of(2001)]));
        assert!(!is_refused(Cache::Cold, &[of(1), of(9_000)]));
        let why = memory.why_not(Cache::Thrash, &[of(5)]).unwrap();
        assert!(
            why.starts_with("--cache thrash: the files have 5 MB, and 2000 MB of memory may hold them all;"),
            "{why}"
        );
    }

    #[test]
    fn this_program_may_use_some_memory() {
        let memory = Memory::of_this_program().expect("Linux tells it");
        assert!(memory.free > 0 && memory.free <= memory.most);
    }
}

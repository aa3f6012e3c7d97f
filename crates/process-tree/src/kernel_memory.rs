//! Memory of the whole machine that the kernel uses for processes and sockets: [`KernelMemory`].

use std::io;

/// Fields of `/proc/meminfo`, in bytes. proc_meminfo(5)
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelMemory {
    /// `AnonPages`: memory of processes that is not from a file. It is user memory, for comparison.
    pub anonymous: u64,
    /// `KernelStack`: the stacks that threads use in the kernel.
    pub stacks: u64,
    /// `PageTables`.
    pub page_tables: u64,
    /// `SUnreclaim` and `SReclaimable`: sockets, task structures, open files and other objects of the kernel.
    pub slab: u64,
}

impl KernelMemory {
    /// Reads the fields as they are now.
    ///
    /// # Errors
    /// `/proc/meminfo` cannot be read, or lacks a field.
    pub fn read() -> io::Result<KernelMemory> {
        KernelMemory::parse(&std::fs::read_to_string("/proc/meminfo")?)
    }

    /// Stacks, page tables and slab together.
    pub fn kernel(&self) -> u64 {
        self.stacks + self.page_tables + self.slab
    }

    fn parse(text: &str) -> io::Result<KernelMemory> {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
            let missing = || io::Error::new(io::ErrorKind::Unsupported, format!("/proc/meminfo has no {name}"));
            kib.map(|kib| kib * 1024).ok_or_else(missing)
        };
        Ok(KernelMemory {
            anonymous: field("AnonPages")?,
            stacks: field("KernelStack")?,
            page_tables: field("PageTables")?,
            slab: field("SUnreclaim")? + field("SReclaimable")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_read_in_bytes() {
        let text = "AnonPages: 5 kB\nSlab: 99 kB\nSReclaimable:  2 kB\nSUnreclaim: 3 kB\nKernelStack:  7 kB\n";
        assert!(KernelMemory::parse(text).unwrap_err().to_string().contains("PageTables"));
        let memory = KernelMemory::parse(&format!("{text}PageTables: 11 kB\n")).unwrap();
        assert_eq!((memory.anonymous, memory.kernel()), (5 << 10, (2 + 3 + 7 + 11) << 10));
    }
}

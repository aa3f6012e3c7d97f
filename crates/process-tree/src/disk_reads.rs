//! How much the disks of the machine have read, whichever program asked for it: [`DiskReads`].

use std::fs;
use std::io;
use std::path::Path;

/// Bytes that the machine's disks have read since boot. The difference of two readings is what happened between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskReads {
    /// Over all disks that stand for themselves: no partitions, and no devices that are made of others (device mapper, RAID,
    /// loop), whose reads are those of others, too; nor memory that looks like a disk (zram, ram).
    pub bytes: u64,
}

/// A sector of `/proc/diskstats`, whatever those of the disk are. Documentation/admin-guide/iostats.rst
const SECTOR: u64 = 512;

impl DiskReads {
    /// Reads `/proc/diskstats`. A network file system is no disk, and is not in it.
    ///
    /// # Errors
    /// It cannot be read, or no disk is in it.
    pub fn read() -> io::Result<DiskReads> {
        let stands_for_itself = |name: &str| {
            if ["loop", "ram", "zram"].iter().any(|kind| name.starts_with(kind)) {
                return false;
            }
            let device = Path::new("/sys/block").join(name); // a partition has no folder there
            let is_made_of_others = || fs::read_dir(device.join("slaves")).is_ok_and(|mut them| them.next().is_some());
            device.exists() && !is_made_of_others()
        };
        let found = parse(&fs::read_to_string("/proc/diskstats")?, stands_for_itself);
        found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "/proc/diskstats has no disk"))
    }
}

/// The sum over the disks of which `counts` is true; `None` without any.
fn parse(text: &str, counts: impl Fn(&str) -> bool) -> Option<DiskReads> {
    let sectors = text.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(2);
        let name = fields.next()?;
        let sectors: u64 = fields.nth(2)?.parse().ok()?;
        counts(name).then_some(sectors)
    });
    let sectors: Vec<u64> = sectors.collect();
    (!sectors.is_empty()).then(|| DiskReads { bytes: sectors.iter().sum::<u64>() * SECTOR })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sectors_that_were_read_are_added_up_over_disks() {
        let text = " 254 0 vda 10 0 800 5 7 0 9000 3 0 1 2\n 254 1 vda1 9 0 700 5 7 0 9 3 0 1 2\n 7 0 loop0 1 1 2 1\n 8 0 sda 1 0 8 1\n";
        assert_eq!(parse(text, |name| ["vda", "sda"].contains(&name)), Some(DiskReads { bytes: 808 * 512 }));
        assert_eq!(parse(text, |_| false), None);
        assert_eq!(parse("", |_| true), None);
    }
}

//! Divides the CPUs between the server and the load, so that neither takes time from the other.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use cpu_list::CpuList;

/// Where the kernel describes the CPUs: Documentation/admin-guide/cputopology.rst
const SYSFS: &str = "/sys/devices/system/cpu";
/// Cores whose speeds differ by less than this share are of the same kind: the fastest cores of some processors may be
/// clocked a little higher than the others of their kind.
const SAME_KIND: f64 = 0.15;

/// A core: CPUs that share its execution units (SMT), and so slow each other down.
#[derive(Clone, Debug, PartialEq)]
struct Core {
    /// Its CPUs that may be used, ascending.
    cpus: Vec<usize>,
    /// Its highest speed, in a unit that is the same for all cores of the machine; 0 if the kernel does not say it.
    speed: f64,
}

/// The CPUs of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Division {
    /// The CPUs of the services, ascending.
    pub servers: CpuList,
    /// The CPUs of the load, of the supervisors and of the lab itself, ascending.
    pub load: CpuList,
    /// A sentence about what the machine could not give.
    remark: Option<&'static str>,
}

impl Division {
    /// Divides the CPUs that this process may use.
    ///
    /// # Errors
    /// A line: the kernel does not say which these are.
    pub fn of_this_machine() -> Result<Division, &'static str> {
        let allowed = CpuList::allowed().ok().filter(|allowed| !allowed.cpus().is_empty());
        let allowed = allowed.ok_or("sched_getaffinity(2) does not say which CPUs this process may use")?;
        Ok(divide(cores(&allowed, |cpu, file| {
            std::fs::read_to_string(Path::new(SYSFS).join(format!("cpu{cpu}")).join(file)).ok()
        })))
    }

    /// Both sides use all CPUs of both.
    pub fn shared(&self) -> Division {
        Division { servers: self.all(), load: self.all(), remark: None }
    }

    /// The CPUs of both sides.
    pub fn all(&self) -> CpuList {
        [self.servers.cpus(), self.load.cpus()].concat().into()
    }

    /// Whether each side has cores of its own, of the same kinds.
    pub fn is_fair(&self) -> bool {
        self.remark.is_none() && self.servers != self.load
    }

    /// Says in a sentence or two which CPUs the services and the load use.
    pub fn describe(&self) -> String {
        let sides = format!("Servers on CPU {}, load on CPU {}.", self.servers, self.load);
        match self.remark {
            _ if self.servers == self.load => {
                "One CPU: server and load share it, so compare only the servers' CPU per request.".into()
            }
            Some(remark) => format!("{sides} {remark}"),
            None => sides,
        }
    }
}

/// The cores of these CPUs. `file` reads a file of a CPU. Where the kernel does not say which CPUs are siblings, each is
/// a core of its own.
fn cores(allowed: &CpuList, file: impl Fn(usize, &str) -> Option<String>) -> Vec<Core> {
    let number = |cpu, name: &str| file(cpu, name)?.trim().parse::<f64>().ok();
    let mut cores: BTreeMap<usize, Core> = BTreeMap::new();
    for &cpu in allowed.cpus() {
        // The first is its name since Linux 5.10.
        let siblings = ["topology/core_cpus_list", "topology/thread_siblings_list"].into_iter();
        let siblings = siblings.filter_map(|name| CpuList::from_str(file(cpu, name)?.trim()).ok()).next();
        let first = siblings.and_then(|siblings| siblings.cpus().first().copied()).unwrap_or(cpu);
        let speed = number(cpu, "cpu_capacity").or_else(|| number(cpu, "cpufreq/cpuinfo_max_freq")).unwrap_or(0.0);
        cores.entry(first).or_insert(Core { cpus: Vec::new(), speed }).cpus.push(cpu);
    }
    cores.into_values().collect()
}

/// Divides the cores of each kind evenly. Of an odd number, one more goes to the load; where several kinds have odd
/// numbers, the sides get one more in turn.
fn divide(mut cores: Vec<Core>) -> Division {
    if let [core] = &mut cores[..] {
        let of_load = core.cpus.split_off(core.cpus.len() / 2);
        let servers = if core.cpus.is_empty() { of_load.clone() } else { std::mem::take(&mut core.cpus) };
        let remark = "Both sides share one core, and slow each other down: compare only the servers' CPU per request.";
        return Division { servers: servers.into(), load: of_load.into(), remark: Some(remark) };
    }
    let (mut servers, mut load) = (Vec::new(), Vec::new());
    let (mut load_gets_more, mut is_even) = (true, true);
    for kind in kinds(cores) {
        let odd = kind.len() % 2 == 1;
        let of_servers = kind.len() / 2 + usize::from(odd && !load_gets_more);
        load_gets_more ^= odd;
        is_even &= 0 < of_servers && of_servers < kind.len();
        let (first, rest) = kind.split_at(of_servers);
        servers.extend(first.iter().flat_map(|core| &core.cpus));
        load.extend(rest.iter().flat_map(|core| &core.cpus));
    }
    let remark = (!is_even).then_some("The sides have cores of different speeds, for there is only one of a kind.");
    Division { servers: servers.into(), load: load.into(), remark }
}

/// The cores by kind, the fastest kind first; the cores of a kind by their CPUs.
fn kinds(mut cores: Vec<Core>) -> Vec<Vec<Core>> {
    cores.sort_by(|a, b| b.speed.total_cmp(&a.speed).then_with(|| a.cpus.cmp(&b.cpus)));
    let mut kinds: Vec<Vec<Core>> = Vec::new();
    for core in cores {
        match kinds.last_mut() {
            Some(kind) if core.speed >= kind[0].speed * (1.0 - SAME_KIND) => kind.push(core),
            _ => kinds.push(vec![core]),
        }
    }
    kinds.iter_mut().for_each(|kind| kind.sort_by(|a, b| a.cpus.cmp(&b.cpus)));
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Divides CPUs of a machine with these siblings and speeds, of which `allowed` may be used.
    fn divided(allowed: &str, siblings: &[&[usize]], speeds: &[u32]) -> (String, String, String) {
        let cores = cores(&allowed.parse().unwrap(), |cpu, file| match file {
            "topology/core_cpus_list" => {
                Some(format!("{}\n", CpuList::from(siblings.iter().find(|core| core.contains(&cpu))?.to_vec())))
            }
            "cpufreq/cpuinfo_max_freq" => speeds.get(cpu).map(|speed| format!("{speed}\n")),
            _ => None,
        });
        let division = divide(cores);
        (division.servers.to_string(), division.load.to_string(), division.describe())
    }

    fn sides(allowed: &str, siblings: &[&[usize]], speeds: &[u32]) -> (String, String) {
        let (servers, load, _) = divided(allowed, siblings, speeds);
        (servers, load)
    }

    fn pair(servers: &str, load: &str) -> (String, String) {
        (servers.into(), load.into())
    }

    #[test]
    fn each_side_gets_half_of_the_cores_and_the_load_an_odd_one() {
        assert_eq!(sides("0-1", &[&[0], &[1]], &[]), pair("0", "1"));
        assert_eq!(sides("0-2", &[&[0], &[1], &[2]], &[]), pair("0", "1,2"));
        assert_eq!(sides("0-3", &[], &[]), pair("0,1", "2,3"), "without a topology, each CPU is a core");
        assert_eq!(sides("2,5,7", &[], &[]), pair("2", "5,7"), "only some CPUs may be used");
    }

    #[test]
    fn siblings_stay_together() {
        assert_eq!(sides("0-3", &[&[0, 2], &[1, 3]], &[]), pair("0,2", "1,3"));
        assert_eq!(sides("0-5", &[&[0, 1], &[2, 3], &[4, 5]], &[]), pair("0,1", "2,3,4,5"));
        assert_eq!(sides("1-3", &[&[0, 2], &[1, 3]], &[]), pair("1,3", "2"), "CPU 0 may not be used");
    }

    #[test]
    fn each_side_gets_cores_of_each_kind() {
        let single: [&[usize]; 8] = [&[0], &[1], &[2], &[3], &[4], &[5], &[6], &[7]];
        let little_first = [400, 400, 400, 400, 1024, 1024, 1024, 1024];
        assert_eq!(sides("0-7", &single, &little_first), pair("0,1,4,5", "2,3,6,7"));
        let hybrid = [5200, 5200, 5000, 5000, 3800, 3800, 3800, 3800];
        assert_eq!(sides("0-7", &[&[0, 1], &[2, 3]], &hybrid), pair("0,1,4,5", "2,3,6,7"));
        // Three of one kind and three of another: each side gets three.
        assert_eq!(sides("0-5", &[], &[2, 2, 2, 1, 1, 1]), pair("0,3,4", "1,2,5"));
    }

    #[test]
    fn what_the_machine_cannot_give_is_said() {
        let sentence = |allowed: &str, siblings: &[&[usize]], speeds: &[u32]| divided(allowed, siblings, speeds).2;
        assert_eq!(sentence("0-1", &[&[0], &[1]], &[]), "Servers on CPU 0, load on CPU 1.");
        assert!(sentence("3", &[], &[]).starts_with("One CPU: server and load share it"));
        assert_eq!(sides("3", &[], &[]), pair("3", "3"));
        let one_core = sentence("0-1", &[&[0, 1]], &[]);
        assert!(one_core.starts_with("Servers on CPU 0, load on CPU 1. Both sides share one core"), "{one_core}");
        let unlike = sentence("0-1", &[], &[2, 1]);
        assert!(unlike.starts_with("Servers on CPU 1, load on CPU 0. The sides have cores of different"), "{unlike}");
    }
}

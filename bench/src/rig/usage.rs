//! What processes have used: CPU time and memory, from /proc (proc(5)).

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// The name that sqlx gives to the threads which run SQLite, as far as the kernel keeps it.
const SQLITE_THREAD: &str = "sqlx-sqlite-wor";

/// Fields of /proc/ID/stat after the name, counted from 0: parent, and user and system time of the
/// process and of its children that have ended.
const PARENT: usize = 1;
const OWN_TIME: [usize; 2] = [11, 12];
const ENDED_CHILDREN_TIME: [usize; 2] = [13, 14];

/// CPU time of a process and of all processes below it, in seconds.
pub(crate) fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let mut ticks = 0;
    let mut above = vec![id];
    let all = processes()?;
    while let Some(id) = above.pop() {
        for (child, fields) in &all {
            if *child == id {
                ticks += sum(fields, OWN_TIME) + sum(fields, ENDED_CHILDREN_TIME);
            }
            if number(fields, PARENT) == u64::from(id) {
                above.push(*child);
            }
        }
    }
    Ok(seconds(ticks))
}

/// CPU time of this process, without those that it has started, in seconds.
pub(crate) fn own_cpu_seconds() -> anyhow::Result<f64> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = split(&text).context("/proc/self/stat")?;
    Ok(seconds(sum(&fields, OWN_TIME)))
}

/// CPU time of the threads of a process that run SQLite, in seconds.
pub(crate) fn sqlite_cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let mut ticks = 0;
    for thread in fs::read_dir(format!("/proc/{id}/task"))? {
        let Ok(text) = fs::read_to_string(thread?.path().join("stat")) else {
            continue; // ended meanwhile
        };
        let (name, fields) = split(&text).context("/proc/ID/task/ID/stat")?;
        if name.starts_with(SQLITE_THREAD) {
            ticks += sum(&fields, OWN_TIME);
        }
    }
    Ok(seconds(ticks))
}

/// Resident memory of a process now, in MiB.
pub(crate) fn resident_mib(id: u32) -> anyhow::Result<f64> {
    status_mib(id, "VmRSS:")
}

/// The most that was ever resident, in MiB.
pub(crate) fn peak_mib(id: u32) -> anyhow::Result<f64> {
    status_mib(id, "VmHWM:")
}

fn status_mib(id: u32, field: &str) -> anyhow::Result<f64> {
    let path = format!("/proc/{id}/status");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB"));
    let kib: f64 = kib.context(path)?.trim().parse()?;
    Ok(kib / 1024.0)
}

fn processes() -> anyhow::Result<Vec<(u32, Vec<String>)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|id| id.parse().ok()) else {
            continue;
        };
        if let Ok(text) =
            fs::read_to_string(Path::new("/proc").join(entry.file_name()).join("stat"))
            && let Some((_, fields)) = split(&text)
        {
            found.push((id, fields));
        }
    }
    Ok(found)
}

/// The name, which may hold anything, and the fields after it.
fn split(stat: &str) -> Option<(&str, Vec<String>)> {
    let (before, fields) = stat.rsplit_once(") ")?;
    let (_, name) = before.split_once('(')?;
    Some((name, fields.split_whitespace().map(str::to_owned).collect()))
}

fn sum(fields: &[String], places: [usize; 2]) -> u64 {
    places.map(|place| number(fields, place)).iter().sum()
}

fn number(fields: &[String], place: usize) -> u64 {
    fields
        .get(place)
        .and_then(|field| field.parse().ok())
        .unwrap_or_default()
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{cpu_seconds, peak_mib, resident_mib, split};

    #[test]
    fn a_name_may_hold_brackets_and_blanks() {
        let (name, fields) = split("12 (a) b (c)) S 7 12").unwrap();
        assert_eq!((name, fields[1].as_str()), ("a) b (c)", "7"));
    }

    #[test]
    fn a_process_that_works_uses_time_and_memory() {
        let id = std::process::id();
        let before = cpu_seconds(id).unwrap();
        let began = Instant::now();
        while cpu_seconds(id).unwrap() <= before {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "no time was counted"
            );
        }
        let (now, peak) = (resident_mib(id).unwrap(), peak_mib(id).unwrap());
        assert!(now > 0.5 && peak >= now * 0.9, "{now} {peak}");
    }
}

//! Programs as whole processes: what they print, their processor time, their memory.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::{Failed, PROGRAM};

/// Runs a program to its end; what it printed. The gate of a run may fail or stay undecided, which is no error here.
pub fn quiet(command: &mut Command) -> Result<String, Failed> {
    let output = command.stdin(Stdio::null()).output()?;
    match output.status.code() {
        Some(0 | 1 | 4) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        _ => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)).into()),
    }
}

/// Processor time of all children that have ended, in milliseconds; clock ticks are hundredths of a second on Linux.
pub fn children() -> Result<f64, Failed> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(')').ok_or("no /proc/self/stat")?;
    let ticks: u64 = fields.split_whitespace().skip(13).take(2).map(|t| t.parse::<u64>().unwrap_or(0)).sum();
    Ok(ticks as f64 * 10.0)
}

/// The peak of a process's memory in KiB. Its last word is read only when the peak was: a long report is rendered by then,
/// and the process waits for its reader.
pub fn high_water(arguments: &[&str]) -> Result<u64, Failed> {
    let mut child = Command::new(PROGRAM).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut stdout = child.stdout.take().ok_or("no output")?;
    let path = format!("/proc/{}/status", child.id());
    let reader = std::thread::spawn(move || {
        let mut first = [0];
        let _ = stdout.read(&mut first);
        std::thread::sleep(Duration::from_millis(20));
        let _ = stdout.read_to_end(&mut Vec::new());
    });
    let mut peak = 0;
    while child.try_wait()?.is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).map_or(peak, |now: u64| now.max(peak));
        std::thread::sleep(Duration::from_micros(200));
    }
    reader.join().map_err(|_| "the reader failed")?;
    if peak == 0 { Err("it could not be read".into()) } else { Ok(peak) }
}

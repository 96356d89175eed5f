//! What rendering costs: `cargo bench --bench render`. Reports of three hundred scenarios and twenty targets, made of one real run,
//! are read from a file and written in each format by the program as a whole process.
//!
//! Nothing here is asserted: a table is printed, each figure beside its goal.

#[allow(dead_code, reason = "a helper of the tests")]
#[path = "../tests/common/many.rs"]
mod many;

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use grantproof::report::{FORMATS, Format, read};

type Failed = Box<dyn Error + Send + Sync>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_grantproof");
const SCENARIOS: usize = 300;
const TARGETS: usize = 20;
const ROUNDS: usize = 5;

fn main() -> Result<(), Failed> {
    if !std::env::args().any(|a| a == "--bench") {
        println!("render: nothing is tested here; measure with `cargo bench --bench render`");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run.json");
    run_lab(&["-q", "--report", &format!("json={}", run.display())])?;
    let report = read::file(&run)?.remove(0);
    let json = Format::by_name("json").ok_or("no format json")?;
    let [one, all] = [1, TARGETS].map(|targets| many::many(&report, SCENARIOS, targets));
    let (one_file, all_file) = (folder.path().join("one.json"), folder.path().join("all.json"));
    std::fs::write(&one_file, json.text(&one)?)?;
    std::fs::write(&all_file, json.text(&all)?)?;
    println!("| {SCENARIOS} scenarios × {TARGETS} targets | time | goal | peak memory | goal | size | one target |");
    println!("|---|---|---|---|---|---|---|");
    for format in FORMATS {
        let (seconds, peak, size) = measure(format, &all_file, folder.path())?;
        let (_, _, single) = measure(format, &one_file, folder.path())?;
        println!(
            "| {} | {seconds:.2} s | < 1 s | {} MiB | < 256 MiB | {:.1} MiB | {:.2} MiB |",
            format.name,
            peak >> 10,
            size as f64 / f64::from(1 << 20),
            single as f64 / f64::from(1 << 20)
        );
    }
    println!("\nthe file that was read: {:.1} MiB", std::fs::metadata(&all_file)?.len() as f64 / f64::from(1 << 20));
    println!("\n| `run` on the lab | peak memory, the lab included |\n|---|---|");
    for repeat in ["1", "5", "20"] {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "-q", "--repeat", repeat, "--report", &format!("json={}", folder.path().join("r.json").display())]);
        let (_, peak) = watched(command)?;
        let size = std::fs::metadata(folder.path().join("r.json"))?.len();
        println!("| --repeat {repeat}: a report of {:.1} MiB | {:.1} MiB |", size as f64 / f64::from(1 << 20), peak as f64 / 1024.0);
    }
    Ok(())
}

fn run_lab(arguments: &[&str]) -> Result<(), Failed> {
    let flaws = "refresh-reuse-accepted,pkce-verifier-ignored,redirect-uri-prefix-match";
    let status = Command::new(PROGRAM).args(["run", "--flaw", flaws]).args(arguments).stdout(Stdio::null()).status()?;
    if status.code() == Some(1) { Ok(()) } else { Err(format!("the lab: {status}").into()) }
}

/// The least time of some rounds in seconds, the most memory in KiB, and the size of what was written.
fn measure(format: &Format, file: &Path, folder: &Path) -> Result<(f64, u64, u64), Failed> {
    let out = folder.join(format!("out.{}", format.extension));
    let (mut least, mut most) = (f64::INFINITY, 0);
    for _ in 0..ROUNDS {
        let mut command = Command::new(PROGRAM);
        command.arg("render").arg(file).args(["-q", "--report", &format!("{}={}", format.name, out.display())]);
        let (seconds, peak) = watched(command)?;
        least = least.min(seconds);
        most = most.max(peak);
    }
    Ok((least, most, std::fs::metadata(&out)?.len()))
}

/// How long a process takes in seconds, and the peak of its memory in KiB (Linux; elsewhere 0).
fn watched(mut command: Command) -> Result<(f64, u64), Failed> {
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        peak = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok()).map_or(peak, |now: u64| now.max(peak));
        if child.try_wait()?.is_some() {
            return Ok((begun.elapsed().as_secs_f64(), peak));
        }
        // Often enough to see the peak, seldom enough not to be the work.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

//! Where reports go: standard output in one format, files in others, all of the same run.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;

use crate::model::report::Report;
use crate::report::safe::line as safe;
use crate::report::{self, Format, gate, json, terminal};

use super::args::Output;
use super::colour::Colour;
use super::{Failure, print};

/// Where reports go that were given no name.
pub const FOLDER: &str = "reports";

/// The outputs of one command. Paths are tried before anything is sent: an hour of testing must not end at a full disk or
/// a missing directory.
pub struct Outputs {
    format: &'static Format,
    files: Vec<(&'static Format, PathBuf)>,
    verbose: bool,
    quiet: bool,
    open: bool,
}

impl Outputs {
    /// `target` names the files that no name was given for; None: none is written by itself.
    ///
    /// # Errors
    /// An unknown format (2), or a file that cannot be written (5).
    pub fn open(arguments: &Output, target: Option<&str>) -> Result<Outputs, Failure> {
        let format = by_name(&arguments.format)?;
        let mut files = Vec::new();
        let beside = |format: &Format| Path::new(FOLDER).join(format!("{}.{}", slug(target.unwrap_or("report")), format.extension));
        for entry in &arguments.report {
            let (format, path) = match entry.split_once('=') {
                Some((name, path)) if !path.is_empty() => (by_name(name)?, PathBuf::from(path)),
                Some(_) => {
                    return Err(Failure::input(format!(
                        "error: --report {entry}\n  = help: write FORMAT=FILE, for example json=reports/out.json"
                    )));
                }
                None => (by_name(entry)?, beside(by_name(entry)?)),
            };
            files.push((format, path));
        }
        let by_itself = arguments.report.is_empty() && !arguments.no_report && target.is_some() && Path::new(FOLDER).is_dir();
        if by_itself {
            files.push((by_name("json")?, beside(by_name("json")?)));
        } else if arguments.report.iter().any(|entry| !entry.contains('=')) {
            // Whether it can be made is found out with the files below.
            let _ = std::fs::create_dir(FOLDER);
        }
        if arguments.open && !files.iter().any(|(format, _)| format.name == "html") {
            let _ = std::fs::create_dir(FOLDER);
            files.push((by_name("html")?, beside(by_name("html")?)));
        }
        for (index, (_, path)) in files.iter().enumerate() {
            if files[..index].iter().any(|(_, other)| other == path) {
                return Err(Failure::input(format!(
                    "error: two reports would be written to {}\n  = help: give each a file of its own: --report FORMAT=FILE",
                    path.display()
                )));
            }
            writable(path)?;
        }
        Ok(Outputs { format, files, verbose: arguments.verbose > 0, quiet: arguments.quiet, open: arguments.open })
    }

    /// Whether any output shows or carries the seal of a report. A terminal does not, and sealing goes over all evidence.
    pub fn have_seal(&self) -> bool {
        self.files.iter().map(|(format, _)| *format).chain([self.format]).any(|format| format.name != "terminal")
    }

    /// The folder beside the report for pictures of logins that fail: named like it, with `-login` behind.
    pub fn evidence(&self) -> Option<PathBuf> {
        let (_, path) = self.files.first()?;
        Some(path.with_file_name(format!("{}-login", path.file_stem()?.to_string_lossy())))
    }

    /// Writes every file whole or not at all, then standard output.
    ///
    /// # Errors
    /// A report that cannot be written (5).
    pub fn write(&self, reports: &[Report], colour: Colour, key: Option<&SigningKey>) -> Result<(), Failure> {
        // Several reports in one file are signed together.
        let render = |format: &Format, out: &mut dyn Write| match format.name {
            "json" => json::write_signed(reports, key, out),
            _ => (format.write)(reports, out),
        };
        for (format, path) in &self.files {
            write(path, |out| render(format, out))?;
        }
        let on_terminal = self.format.name == "terminal";
        let mut out = BufWriter::new(io::stdout().lock());
        let written = if self.quiet && on_terminal {
            reports.iter().try_for_each(|report| writeln!(out, "{}: gate: {}", safe(&report.target.name), safe(&gate::of(report).words)))
        } else if on_terminal {
            terminal::write(reports, terminal::Style { colour: colour.stdout, verbose: self.verbose }, &mut out)
        } else {
            render(self.format, &mut out)
        };
        match written.and_then(|()| out.flush()) {
            // Whoever read it has seen enough: `grantproof run | head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => {
                return Err(Failure { code: gate::NOT_WRITTEN, message: format!("fatal: standard output cannot be written: {error}") });
            }
            Ok(()) => drop(out),
        }
        if on_terminal && !self.quiet {
            for (_, path) in &self.files {
                print(&format!("report: {}\n", path.display()))?;
            }
        }
        if let Some((_, path)) = self.files.iter().find(|(format, _)| self.open && format.name == "html")
            && let Err(error) = open::that_detached(path)
        {
            eprintln!("warning: {} cannot be opened: {error}; open it by hand", path.display());
        }
        Ok(())
    }
}

fn by_name(name: &str) -> Result<&'static Format, Failure> {
    let known = || report::FORMATS.iter().map(|f| f.name).collect::<Vec<_>>().join(", ");
    Format::by_name(name).ok_or_else(|| Failure::input(format!("error: no format `{name}`\n  = help: known are: {}", known())))
}

/// Tries whether a file can be written, and leaves what is in it.
///
/// # Errors
/// It cannot (5).
pub fn writable(path: &Path) -> Result<(), Failure> {
    let new = !path.exists();
    std::fs::OpenOptions::new().append(true).create(true).open(path).map_err(|error| Failure {
        code: gate::NOT_WRITTEN,
        message: format!("fatal: {} cannot be written: {error}\n  nothing was sent", path.display()),
    })?;
    if new {
        // An empty file would look like a report that was cut off.
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}

/// Writes a file whole or not at all.
///
/// # Errors
/// It cannot be written (5).
pub fn write(path: &Path, content: impl Fn(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
    let failed = |e: io::Error| Failure { code: gate::NOT_WRITTEN, message: format!("fatal: {} cannot be written: {e}", path.display()) };
    let into = |file: &Path| -> io::Result<()> {
        let mut out = BufWriter::new(std::fs::File::create(file)?);
        content(&mut out)?;
        out.flush()
    };
    if std::fs::metadata(path).is_ok_and(|m| !m.is_file()) {
        // A pipe or a device cannot be replaced.
        return into(path).map_err(failed);
    }
    // Two runs may write the same report: each has a part of its own, and the last one stays.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let written = into(&beside).and_then(|()| std::fs::rename(&beside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    written.map_err(failed)
}

/// A name as a file name: small letters, digits and hyphens.
pub fn slug(name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    let words: Vec<&str> = plain.split('-').filter(|w| !w.is_empty()).collect();
    if words.is_empty() { "report".into() } else { words.join("-").chars().take(80).collect() }
}

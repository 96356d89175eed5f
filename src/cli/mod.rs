//! The command line: arguments in, exit code out.

mod args;
mod colour;
mod completions;
mod diff;
pub mod docs;
mod doctor;
mod drive;
mod explain;
mod init;
pub mod inputs;
mod keygen;
mod lab;
mod lint;
mod list;
mod man;
mod merge;
mod outputs;
mod plan;
mod progress;
mod render;
mod replay;
mod rules;
mod run;
mod schema;
mod selftest;
mod trace;
mod unregister;
mod verify;

pub use selftest::{start_subject, start_with};

use clap::Parser as _;

use args::{Arguments, Command};

/// What went wrong before anything could be judged: a message and the exit code that belongs to it.
#[derive(Debug)]
pub struct Failure {
    pub code: u8,
    pub message: String,
}

impl Failure {
    /// Wrong arguments or files (exit code 2).
    pub fn input(message: impl Into<String>) -> Failure {
        Failure { code: crate::report::gate::WRONG_INPUT, message: message.into() }
    }

    /// Evidence that this run has put aside cannot be read back (exit code 70).
    pub fn lost_evidence(error: std::io::Error) -> Failure {
        Failure { code: crate::report::gate::INTERNAL, message: format!("fatal: evidence cannot be read back: {error}") }
    }
}

/// Parses the command line, runs the command and gives the exit code.
pub fn main() -> u8 {
    let arguments = Arguments::parse();
    let colour = colour::Colour::decide(arguments.colour);
    let result = match &arguments.command {
        Command::Run(run) => run::run(run, colour),
        Command::Init(init) => init::init(init),
        Command::Unregister(unregister) => unregister::unregister(unregister),
        Command::Doctor(doctor) => doctor::doctor(doctor),
        Command::Plan(plan) => plan::plan(plan),
        Command::List(list) => list::list(list),
        Command::Explain(explain) => explain::explain(explain),
        Command::Docs(docs) => docs::docs(docs),
        Command::Lint(lint) => lint::lint(lint),
        Command::Lab(lab) => lab::lab(lab),
        Command::Selftest(selftest) => selftest::selftest(selftest),
        Command::Judge(judge) => run::judge(judge, colour),
        Command::Render(render) => render::render(render, colour),
        Command::Merge(merge) => merge::merge(merge, colour),
        Command::Diff(diff) => diff::diff(diff),
        Command::Verify(verify) => verify::verify(verify),
        Command::Keygen(keygen) => keygen::keygen(keygen),
        Command::Replay(replay) => replay::replay(replay, colour),
        Command::Completions(completions) => completions::completions(completions),
        Command::Man(man) => man::man(man),
        Command::Schema(schema) => schema::schema(schema),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{}", failure.message);
            failure.code
        }
    }
}

/// Prints a result. A reader that went away (`| head`) is no error.
///
/// # Errors
/// Standard output cannot be written.
fn print(text: &str) -> Result<(), Failure> {
    use std::io::Write as _;
    match std::io::stdout().write_all(text.as_bytes()).and_then(|()| std::io::stdout().flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure { code: crate::report::gate::NOT_WRITTEN, message: format!("standard output cannot be written: {error}") })
        }
        _ => Ok(()),
    }
}

/// The runtime of a client: one thread. A run waits for its server nearly all the time, and handing each answer from one
/// thread to another would cost more than reading it.
///
/// # Errors
/// The system gives no event queue.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| no_runtime(&e))
}

/// The runtime of a server: as many threads as the machine has cores, less those that somebody else keeps busy; one at least, at
/// most four.
///
/// # Errors
/// The system gives no threads.
fn server_runtime(busy: usize) -> Result<tokio::runtime::Runtime, Failure> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).saturating_sub(busy).clamp(1, 4);
    tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().map_err(|e| no_runtime(&e))
}

fn no_runtime(error: &std::io::Error) -> Failure {
    Failure { code: crate::report::gate::INTERNAL, message: format!("no runtime: {error}") }
}

//! What concerns reports: where they go, what gates, and what is done with stored ones.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(next_help_heading = "Gate")]
pub struct GateArguments {
    /// The least severity that fails the gate; `never`: nothing does
    #[arg(long, value_name = "SEVERITY", default_value = "low", env = "GRANTPROOF_FAIL_ON")]
    pub fail_on: FailOn,
    /// A broken SHOULD fails the gate as well
    #[arg(long)]
    pub strict: bool,
    /// Undecided defenses do not fail the gate
    #[arg(long)]
    pub allow_inconclusive: bool,
    /// Fail only on what is new or worse than in this earlier JSON report of the same target
    #[arg(long, value_name = "REPORT", env = "GRANTPROOF_BASELINE")]
    pub baseline: Option<PathBuf>,
    /// Known risks that somebody accepted for a while; beside those of the target file, repeatable
    #[arg(long, value_name = "FILE")]
    pub waivers: Vec<PathBuf>,
    /// Pass over no waiver, also not over those of the target file
    #[arg(long, conflicts_with = "waivers")]
    pub no_waivers: bool,
    /// Exit with 0 also where the gate fails: for a later step that reads the report
    #[arg(long)]
    pub exit_zero: bool,
}

/// The key that signs reports; shared by all commands that make one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Sealing {
    /// Sign the JSON report with this Ed25519 private key (see `grantproof keygen`)
    #[arg(long, value_name = "FILE", env = "GRANTPROOF_SIGN_KEY")]
    pub sign_key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct Output {
    /// Format on standard output: terminal, json, html, markdown, github, sarif, junit, jsonl or har
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    pub format: String,
    /// Write a report file as well, repeatable: any format, as in junit=FILE; without FILE it is named after the target in
    /// ./reports. Where ./reports exists, `run` writes the JSON report there by itself
    #[arg(long, value_name = "FORMAT[=FILE]")]
    pub report: Vec<String>,
    /// Write no report file by itself
    #[arg(long)]
    pub no_report: bool,
    /// Show holding defenses one by one, and what does not apply; `run` also shows each request as it happens, twice (-vv)
    /// with headers and bodies
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Show nothing but what the gate says, and errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Open the HTML report; without --report html it is written to ./reports
    #[arg(long)]
    pub open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    Info,
    Low,
    Medium,
    High,
    Critical,
    Never,
}

#[derive(Debug, Args)]
pub struct Judge {
    /// A directory that `run --record` wrote
    pub dir: PathBuf,
    /// Scenario files of your own, as they were given to `run`
    #[arg(long, value_name = "DIR", env = "GRANTPROOF_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
    #[command(flatten)]
    pub gate: GateArguments,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub sealing: Sealing,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof render reports/staging.json --report html=staging.html
  grantproof render reports/staging.json --format markdown >> \"$GITHUB_STEP_SUMMARY\"

Nothing is judged again: the verdicts and the gate are those of the report.")]
pub struct Render {
    /// JSON report, of one target or of several
    pub file: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof merge shard-*.json --report json=all.json --report html=all.html
  grantproof merge staging.json production.json --report html=fleet.html

Reports of one target are shards, and become one report: they must not overlap, and none may be missing. Reports of several
targets stand side by side. The exit code is that of the worst gate; waivers are those of --waivers.")]
pub struct Merge {
    /// JSON reports
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Scenario files of your own, as they were given to `run`
    #[arg(long, value_name = "DIR", env = "GRANTPROOF_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
    #[command(flatten)]
    pub gate: GateArguments,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub sealing: Sealing,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof diff last-week.json today.json
  grantproof diff main.json branch.json --format json --exit-code")]
pub struct Diff {
    /// The earlier JSON report
    pub old: PathBuf,
    /// The newer JSON report
    pub new: PathBuf,
    /// How to print it
    #[arg(short, long, value_name = "FORMAT", default_value = "terminal")]
    pub format: DiffFormat,
    /// Exit with 1 when something is newly broken or worse
    #[arg(long)]
    pub exit_code: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    Terminal,
    /// By its schema: `grantproof schema diff`
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof verify reports/staging.json
  grantproof verify reports/staging.json --key audit.pub

Exit codes: 0 unchanged (and signed by the key, when one is given), 1 changed or not signed by it, 2 no report.")]
pub struct Verify {
    /// JSON report, of one target or of several
    pub file: PathBuf,
    /// The public key that must have signed it: PEM, or base64 in a file
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  grantproof keygen audit                    writes audit.key (keep it secret) and audit.pub (give it to who verifies)
  grantproof run -t staging.yaml --sign-key audit.key --report json=staging.json")]
pub struct Keygen {
    /// The files to write: NAME.key and NAME.pub
    pub name: PathBuf,
}

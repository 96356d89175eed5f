//! What may be typed, and what `--help` teaches.

mod report;

pub use report::{Diff, DiffFormat, FailOn, GateArguments, Judge, Keygen, Merge, Output, Render, Sealing, Verify};

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::model::profile::{Profile, Severity};

/// Attacks an OAuth 2.0 / OpenID Connect server the way an attacker would, and reports which of its defenses hold.
#[derive(Debug, Parser)]
#[command(
    name = "grantproof",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "\
Try it with nothing of your own:
  grantproof run                              the embedded lab, where every defense holds
  grantproof run --flaw refresh-reuse-accepted   the lab with a hole, to see what broken looks like
  grantproof run --target grantproof.yaml     your own server

Exit codes: 0 the gate passes, 1 broken, 2 wrong input, 3 nothing could be tested, 4 undecided,
5 a report could not be written, 70 internal error, 130/143 interrupted (a partial report is written)."
)]
pub struct Arguments {
    /// When to colour.
    #[arg(long = "color", value_name = "WHEN", global = true, default_value = "auto", env = "GRANTPROOF_COLOR")]
    pub colour: When,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run attack scenarios against a target, or against the embedded lab
    Run(Box<Run>),
    /// Write a target file from a server's metadata, and register clients where it lets you
    Init(Box<Init>),
    /// Remove the clients that `init --register` registered
    Unregister(Unregister),
    /// Check that a target can be tested: drives its clients and users, and attacks nothing
    Doctor(Doctor),
    /// Print what a run would do: which attacks, about how many requests, what is left out and why
    Plan(Plan),
    /// List scenarios
    List(List),
    /// Show what a scenario does, what it sends, why it matters and how to fix it
    Explain(Explain),
    /// Write the catalogue as pages: one for each scenario, and an index
    Docs(Docs),
    /// Check scenario and target files
    Lint(Lint),
    /// Serve the practice server, with flaws that can be switched on
    Lab(Lab),
    /// Prove the scenarios: every scenario against the lab with every flaw
    Selftest(Selftest),
    /// Send the requests of a finding again, and say whether it is still there
    Replay(Replay),
    /// Judge a recording again, without a network
    Judge(Judge),
    /// Write a stored JSON report in another format
    Render(Render),
    /// Join the reports of shards, or of several targets, into one file
    Merge(Merge),
    /// Show what changed between two reports
    Diff(Diff),
    /// Check that a report was not changed since it was made, and who signed it
    Verify(Verify),
    /// Make a key that signs reports
    Keygen(Keygen),
    /// Print shell completions
    Completions(Completions),
    /// Write man pages
    Man(Man),
    /// Print a JSON Schema
    Schema(Schema),
}

/// What to run; shared by `run`, `plan` and `list`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Selection")]
pub struct Choose {
    /// Scenarios, as `--select` takes them
    #[arg(value_name = "PATTERN", value_delimiter = ',')]
    pub patterns: Vec<String>,
    /// Scenarios: an id with globs (`pkce/*`), a group (`pkce`), `severity:high`, `standard:RFC9700`, `card`
    #[arg(short = 's', long, value_name = "PATTERN", value_delimiter = ',')]
    pub select: Vec<String>,
    /// Scenarios to leave out, by the same patterns
    #[arg(short = 'x', long, value_name = "PATTERN", value_delimiter = ',')]
    pub exclude: Vec<String>,
    /// Scenarios of at least this severity
    #[arg(long, value_name = "SEVERITY")]
    pub min_severity: Option<SeverityName>,
    /// Which requirements count: baseline, oauth2.1, fapi2, oidc, mcp; by default baseline, and with `list` all
    #[arg(long, value_name = "PROFILE", env = "GRANTPROOF_PROFILE")]
    pub profile: Option<Profile>,
    /// Scenario files of your own: DIR/<group>/<name>.yaml extends the catalogue, the same id overrides
    #[arg(long, value_name = "DIR", env = "GRANTPROOF_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
    /// One shard of the selection, `K/N`, the same scenarios each time; `auto`: as CI_NODE_INDEX and CI_NODE_TOTAL say. `grantproof
    /// merge` joins the reports
    #[arg(long, value_name = "K/N")]
    pub partition: Option<String>,
}

impl Choose {
    /// The profile that a run goes by.
    pub fn profile(&self) -> Profile {
        self.profile.unwrap_or(Profile::Baseline)
    }

    /// The shard, from 1, and how many there are.
    ///
    /// # Errors
    /// What is neither `K/N` nor `auto`, or `auto` outside of a parallel job.
    pub fn partition(&self) -> Result<Option<(u32, u32)>, super::Failure> {
        let Some(text) = &self.partition else { return Ok(None) };
        let by_ci = || Some(format!("{}/{}", std::env::var("CI_NODE_INDEX").ok()?, std::env::var("CI_NODE_TOTAL").ok()?));
        let shard = if text == "auto" { by_ci() } else { Some(text.clone()) };
        let numbers = shard.as_deref().and_then(|s| s.split_once('/')).and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
        match numbers.filter(|(shard, of): &(u32, u32)| *shard >= 1 && shard <= of) {
            Some(numbers) => Ok(Some(numbers)),
            None if text == "auto" => Err(super::Failure::input(
                "error: --partition auto: CI_NODE_INDEX and CI_NODE_TOTAL do not say which shard this is\n  = help: write the shard: --partition 1/4",
            )),
            None => Err(super::Failure::input(format!(
                "error: --partition {text}\n  = help: write the shard and how many there are: --partition 1/4"
            ))),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof run                                        every scenario against the embedded lab
  grantproof run --flaw pkce-verifier-ignored           what broken looks like (exit 1)
  grantproof run -t staging.yaml --report json=out.json --report junit=out.xml
                                                        a server of yours, with reports for machines
  grantproof run -t staging.yaml pkce refresh           two groups
  grantproof run -t staging.yaml --slow                 also what waits until a code or a token has expired
  grantproof run -t staging.yaml --fail-on high         gate on what is at least high
  grantproof run -t staging.yaml --record rec/          keep what was seen; `grantproof judge rec/` judges it again")]
pub struct Run {
    /// Target file; none: the embedded lab
    #[arg(short, long, value_name = "FILE", env = "GRANTPROOF_TARGET")]
    pub target: Option<PathBuf>,
    /// A flaw of the embedded lab, repeatable (see `grantproof lab --list-flaws`)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub flaw: Vec<String>,
    /// A habit of the embedded lab, repeatable: what it does otherwise, and may (see `grantproof lab --list-habits`)
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub habit: Vec<String>,
    #[command(flatten)]
    pub choose: Choose,
    /// Riskier scenarios than the load of a login: noisy, destructive
    #[arg(long, value_name = "RISK", value_delimiter = ',')]
    pub allow: Vec<RiskName>,
    /// Judge what works when a client or user of the target file does not
    #[arg(long)]
    pub keep_going: bool,
    /// Wait for codes, tokens and requests to expire: attacks with waits of up to this long, 15m where no time is given (`--slow=2h`).
    /// They begin first and are waited for beside the others; without it what waits for more than 5s is skipped, and named at the end
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = "15m", value_parser = duration)]
    pub slow: Option<std::time::Duration>,
    /// Trials of each refused attack; they must agree
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=20))]
    pub repeat: u32,
    /// Whether to revoke the tokens and end the sessions that the run made; auto: where the target is not on this machine.
    /// The report lists what remains
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub clean_up: When,
    /// Show after the report where the time went: requests, the server's time, pauses and own time
    #[arg(long, help_heading = "Output")]
    pub timings: bool,
    #[command(flatten)]
    pub gate: GateArguments,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub sealing: Sealing,
    /// Keep what was seen in this directory, for `grantproof judge`
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub record: Option<PathBuf>,
    /// Keep each trial in this directory as a HAR file, without secrets, for the developer tools of a browser
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub trace: Option<PathBuf>,
    /// How to show progress on standard error
    #[arg(long, value_name = "MODE", default_value = "auto", env = "GRANTPROOF_PROGRESS", help_heading = "Output")]
    pub progress: Progress,
}

/// `15m`, `2h`.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    crate::duration::parse(text).ok_or_else(|| "write `90s`, `15m` or `2h`, at most 366d".to_owned())
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof replay refresh/reuse-after-rotation -t staging.yaml          a scenario, request by request
  grantproof replay --from reports/staging.json -t staging.yaml           every finding of a report
  grantproof replay pkce/wrong-verifier/random --flaw pkce-verifier-ignored

Codes and tokens are good for once, so that the flow is driven again up to the finding; with --from it is told whether the requests were
those of the report. Exit codes: 0 no longer broken, 1 still broken, 3 nothing could be tested, 4 undecided.")]
pub struct Replay {
    /// Scenarios (`pkce/wrong-verifier`) or variants (`pkce/wrong-verifier/random`); none: what is broken in --from
    #[arg(required_unless_present = "from")]
    pub ids: Vec<String>,
    /// The JSON report with the findings
    #[arg(long, value_name = "REPORT")]
    pub from: Option<PathBuf>,
    /// Target file; none: the embedded lab
    #[arg(short, long, value_name = "FILE", env = "GRANTPROOF_TARGET")]
    pub target: Option<PathBuf>,
    /// A flaw of the embedded lab, repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub flaw: Vec<String>,
    /// A habit of the embedded lab, repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub habit: Vec<String>,
    /// Riskier scenarios than the load of a login: noisy, destructive
    #[arg(long, value_name = "RISK", value_delimiter = ',')]
    pub allow: Vec<RiskName>,
    /// Show no requests
    #[arg(short, long)]
    pub quiet: bool,
    /// Show headers and bodies
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Keep each trial in this directory as a HAR file, without secrets
    #[arg(long, value_name = "DIR")]
    pub trace: Option<PathBuf>,
    /// Scenario files of your own
    #[arg(long, value_name = "DIR", env = "GRANTPROOF_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof completions bash > ~/.local/share/bash-completion/completions/grantproof
  grantproof completions zsh > \"${fpath[1]}/_grantproof\"")]
pub struct Completions {
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grantproof man /usr/local/share/man/man1")]
pub struct Man {
    /// Where to write grantproof.1 and one page for each command
    pub dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// A bar on a terminal, lines in CI, else nothing
    Auto,
    Bar,
    /// One line for each finished attack
    Lines,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RiskName {
    Noisy,
    Destructive,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SeverityName {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl From<SeverityName> for Severity {
    fn from(name: SeverityName) -> Self {
        match name {
            SeverityName::Info => Severity::Info,
            SeverityName::Low => Severity::Low,
            SeverityName::Medium => Severity::Medium,
            SeverityName::High => Severity::High,
            SeverityName::Critical => Severity::Critical,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  grantproof init https://login.staging.example            an issuer; asks what it needs to know
  grantproof init https://api.staging.example/mcp          a resource that names its authorization server (RFC 9728)
  grantproof init https://login.staging.example --register --user alice --user bob \\
    --permission-by 'Jane Doe, TICKET-1' --permission-until 2027-03-01
  grantproof unregister -t grantproof.yaml                 removes the registered clients again")]
pub struct Init {
    /// The issuer, its metadata document, or a resource (an API, an MCP server)
    pub url: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "grantproof.yaml")]
    pub output: PathBuf,
    /// Print it instead
    #[arg(long, conflicts_with = "register")]
    pub stdout: bool,
    /// Overwrite the file
    #[arg(long)]
    pub force: bool,
    /// Ask nothing, even on a terminal
    #[arg(long)]
    pub no_input: bool,
    /// Register the clients at the server (RFC 7591); their secrets go into files beside the target file
    #[arg(long)]
    pub register: bool,
    /// What the server wants to see before it registers clients: env:NAME or file:PATH
    #[arg(long, value_name = "REFERENCE", requires = "register")]
    pub initial_access_token: Option<String>,
    /// The redirect URI of the clients; nothing needs to listen there, and it is never contacted
    #[arg(long, value_name = "URL", default_value = "https://app.example/cb")]
    pub redirect_uri: String,
    /// The name of a throw-away user; twice for two
    #[arg(long, value_name = "NAME")]
    pub user: Vec<String>,
    /// Who permitted the test: a person or a ticket
    #[arg(long, value_name = "WHO")]
    pub permission_by: Option<String>,
    /// The last day of the test
    #[arg(long, value_name = "DATE")]
    pub permission_until: Option<String>,
    /// A further origin that may be contacted, where the metadata places endpoints on other hosts; repeatable
    #[arg(long, value_name = "URL")]
    pub host: Vec<String>,
    /// A PEM file with the certificate authority of the server
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grantproof unregister -t grantproof.yaml")]
pub struct Unregister {
    /// Target file that `init --register` wrote
    #[arg(short, long, value_name = "FILE", env = "GRANTPROOF_TARGET")]
    pub target: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grantproof doctor -t staging.yaml")]
pub struct Doctor {
    /// Target file
    #[arg(short, long, value_name = "FILE", env = "GRANTPROOF_TARGET")]
    pub target: PathBuf,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  grantproof plan -t staging.yaml\n  grantproof plan -t staging.yaml -s pkce,refresh --allow noisy")]
pub struct Plan {
    /// Target file
    #[arg(short, long, value_name = "FILE", env = "GRANTPROOF_TARGET")]
    pub target: PathBuf,
    #[command(flatten)]
    pub choose: Choose,
    /// Riskier scenarios than the load of a login: noisy, destructive
    #[arg(long, value_name = "RISK", value_delimiter = ',')]
    pub allow: Vec<RiskName>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  grantproof list
  grantproof list -s pkce --profile fapi2
  grantproof list --standard RFC9700      each requirement, and what tests it
  grantproof list --peers                 which other tools try the same
  grantproof list --count")]
pub struct List {
    #[command(flatten)]
    pub choose: Choose,
    /// The requirements of a document, such as RFC9700, with the scenarios that test each of them; `all`: a line for each document
    #[arg(long, value_name = "DOCUMENT", conflicts_with_all = ["count"])]
    pub standard: Option<String>,
    /// The known attacks that no scenario tries, and why
    #[arg(long, conflicts_with_all = ["count", "standard"])]
    pub not_tested: bool,
    /// What other tools try as well, and how many attacks no other tool has
    #[arg(long, conflicts_with_all = ["count", "standard", "not_tested"])]
    pub peers: bool,
    /// How many there are, and nothing else
    #[arg(long, conflicts_with = "json")]
    pub count: bool,
    /// One JSON object for each scenario or requirement, as a list
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grantproof docs docs/scenarios")]
pub struct Docs {
    /// The folder that the pages are in
    pub folder: PathBuf,
    /// Write nothing; say which pages are stale, and exit with 1 where there are any
    #[arg(long)]
    pub check: bool,
    /// Scenario files of your own
    #[arg(long, value_name = "DIR", env = "GRANTPROOF_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  grantproof explain pkce/wrong-verifier --requests")]
pub struct Explain {
    /// The id of a scenario
    pub id: String,
    /// Print the requests of control and attack: + is sent by the attack only, - by the control only
    #[arg(long)]
    pub requests: bool,
    /// Scenario files of your own
    #[arg(long, value_name = "DIR", env = "GRANTPROOF_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  grantproof lint grantproof.yaml          a target file\n  grantproof lint my-scenarios/            a directory of scenario files\n  grantproof lint                          the embedded catalogue"
)]
pub struct Lint {
    /// Scenario files, target files, or directories of scenario files; none: the embedded catalogue
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  grantproof lab --list-flaws\n  grantproof lab --port 8080 --flaw pkce-not-required")]
pub struct Lab {
    /// A flaw to switch on, repeatable
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub flaw: Vec<String>,
    /// A habit to switch on, repeatable: what other servers do in their own way, and may
    #[arg(long, value_name = "NAME")]
    pub habit: Vec<String>,
    /// List the habits, and do nothing else
    #[arg(long)]
    pub list_habits: bool,
    /// List the flaws, and do nothing else
    #[arg(long)]
    pub list_flaws: bool,
    /// Port on 127.0.0.1; 0: a free one
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Token requests allowed in a minute
    #[arg(long, value_name = "N")]
    pub rate_limit: Option<u32>,
}

#[derive(Debug, Args)]
pub struct Selftest {
    /// Print the whole flaw × scenario table, not only its summary
    #[arg(long)]
    pub table: bool,
    /// On a lab with this habit, repeatable: no verdict may be wrong, and any may stay open; flaws that it hides are left out (see `grantproof lab --list-habits`)
    #[arg(long, value_name = "NAME")]
    pub habit: Vec<String>,
    /// Only these flaws
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub flaw: Vec<String>,
    /// Run each scenario with each flaw alone, also where the strict lab never looks for that flaw while the scenario runs, and where
    /// a lab with several such flaws moved nothing
    #[arg(long)]
    pub all_cells: bool,
    /// Scenario files of your own
    #[arg(long, value_name = "DIR", env = "GRANTPROOF_SCENARIOS")]
    pub scenarios: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Schema {
    /// Which one
    pub name: SchemaName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    Scenario,
    Flow,
    Standard,
    /// `scenarios/NOT-TESTED.yaml`
    NotTested,
    /// `scenarios/PEERS.yaml`
    Peers,
    /// `scenarios/SETTINGS.yaml`
    Settings,
    Target,
    Report,
    /// Several reports in one file
    Collection,
    /// What `diff --format json` prints
    Diff,
    Recording,
    /// A file of waivers
    Waivers,
    /// A line of the format jsonl
    Event,
}

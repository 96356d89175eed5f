//! ChromeDriver as a process that ends with this one, however this one ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// Between the start of ChromeDriver and its first words.
const PATIENCE: Duration = Duration::from_secs(60);

/// A shell stands between: it ends ChromeDriver when our end of its standard input closes, which the system does for us even
/// when we are killed, and takes the profile away. Chromium ends by itself: its DevTools pipe leads to ChromeDriver.
#[cfg(unix)]
const KEEPER: &str = r#"profile=$1; shift
"$@" & driver=$!
read -r _
browser=$(readlink "$profile/SingletonLock"); browser=${browser##*-}
kill "$driver" 2>/dev/null
wait "$driver" 2>/dev/null
tries=0 gone=0
while [ "$gone" -lt 3 ] && [ "$tries" -lt 200 ]; do
  # A browser that is still ending would write its profile anew.
  if [ -n "$browser" ] && kill -0 "$browser" 2>/dev/null; then gone=0; else rm -rf "$profile" 2>/dev/null && gone=$((gone + 1)); fi
  tries=$((tries + 1)); sleep 0.05
  [ ! -e "$profile" ] || gone=0
done"#;

/// ChromeDriver, and the folder in which its browser keeps its profile.
#[derive(Debug)]
pub struct Process {
    /// Dropped, it closes the standard input of the keeper.
    _child: Child,
    pub port: u16,
    pub profile: PathBuf,
}

impl Process {
    /// # Errors
    /// It cannot be started, or does not listen.
    pub async fn start(driver: &Path) -> Result<Process, String> {
        let profile = std::env::temp_dir().join(format!("grantproof-{}-{:08x}", std::process::id(), rand::random::<u32>()));
        make_private(&profile).map_err(|e| format!("{} cannot be made: {e}", profile.display()))?;
        let mut command = keeper(driver, &profile);
        // What the programs leave among the temporary files goes away with the profile.
        command.env("TMPDIR", &profile);
        command.arg("--port=0").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(cfg!(not(unix)));
        let mut child = command.spawn().map_err(|e| format!("{} cannot be started: {e}", driver.display()))?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let words = async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').parse().ok();
                }
            }
            None
        };
        match tokio::time::timeout(PATIENCE, words).await {
            Ok(Some(port)) => {
                // What else it says must not fill the pipe.
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                Ok(Process { _child: child, port, profile })
            }
            _ => Err(format!("{} does not say on which port it listens", driver.display())),
        }
    }
}

#[cfg(unix)]
fn keeper(driver: &Path, profile: &Path) -> Command {
    let mut command = Command::new("sh");
    // In a group of its own, so that a Ctrl-C ends the run first, and the browser with it.
    command.args(["-c", KEEPER, "grantproof-browser"]).arg(profile).arg(driver).process_group(0);
    command
}

#[cfg(not(unix))]
fn keeper(driver: &Path, _profile: &Path) -> Command {
    Command::new(driver)
}

/// A folder that only we may read: a profile holds the cookies of a session.
fn make_private(folder: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

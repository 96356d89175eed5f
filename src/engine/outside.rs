//! Logins that somebody else does: a program of the user's, or the person at the terminal (the drivers `command` and
//! `manual`). Both are asked when a page wants what grantproof cannot give; what grantproof itself is answered stays evidence.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::Stdio;
use std::time::Duration;

use url::Url;

use crate::target::{Login, User};

/// How long a program may take.
const MOST_TIME: Duration = Duration::from_secs(120);

/// What a login came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Where the authorization request ended.
    Callback(Url),
    /// A session, as a Cookie header has it.
    Cookies(String),
}

/// Runs the program of the target file with the authorization request as its last argument.
///
/// # Errors
/// Why it gave no answer; what it said on standard error is part of it.
pub async fn command(login: &Login, user: &User, code: Option<&str>, url: &str) -> Result<Answer, String> {
    let [program, arguments @ ..] = login.command.as_slice() else {
        return Err("the target file has no `login.command`".into());
    };
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).arg(url).current_dir(if login.folder.as_os_str().is_empty() { ".".as_ref() } else { login.folder.as_path() });
    command.env("GRANTPROOF_USER", &user.name);
    for (name, value) in [("GRANTPROOF_PASSWORD", user.password.as_ref().map(|p| p.reveal())), ("GRANTPROOF_TOTP", code)] {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let running = command.spawn().map_err(|e| format!("the login command `{program}` cannot be started: {e}"))?;
    let output = match tokio::time::timeout(MOST_TIME, running.wait_with_output()).await {
        Ok(output) => output.map_err(|e| format!("the login command `{program}`: {e}"))?,
        Err(_) => return Err(format!("the login command `{program}` did not end within {} s", MOST_TIME.as_secs())),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().rfind(|line| !line.trim().is_empty()).map(|line| format!(": {}", line.trim())).unwrap_or_default();
    if !output.status.success() {
        return Err(format!("the login command `{program}` ended with {}{said}", output.status));
    }
    read(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("the login command `{program}` printed neither a callback URL nor `Cookie: …`{said}"))
}

/// Asks the person at the terminal to log in, and for the session of that browser.
///
/// # Errors
/// There is no terminal, or what was typed is no cookie and no URL.
pub async fn person(user: &User, url: &str) -> Result<Answer, String> {
    if !std::io::stdin().is_terminal() {
        return Err("the login driver `manual` needs a terminal; in CI use `session` or `command`".into());
    }
    eprintln!(
        "\n{} must log in. Open this address in a browser, and log in there:\n\n  {url}\n\nThen copy the Cookie header of a request to that server (developer tools, Network, Request Headers), paste it here, and press Enter:",
        user.name
    );
    let line = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let line = line.await.map_err(|e| e.to_string())?.map_err(|e| format!("the terminal cannot be read: {e}"))?;
    read(&line).or_else(|| read(&format!("Cookie: {line}"))).ok_or_else(|| "what was pasted is no Cookie header".into())
}

/// The last line that is an answer.
fn read(text: &str) -> Option<Answer> {
    text.lines().rev().find_map(|line| {
        let line = line.trim();
        let cookies = line.get(..7).filter(|head| head.eq_ignore_ascii_case("cookie:")).and_then(|_| line.get(7..));
        match cookies.map(str::trim).filter(|c| c.contains('=')) {
            Some(cookies) => Some(Answer::Cookies(cookies.to_owned())),
            None => Url::parse(line).ok().map(Answer::Callback),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_a_command() {
        let callback = Answer::Callback(Url::parse("https://app.example/cb?code=1").expect("a URL"));
        assert_eq!(read("logging in…\nhttps://app.example/cb?code=1\n\n"), Some(callback));
        assert_eq!(read("cookie: sid=1; t=2\n"), Some(Answer::Cookies("sid=1; t=2".into())));
        assert_eq!(read("done\n"), None);
        assert_eq!(read(""), None);
    }

    #[tokio::test]
    async fn what_goes_wrong_with_a_command_is_said() {
        let user = User::new("alice", crate::target::Secret::new("wonderland"));
        let login = |words: &[&str]| Login { command: words.iter().map(|w| (*w).to_owned()).collect(), ..Login::default() };
        let ran = |words: &'static [&'static str]| {
            let (login, user) = (login(words), user.clone());
            async move { command(&login, &user, None, "http://127.0.0.1:1/authorize?x=1").await }
        };
        let shell = |script: &'static str| -> &'static [&'static str] { Box::leak(Box::new(["sh", "-c", script, "sh"])) };
        assert_eq!(
            ran(shell("echo \"$1&user=$GRANTPROOF_USER&password=$GRANTPROOF_PASSWORD\"")).await,
            Ok(Answer::Callback(Url::parse("http://127.0.0.1:1/authorize?x=1&user=alice&password=wonderland").expect("a URL")))
        );
        let why = ran(shell("echo 'no such user' >&2; exit 3")).await.err().unwrap_or_default();
        assert!(why.contains("3") && why.ends_with("no such user"), "{why}");
        assert!(ran(shell("echo hello")).await.is_err_and(|why| why.contains("neither a callback URL")));
        assert!(ran(&["/nonexistent/program"]).await.is_err_and(|why| why.contains("cannot be started")));
    }
}

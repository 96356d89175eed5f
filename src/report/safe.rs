//! Text that came from a target or from a stored report is hostile: what each place where it is shown makes of it.

use std::borrow::Cow;

/// For a terminal: control characters, escapes and characters that change the direction of writing are shown, not sent.
pub use crate::diagnostic::shown as terminal;

/// One line of it, for whatever comes next: as [`terminal`], with spaces for line ends.
pub fn line(text: &str) -> String {
    terminal(text).replace('\n', " ").trim().to_owned()
}

/// At most so many bytes, cut between characters and marked where it was cut.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    const MARK: &str = " … (cut)";
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    let mut end = most.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Cow::Owned(format!("{}{MARK}", &text[..end]))
}

/// For XML 1.0, as text or inside of an attribute: escaped, without the characters that XML may not hold.
pub fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in terminal(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// For the running text of Markdown, in one line and never at its beginning: no markup, no link, no image, no HTML, and on
/// GitHub no mention and no reference to an issue.
pub fn markdown(text: &str) -> String {
    let text = line(text);
    let mut out = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '|' | '!' | '$' => out.extend(['\\', c]),
            // Addresses alone make links in GitHub's Markdown.
            ':' if next == '/' => out.push_str("\\:"),
            '.' if before.eq_ignore_ascii_case(&'w') => out.push_str("\\."),
            // What GitHub looks for in the finished page: no backslash hides it, a zero-width space does.
            '@' => out.push_str("@\u{200b}"),
            '#' | '-' if next.is_ascii_digit() && (c == '#' || before.eq_ignore_ascii_case(&'h')) => out.extend([c, '\u{200b}']),
            c => out.push(c),
        }
        before = c;
    }
    out
}

/// For Markdown, as a code span in one line.
pub fn code(text: &str) -> String {
    let text = line(text);
    let fence = "`".repeat(longest_run(&text) + 1);
    let pad = if text.is_empty() || text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// For a cell of a table in Markdown, as a code span.
pub fn code_cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// For Markdown, as a block of code.
pub fn fenced(text: &str, language: &str) -> String {
    let text = terminal(text.trim_end());
    let fence = "`".repeat((longest_run(&text) + 1).max(3));
    format!("{fence}{language}\n{text}\n{fence}\n")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// For HTML inside of Markdown, in one line: no tag, and on GitHub no mention and no link.
pub fn html_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in line(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '@' | '#' | ':' => out.extend([c, '\u{200b}']),
            c => out.push(c),
        }
    }
    out
}

/// The address of a link, if it is one that may be followed: http or https, in the characters of RFC 3986.
pub fn link(address: &str) -> Option<&str> {
    let may = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#@!$&*+,;=%".contains(&b);
    let schemes = ["https://", "http://"];
    (schemes.iter().any(|s| address.starts_with(s)) && address.bytes().all(may) && url::Url::parse(address).is_ok()).then_some(address)
}

/// For the message of a workflow command of GitHub Actions.
pub fn annotation(text: &str) -> String {
    let kept: String = text.lines().map(terminal).collect::<Vec<_>>().join("\n");
    kept.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// For a property of a workflow command of GitHub Actions.
pub fn annotation_property(text: &str) -> String {
    annotation(&line(text)).replace(':', "%3A").replace(',', "%2C")
}

/// For the text of a SARIF message (§3.11.6): brackets would be links.
pub fn sarif(text: &str) -> String {
    terminal(text).replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}

/// For a page that a browser shows, before it is escaped: control characters, what is invisible and what changes the
/// direction of writing are shown. Lines and tabs stay.
pub fn html(text: &str) -> Cow<'_, str> {
    let hostile = |c: char| {
        c.is_control() && !matches!(c, '\n' | '\t')
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
            // No characters at all, and forbidden in HTML.
            || u32::from(c) & 0xfffe == 0xfffe
            || matches!(c, '\u{fdd0}'..='\u{fdef}')
    };
    if !text.contains(hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hostile(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_would_not_show_is_shown() {
        assert_eq!(html("a\u{202e}b\0\r\n\tc\u{feff}\u{ffff}"), "a\\u{202e}b\\u{0}\\u{d}\n\tc\\u{feff}\\u{ffff}");
        assert_eq!(html("plain, öß, 漢字"), "plain, öß, 漢字");
    }

    #[test]
    fn nothing_of_the_target_reaches_the_terminal_as_a_command() {
        let clean = terminal("a\u{1b}[31mred\u{202e}\r\u{7}");
        assert!(clean.chars().all(|c| !c.is_control()), "{clean:?}");
        assert!(clean.contains("\\u{1b}[31mred"));
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("short", 5), "short");
        for most in 0..40 {
            let text = "ééééééééééééééééééééé";
            assert!(cut(text, most).len() <= most.max(" … (cut)".len()), "{most}");
        }
    }

    #[test]
    fn fences_are_longer_than_any_in_the_text() {
        assert_eq!(fenced("a\n````\nb", "sh"), "`````sh\na\n````\nb\n`````\n");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`"), "`` ` ``");
    }

    #[test]
    fn only_plain_addresses_are_links() {
        assert_eq!(
            link("https://www.rfc-editor.org/rfc/rfc9700#section-2.1.1"),
            Some("https://www.rfc-editor.org/rfc/rfc9700#section-2.1.1")
        );
        for wrong in ["javascript:alert(1)", "https://a b", "https://a/) [x](y", "https://a/<b>", "//a", "", "https://"] {
            assert_eq!(link(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_message_stays_one_command() {
        assert_eq!(annotation("a\n::error::b\r\n%0A"), "a%0A::error::b%0A%250A");
        assert_eq!(annotation_property("a:b,c\nd"), "a%3Ab%2Cc d");
    }
}

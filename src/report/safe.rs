//! Text that came from a target or from a stored report is hostile: what each place where it is shown makes of it.

use std::borrow::Cow;

/// For a terminal: control characters, escapes and characters that change the direction of writing are shown, not sent.
pub fn terminal(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '\n' => vec!['\n'],
            c if c.is_control()
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}') =>
            {
                c.escape_unicode().collect()
            }
            c => vec![c],
        })
        .collect()
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
    use super::{html, terminal};

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
}

//! Text that came from a target or from a stored report is hostile: what each place where it is shown makes of it.

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

#[cfg(test)]
mod tests {
    use super::terminal;

    #[test]
    fn nothing_of_the_target_reaches_the_terminal_as_a_command() {
        let clean = terminal("a\u{1b}[31mred\u{202e}\r\u{7}");
        assert!(clean.chars().all(|c| !c.is_control()), "{clean:?}");
        assert!(clean.contains("\\u{1b}[31mred"));
    }
}

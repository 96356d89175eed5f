//! The names of the flaws.

use super::super::Flaw;

#[test]
fn names_are_unique_and_read_back() {
    for &flaw in Flaw::ALL {
        assert_eq!(flaw.name().parse(), Ok(flaw));
        assert!(flaw.describes().ends_with('.'));
        assert!(flaw.name().chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
    }
    assert!("pkce".parse::<Flaw>().is_err());
}

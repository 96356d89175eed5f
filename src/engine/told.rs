//! What a login did with a page, in words for people: names of fields, kinds of values, the button. Never a value.

use crate::target::User;
use crate::wire;

use super::login::{Filled, What};
use super::page::Page;

/// One line about a page whose form is sent.
pub fn page(page: &Page, filled: &Filled, user: &User) -> String {
    let purpose = match filled.what {
        What::Password | What::Name => "login",
        What::Code => "one-time code",
        What::Consent => "consent",
        What::Automatic => "sent by itself",
    };
    let name = if page.name().is_empty() { "(no heading, no title)" } else { page.name() };
    let mut parts = vec![format!("page “{}” ({purpose})", short(name))];
    let fields = page.forms.get(filled.form).map(|form| form.fields.as_slice()).unwrap_or_default();
    let mut kinds = Vec::new();
    for field in fields.iter().filter(|f| f.kind != "hidden" && !f.name.is_empty()) {
        let box_like = matches!(field.kind.as_str(), "checkbox" | "radio");
        let sent = filled.pairs.iter().position(|(name, value)| *name == field.name && (!box_like || *value == field.value));
        let value = sent.and_then(|at| filled.pairs.get(at)).map(|(_, value)| value.as_str());
        let kind = match value {
            Some(_) if sent == filled.password => "password",
            Some(_) if sent == filled.code => "one-time code",
            Some(_) if box_like => "ticked",
            None if box_like => "not ticked",
            None => continue,
            Some(value) if field.value.is_empty() && value == user.name => "name",
            Some("") => "left empty",
            Some(_) => "as it was",
        };
        kinds.push(format!("`{}` ({kind})", short(&field.name)));
    }
    if !kinds.is_empty() {
        parts.push(format!("filled {}", kinds.join(", ")));
    }
    if let Some(label) = filled.pressed.as_ref().filter(|label| !label.is_empty()) {
        parts.push(format!("pressed “{}”", short(label)));
    }
    parts.join(", ")
}

/// One line, and not the whole of a hostile page.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    wire::shortened(&line, 80).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::html;
    use super::super::login::{Action, act};
    use super::*;
    use crate::target::{Login, Secret};

    #[test]
    fn names_and_kinds_are_told_and_never_a_value() {
        let user = User::new("alice", Secret::new("wonder land"));
        let told = |text: &str| {
            let read = html::read(text.as_bytes());
            match act(&read, &user, &Login::default(), false, "openid") {
                Action::Submit(filled) => page(&read, &filled, &user),
                other => panic!("{other:?}"),
            }
        };
        let login = told(
            "<title>x</title><h1>Sign in</h1><form><input name=login><input type=password name=pw><input type=checkbox name=remember><input type=hidden name=csrf value=1><button>Log in</button></form>",
        );
        assert_eq!(login, "page “Sign in” (login), filled `login` (name), `pw` (password), `remember` (not ticked), pressed “Log in”");
        let consent =
            told("<title>Grant</title><form><input type=checkbox name=scope value=email><button>No</button><button>Yes</button></form>");
        assert_eq!(consent, "page “Grant” (consent), filled `scope` (ticked), pressed “Yes”");
        assert!(!login.contains("wonder") && !login.contains("alice"));
    }
}

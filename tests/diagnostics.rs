//! Every kind of mistake in a scenario or target file: the message names it, its place and the cure.

use std::path::Path;

use grantproof::cli::inputs::{catalogue, flaw_names};
use grantproof::diagnostic::Diagnostic;
use grantproof::scenario::resolve::{self, Library};

const GOOD: &str = include_str!("../scenarios/pkce/wrong-verifier.yaml");

fn library() -> Library {
    catalogue(None).unwrap_or_else(|e| panic!("{}", e.message)).library(&flaw_names())
}

fn mistakes(text: &str, library: &Library) -> Vec<Diagnostic> {
    resolve::scenario("x.yaml", text, Some("pkce/wrong-verifier"), library).err().unwrap_or_default()
}

/// The sample with one piece of text replaced must give a message with all the words, at that line.
fn expect(library: &Library, from: &str, to: &str, line_of: &str, words: &[&str]) {
    assert!(GOOD.contains(from), "the sample has no `{from}`");
    let text = GOOD.replacen(from, to, 1);
    let found = mistakes(&text, library);
    let all: Vec<String> = found.iter().map(ToString::to_string).collect();
    let hit = found.iter().find(|d| words.iter().all(|w| d.to_string().contains(w)));
    let hit = hit.unwrap_or_else(|| panic!("no message with {words:?} in:\n{}", all.join("\n")));
    if !line_of.is_empty() {
        let line = text.lines().position(|l| l.contains(line_of)).expect("the line") + 1;
        assert_eq!(hit.line, line, "{hit}");
        assert!(hit.column > 0 && hit.source.as_deref().is_some_and(|s| s.contains(line_of.trim())), "{hit}");
    }
}

#[test]
fn scenario_mistakes() {
    let library = library();
    assert!(mistakes(GOOD, &library).is_empty(), "the sample is well-formed");
    let check = |from: &str, to: &str, line_of: &str, words: &[&str]| expect(&library, from, to, line_of, words);
    // Shape.
    check("severity: high", "severity: hihg", "hihg", &["unknown word `hihg`", "did you mean `high`"]);
    check("defense:", "defence:", "defence:", &["unknown field `defence`", "did you mean `defense`"]);
    check("card: true", "card: true\ncard: true", "", &["the key `card` stands here a second time"]);
    check("harm: ", "harm: &a ", "", &["limit", "anchors"]);
    check("title: A code", "title: {A: code} #", "", &["text was expected here"]);
    // Identity.
    check("id: pkce/wrong-verifier", "id: pkce/other", "id: pkce/other", &["does not fit the file's path", "pkce/wrong-verifier"]);
    check("id: pkce/wrong-verifier", "id: PKCE", "id: PKCE", &["`PKCE` is no id", "group/name"]);
    // What an entry must say.
    check("harm: A stolen", "harm: \"\" #", "id: pkce", &["no `harm`"]);
    check("fix: Hash", "fix: \"\" #", "id: pkce", &["no `fix`"]);
    check("basis: [RFC7636#4.6, ", "basis: [RFC7636#4.66, ", "basis:", &["no requirement `RFC7636#4.66`", "did you mean"]);
    check("    proved_by: pkce-verifier-ignored\n", "", "id: random", &["neither `proved_by` nor `unproved`"]);
    check("pkce-verifier-ignored", "pkce-verifier-ignord", "pkce-verifier-ignord", &["no flaw", "did you mean `pkce-verifier-ignored`"]);
    // Flow and steps.
    check("flow: authorization_code", "flow: authorisation_code", "flow:", &["no flow", "did you mean `authorization_code`"]);
    check("steps: [authorize, redeem, use]", "steps: [authorize, reedem, use]", "steps:", &["no step `reedem`", "did you mean `redeem`"]);
    check("steps: [authorize, redeem, use]", "steps: [redeem, use]", "steps:", &["`redeem` cannot stand here"]);
    // Changes.
    check("replace:", "set:", "code_verifier: ${random", &["sends `code_verifier` already", "replace:"]);
    check(
        "code_verifier: ${random(43)}",
        "code_verifer: ${random(43)}",
        "code_verifer",
        &["sends no `code_verifer`", "did you mean `code_verifier`"],
    );
    check("        replace:\n          code_verifier: ${random(43)}", "        remove: [nonce]", "remove:", &["sends no `nonce`"]);
    check("      redeem:\n        replace", "      reedem:\n        replace", "      reedem:", &["no step `reedem`", "did you mean"]);
    // Expressions.
    check("${random(43)}", "${randm(43)}", "randm", &["no function `randm`", "did you mean `random`"]);
    check("${random(43)}", "${random()}", "random()", &["takes 1 argument(s), not 0"]);
    check("${random(43)}", "${random(43", "random(43", &["must follow"]);
    check(
        "${random(43)}",
        "${authorize.sent.code_chalenge}",
        "code_chalenge",
        &["sends no `code_chalenge`", "did you mean `code_challenge`"],
    );
    check("${random(43)}", "${authorize.kode}", "kode", &["no field `kode`", "did you mean `code`"]);
    check("${random(43)}", "${client.ident}", "ident", &["no such fact"]);
    check("${random(43)}", "${control.authorize.code}", "control.authorize", &["applies_when only"]);
    // The attacker uses what he cannot know.
    check("${random(43)}", "${verifier}", "does: [redeem]", &["which he does not have"]);
    check("has: [authorize.code, authorize.sent]", "has: [authorize.sent]", "does: [redeem]", &["`${authorize.code}`", "does not have"]);
    check("does: [redeem]", "does: [reedem]", "does:", &["no step `reedem`", "did you mean"]);
    // Predicates.
    check("- redeem: refused", "- redeem: refsued", "refsued", &["no outcome", "did you mean `refused`"]);
    check("- redeem: issued", "- redeem: accepted", "- redeem: accepted", &["is called `issued`"]);
    check("- redeem: issued", "- redeem: refused", "id: random", &["can be true together"]);
    check("- redeem: issued", "- redeem.status: is 200", "is 200", &["`is` is no test"]);
    check("- redeem: issued", "- redeem.access_token: equals ${random(3)}", "equals", &["no functions"]);
    check("    broken_if_any:\n      - redeem: issued\n", "", "id: random", &["no `broken_if_any`", "positive sight"]);
    check("takes: redeem.access_token", "takes: redeem.state", "takes:", &["no field `state`"]);
    check("  - id: random\n", "  - id: random\n    for_each: {word: [a]}\n", "id: random", &["nothing uses it"]);
    check("takes: redeem.access_token", "confirm_after: soon", "confirm_after", &["`soon` is no pause", "30s"]);
    check("        skip: true", "        burst: 8", "use:", &["`burst` does nothing in a resource_request"]);
    check("        skip: true", "        each: access_token", "access_token", &["`each` does nothing in a resource_request"]);
    check("        skip: true", "        logged_out: true", "use:", &["`logged_out` does nothing", "authorization_request"]);
    let carried = |of: &str| format!("        skip: true\n      authorize:\n        request_object: {{{of}}}");
    let claims_signed = carried("encrypted: claims, bent: {alg: none, signature: empty}");
    check("        skip: true", &claims_signed, "encrypted", &["`encrypted: claims` signs nothing", "`encrypted: signed`"]);
    check("        skip: true", &carried("encrypted: clams"), "clams", &["unknown word `clams`", "did you mean `claims`"]);
    check("takes: redeem.access_token", "implied_by: []\n    lesserr: true", "lesserr", &["unknown field `lesserr`"]);
}

#[test]
fn several_mistakes_are_told_at_once() {
    let text = GOOD.replace("harm: A stolen", "harm: \"\" #").replace("RFC7636#4.6,", "RFC1#1,").replace("${random(43)}", "${randm(43)}");
    assert!(mistakes(&text, &library()).len() >= 3);
}

#[test]
fn bombs_and_broken_files_end_quickly() {
    let library = library();
    let bomb = format!("a: &a [x,x]\n{}", (0..30).map(|i| format!("b{i}: &b{i} [*a,*a]\n")).collect::<String>());
    let deep = format!("id: {}{}", "[".repeat(5000), "]".repeat(5000));
    let long = "x".repeat(2 << 20);
    for text in [bomb.as_str(), deep.as_str(), long.as_str(), "", "\n# nothing\n", "- a\n- b\n", "\u{0}", "id: 'x", "a: b\n---\nc: d\n"] {
        let found = mistakes(text, &library);
        assert!(!found.is_empty(), "{:?}", &text[..text.len().min(40)]);
        assert!(found.iter().all(|d| !d.message.is_empty()));
    }
}

/// A target that is right, for mistakes to be made in.
const TARGET: &str = "\
name: here
issuer: http://127.0.0.1:1
scope: openid
clients:
  public: {id: spa, redirect_uri: \"https://app.example/cb\"}
  confidential: {id: web, secret: \"plain:s\", redirect_uri: \"https://app.example/cb\"}
users:
  default: {name: alice, password: \"plain:p\"}
";

#[test]
fn what_stands_on_a_button_is_no_selector() {
    for text in ["Yes, I agree!", "Allow access.", "user[email]", "#allow > b"] {
        let hinted = TARGET.replacen("scope: openid", &format!("scope: openid\nlogin: {{consent_button: \"{text}\"}}"), 1);
        let target = grantproof::target::load::from_text("t.yaml", &hinted, Path::new(".")).unwrap_or_else(|d| panic!("{}", d[0]));
        assert_eq!(target.login.consent_button.map(|hint| hint.text).as_deref(), Some(text));
    }
}

#[test]
fn who_has_a_second_factor() {
    const TOTP: &str = "totp: \"plain:JBSWY3DPEHPK3PXP\"";
    let who = |users: &str| {
        let text = TARGET.replacen("  default: {name: alice, password: \"plain:p\"}", users, 1);
        let target = grantproof::target::load::from_text("t.yaml", &text, Path::new(".")).unwrap_or_else(|d| panic!("{}", d[0]));
        (target.user_with_second_factor().map(|user| user.name.clone()), target.users().count())
    };
    let plain = |role: &str, name: &str| format!("  {role}: {{name: {name}, password: \"plain:p\"}}\n");
    let with = |role: &str, name: &str| format!("  {role}: {{name: {name}, password: \"plain:p\", {TOTP}}}\n");
    let both = plain("default", "alice") + &plain("other", "bob");
    assert_eq!(who(&both), (None, 2));
    assert_eq!(who(&(both + &with("second_factor", "carol"))), (Some("carol".into()), 3));
    assert_eq!(who(&(plain("default", "alice") + &with("other", "bob"))), (Some("bob".into()), 2));
    assert_eq!(who(&(with("default", "alice") + &with("second_factor", "carol"))), (Some("carol".into()), 2));
}

#[test]
fn target_mistakes() {
    let read = |text: &str| grantproof::target::load::from_text("t.yaml", text, Path::new("."));
    assert!(read(TARGET).is_ok(), "the sample is well-formed");
    let table: &[(&str, &str, &[&str])] = &[
        (
            "users:",
            "users:\n  second_factor: {name: carol, password: \"plain:p\"}",
            &["the user `carol` has no second factor", "`totp: env:NAME`"],
        ),
        ("issuer: http://127.0.0.1:1", "issuer: here", &["`here` is no http or https URL"]),
        ("issuer: http://127.0.0.1:1", "issuer: https://login.example", &["nobody is named who permitted", "permission:"]),
        ("scope: openid", "scop: openid", &["unknown field `scop`", "did you mean `scope`"]),
        ("plain:s", "s3cret", &["a secret does not stand in the target file", "env:NAME"]),
        ("plain:s", "env:GRANTPROOF_TEST_IS_NOT_SET", &["`GRANTPROOF_TEST_IS_NOT_SET` is not set"]),
        ("plain:s", "file:no-such-file", &["`no-such-file` cannot be read"]),
        ("secret: \"plain:s\", ", "", &["`clients.confidential` has no secret"]),
        ("{id: spa, ", "{id: spa, auth: client_secret_basic, ", &["the client without authentication"]),
        ("{id: spa, ", "{id: spa, auth: private_key_jwt, ", &["the client has no key"]),
        ("  default: {name: alice", "  defalt: {name: alice", &["unknown field `defalt`", "did you mean `default`"]),
        ("scope: openid", "scope: openid\nrefresh_grace: soon", &["`soon` is no duration", "30s"]),
        ("scope: openid", "scope: openid\nlimits: {in_flight: 900}", &["900 is not between 1 and 32"]),
        ("scope: openid", "scope: openid\nlimits: {timeout: soon}", &["whole number"]),
        ("scope: openid", "scope: openid\npermission: {by: me, until: 2001-01-01}", &["ended on 2001-01-01"]),
        ("scope: openid", "scope: openid\npermission: {by: me, until: tomorrow}", &["`tomorrow` is no date"]),
        ("scope: openid", "scope: openid\ntls: {ca: none.pem}", &["`none.pem` cannot be read"]),
        (
            "scope: openid",
            "scope: openid\nlogin: {password_field: \"#login >\"}",
            &["t.yaml:4:25", "`#login >` is no selector: dangling combinator", "write a CSS selector"],
        ),
        ("scope: openid", "scope: openid\nlogin: {user_field: \"login:name\"}", &["`login:name` is no selector", "`[name=\"a:b\"]`"]),
        ("scope: openid", "scope: openid\nlogin: {consent_button: \"button[\"}", &["t.yaml:4:25", "`button[` is no selector"]),
        ("scope: openid", "scope: openid\nlogin: {form: \"form:visible\"}", &["unsupported pseudo-class"]),
        ("scope: openid", "scope: openid\nlogin: {browser: {binary: no/chromium}}", &["there is no program `no/chromium`", "PATH"]),
        ("\"https://app.example/cb\"}\n  conf", "\"/cb\"}\n  conf", &["`/cb` is no URL"]),
    ];
    for (from, to, words) in table {
        assert!(TARGET.contains(from), "the sample has no `{from}`");
        let found = read(&TARGET.replacen(from, to, 1)).err().unwrap_or_default();
        let text: Vec<String> = found.iter().map(ToString::to_string).collect();
        let text = text.join("\n");
        assert!(words.iter().all(|w| text.contains(w)), "`{to}` should say {words:?}, and says:\n{text}");
    }
}

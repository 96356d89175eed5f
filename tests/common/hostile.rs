//! Reports made to attack whoever renders them: every string of a real one replaced, or added to, by nasty text.

use grantproof::model::report::Report;
use serde_json::Value;

/// Markup, terminal escapes, workflow commands, mentions, tables, fences, entities, and what no format may hold.
pub const TEXTS: &[&str] = &[
    "</script><script>alert(1)</script><img src=x onerror=alert(1)>&lt;b&gt;&#x3c;",
    "\u{1b}[31mred\u{1b}]8;;https://evil.example\u{7}link\u{1b}]8;;\u{7}\u{0}\u{8}\u{202e}gnp\u{fffe}\u{ffff}\u{85}\u{2028}",
    "x\n::error title=gone::pwned\r\n::add-mask::a\r::set-output name=x::y\n##[error]z %0A::error::q",
    "@all @octocat a@b.example #1 GH-1 org/repo#2 www.evil.example https://evil.example/?a=b ftp://evil.example",
    "\n\n# heading\n\n[a](https://evil.example) ![i](https://evil.example/p.png) <https://evil.example> [x]: https://evil.example\n\n---\n> [!NOTE]\n> q\n",
    "a|b|`c`|``d|\n|---|---|\n```\n~~~\n````sh\n</details></summary><h1>x</h1>\n\n<h1>y</h1>\n",
    "]]><!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]>&e;<?xml version=\"1.0\"?>",
    "=cmd|' /C calc'!A0\t\"quoted\",\\backslash\\ \\`\\[x](y) {0} {{1}} $(id) `id` '; id; '",
    "../../../etc/passwd%00\\\\evil\\c$ file:///etc/passwd javascript:alert(1)",
    "",
];

/// Names of what the schema takes from a list of words, which no attacker can choose freely.
const WORDS: &[&str] =
    &["verdict", "at_fault", "severity", "level", "kind", "outcome", "profile", "fail_on", "since_baseline", "schema_version", "enforced"];

/// A report in which every string that may be anything is `text`, names in maps included.
pub fn replaced(report: &Report, text: &str) -> Report {
    rebuilt(report, &|_| text.to_owned())
}

/// A report in which `text` stands behind every string that may be anything.
pub fn added(report: &Report, text: &str) -> Report {
    rebuilt(report, &|was| format!("{was}{text}"))
}

fn rebuilt(report: &Report, change: &dyn Fn(&str) -> String) -> Report {
    let mut value = serde_json::to_value(report).expect("JSON");
    walk(&mut value, false, change);
    // Evidence is kept as raw JSON, which is read from text only.
    serde_json::from_str(&value.to_string()).expect("a report by the schema")
}

fn walk(value: &mut Value, free_names: bool, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| walk(item, false, change)),
        Value::Object(members) => {
            let before = std::mem::take(members);
            for (name, mut value) in before {
                if !WORDS.contains(&name.as_str()) || free_names {
                    // Maps whose names are anybody's.
                    let free = matches!(name.as_str(), "fields" | "sent" | "facts" | "variables");
                    walk(&mut value, free, change);
                }
                members.insert(if free_names { change(&name) } else { name }, value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

//! grantproof attacks an OAuth 2.0 / OpenID Connect server the way an attacker would, and reports which of its defenses
//! hold.
//!
//! ```text
//! cli → target (what we test) + scenario (what we try)
//!     → plan      pairs become trials; equal controls are shared; needs and applicability decided once
//!     → engine    runs trials: flow steps, login, forging, one polite HTTP client; yields observations only
//!     → judge     pure: observations → verdict + reason. No I/O, no clock
//!     → report    pure: verdicts → bytes
//! ```
#![forbid(unsafe_code)]

pub mod cli;
pub mod curl;
pub mod diagnostic;
pub mod duration;
pub mod engine;
pub mod judge;
pub mod lab;
pub mod model;
pub mod place;
pub mod plan;
pub mod redact;
pub mod report;
pub mod run;
pub mod scenario;
pub mod schema;
pub mod selector;
pub mod selftest;
pub mod target;
pub mod totp;
pub mod wire;
pub mod yaml;

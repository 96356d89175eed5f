//! The core types: what is tried, what was seen, what it means. They know no HTTP library, no command line, no colour.

pub mod account;
pub mod attempts;
pub mod authentication;
pub mod bend;
pub mod conduct;
pub mod event;
mod fields;
pub mod finding;
pub mod observation;
pub mod predicate;
pub mod profile;
pub mod report;
pub mod scenario;
pub mod step;
pub mod value;
pub mod verdict;

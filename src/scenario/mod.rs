//! Scenario files: their shape, the loader with its diagnostics, the embedded catalogue.

pub mod catalogue;
pub mod change;
pub mod expression;
pub mod file;
mod lint;
pub mod resolve;

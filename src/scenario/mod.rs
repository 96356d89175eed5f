//! Scenario files: their shape, the loader with its diagnostics, the embedded catalogue.

pub mod beside;
pub mod catalogue;
pub mod change;
mod conditions;
pub mod expression;
pub mod file;
mod lint;
mod operations;
pub mod outline;
pub mod resolve;
pub mod standard;

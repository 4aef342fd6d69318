//! A scorecard for people and programs, one file a form.

pub mod json;
pub mod junit;
pub mod markdown;
pub mod navigator;
pub mod table;

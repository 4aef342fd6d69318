//! What happens on any day, one module a log. The events are shaped by the vendors' documentation.

pub mod cloudtrail;
pub mod kubernetes;
pub mod windows;

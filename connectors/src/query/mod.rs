//! The protocols that SQL is asked over.

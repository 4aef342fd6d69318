//! Bytes that are secret: erased when they are dropped, and never printed.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use std::fmt;
use zeroize::Zeroizing;

/// Secret bytes.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Random bytes, of the operating system's generator; `None` where it gave none.
    pub fn random(bytes: usize) -> Option<Self> {
        let mut secret = Zeroizing::new(vec![0; bytes]);
        SystemRandom::new().fill(&mut secret).ok()?;
        Some(Self(secret))
    }

    /// The bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn expose_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

//! Progress of long work, on a terminal only: bytes read, of how many, and a word on what goes on.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Read};

/// A bar over `total` bytes; hidden where stderr is no terminal.
pub fn bytes(total: u64) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    let template = "{spinner} {bytes}/{total_bytes} {bar:30} {bytes_per_sec} {msg}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// A reader that moves a bar.
pub struct Counted<R> {
    inner: R,
    bar: ProgressBar,
}

impl<R> Counted<R> {
    /// Counts what is read from `inner` on `bar`.
    pub fn new(inner: R, bar: ProgressBar) -> Self {
        Self { inner, bar }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.bar.inc(n as u64);
        Ok(n)
    }
}

/// A bar over `total` events; hidden where stderr is no terminal.
pub fn events(total: u64) -> ProgressBar {
    let bar = bytes(total);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos}/{human_len} events {bar:30} {per_sec} {msg}")
    {
        bar.set_style(style);
    }
    bar
}

/// A bar over `total` steps; hidden where stderr is no terminal.
pub fn steps(total: u64) -> ProgressBar {
    let bar = bytes(total);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {bar:30} {msg}") {
        bar.set_style(style);
    }
    bar
}

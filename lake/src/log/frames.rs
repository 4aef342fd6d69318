//! Frames that are on disk, in order.

use super::error::{Damage, LogError};
use super::files::Files;
use super::segment::{Found, Segment};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

/// A segment as far as it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Sequence of its first frame, present or to come.
    pub first: u64,
    /// Where its durable frames end.
    pub end: u64,
}

/// Frames in the order of their sequences, each with its payload. Holds one payload at a time, and one open file.
///
/// **Errors**: [`LogError::Damaged`], [`LogError::Io`]; [`LogError::Cut`] when the segment to go on with was cut. An
/// error is the last item.
#[derive(Debug)]
pub struct Frames {
    files: Arc<dyn Files>,
    spans: VecDeque<Span>,
    open: Option<Segment>,
    /// The first frame that is wanted.
    from: u64,
    /// The last one.
    through: u64,
}

impl Frames {
    pub(super) fn new(files: Arc<dyn Files>, spans: &VecDeque<Span>, after: u64, through: u64) -> Self {
        let from = after.saturating_add(1);
        // Segments that end before need not be opened.
        let before = spans.iter().skip(1).take_while(|span| span.first <= from).count();
        let spans = if from > through { VecDeque::new() } else { spans.iter().skip(before).copied().collect() };
        Self { files, spans, open: None, from, through }
    }

    fn read(&mut self) -> Result<Option<(u64, Bytes)>, LogError> {
        loop {
            let mut segment = match (self.open.take(), self.spans.front()) {
                (Some(segment), _) => segment,
                (None, Some(span)) => Segment::open(&self.files, span.first, Some(span.end))?,
                (None, None) => return Ok(None),
            };
            let sequence = segment.next;
            match segment.found()? {
                Found::Frame(frame) if frame.sequence < self.from => segment.skip(&frame)?,
                Found::Frame(frame) => {
                    let payload = segment.payload(&frame)?;
                    let payload = payload.ok_or_else(|| segment.damaged(Damage::Frame { sequence }))?;
                    self.open = Some(segment);
                    return Ok(Some((sequence, payload.into())));
                }
                Found::End => {
                    self.spans.pop_front();
                    let next = self.spans.front().map_or(self.through + 1, |span| span.first);
                    if next != sequence {
                        return Err(segment.damaged(Damage::End { sequence: sequence - 1, next }));
                    }
                    continue;
                }
                Found::Unsound => return Err(segment.damaged(Damage::Frame { sequence })),
            }
            self.open = Some(segment);
        }
    }
}

impl Iterator for Frames {
    type Item = Result<(u64, Bytes), LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read().transpose();
        if !matches!(read, Some(Ok(_))) {
            self.spans.clear();
            self.open = None;
        }
        read
    }
}

//! Random appends, cuts, kills, power cuts and failures of the disk.
//!
//! What must hold: a frame that was acknowledged, handed on, or read back once is read back from then on, under its
//! sequence, byte for byte, until it is cut. Other frames are there whole or not at all, after no hole, never twice.

use bytes::Bytes;
use futures::executor::block_on;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tarn_lake::log::files::{Call, Memory};
use tarn_lake::log::{Log, LogError, LogOptions};

const ROOM: usize = 1 << 20;
const OPTIONS: LogOptions =
    LogOptions { segment_bytes: 600, bytes_max: 5000, frame_bytes_max: 2000, sync_wait: Duration::ZERO };

#[derive(Clone, Debug)]
enum Step {
    /// Appends frames of these sizes at once, and waits for them.
    Append(Vec<usize>),
    /// Appends such frames, and does not wait.
    Begin(Vec<usize>),
    /// Appends a frame that holds what the last segment holds.
    Echo,
    /// Cuts all but so many frames.
    Cut(u64),
    Read,
    Fail(Call, usize),
    Room(usize),
    /// Ends the process, and begins a new one.
    Again(End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Close,
    Kill,
    Crash,
}

fn step() -> impl Strategy<Value = Step> {
    let sizes = || prop::collection::vec(prop_oneof![6 => 8..60_usize, 1 => 60..1200_usize], 1..6);
    let call = prop::sample::select(vec![
        Call::Write,
        Call::Sync,
        Call::Truncate,
        Call::Create,
        Call::Rename,
        Call::Remove,
        Call::SyncFolder,
    ]);
    prop_oneof![
        10 => sizes().prop_map(Step::Append),
        4 => sizes().prop_map(Step::Begin),
        2 => Just(Step::Echo),
        3 => (0..8_u64).prop_map(Step::Cut),
        1 => Just(Step::Read),
        2 => (call, 0..4_usize).prop_map(|(call, after)| Step::Fail(call, after)),
        2 => prop_oneof![(0..6000_usize), Just(ROOM)].prop_map(Step::Room),
        6 => prop::sample::select(vec![End::Close, End::Kill, End::Crash, End::Crash]).prop_map(Step::Again),
    ]
}

struct Run {
    memory: Memory,
    log: Log<Bytes>,
    /// What the log handed on, in this process.
    handed_on: Arc<Mutex<Vec<(u64, Bytes)>>>,
    /// What has to stay.
    known: BTreeMap<u64, Bytes>,
    /// What was appended without ever being acknowledged.
    unsure: BTreeSet<Bytes>,
    begun: Vec<(Bytes, futures::future::BoxFuture<'static, Result<u64, LogError>>)>,
    /// What may be gone.
    cut: u64,
    poisoned: bool,
    appended: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let memory = Memory::new(seed, ROOM);
        let handed_on = Arc::default();
        let log = open(&memory, &handed_on).unwrap();
        let (known, unsure, begun) = (BTreeMap::new(), BTreeSet::new(), Vec::new());
        Self { memory, log, handed_on, known, unsure, begun, cut: 0, poisoned: false, appended: 0 }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append(sizes) => {
                self.begin(sizes);
                self.wait();
            }
            Step::Begin(sizes) => self.begin(sizes),
            Step::Echo => {
                let name = (0..=self.log.last() + 1).rev().find_map(|n| self.memory.bytes(&format!("{n:020}.seg")));
                let name = name.unwrap();
                self.append(&name[..name.len().min(1500)]);
                self.wait();
            }
            Step::Cut(but) => {
                let through = self.log.last().saturating_sub(but);
                self.cut = self.cut.max(through);
                match self.log.cut(through) {
                    Ok(()) if but == 0 => assert!(self.begun.is_empty() || self.log.first() <= self.log.last() + 1),
                    Ok(()) => {}
                    Err(LogError::Io { .. } | LogError::Full { .. }) => {}
                    Err(LogError::Poisoned { .. }) => {
                        // What was under way may have been written before.
                        self.wait();
                        self.poisoned = true;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Read => self.check(),
            Step::Fail(call, after) => self.memory.fail(call, after),
            Step::Room(room) => self.memory.resize(room),
            Step::Again(end) => self.again(end),
        }
    }

    fn begin(&mut self, sizes: Vec<usize>) {
        for size in sizes {
            self.append(&vec![b'.'; size]);
        }
    }

    fn append(&mut self, rest: &[u8]) {
        self.appended += 1;
        let number = format!("{:08}", self.appended).into_bytes();
        let frame = Bytes::from([&number, rest].concat());
        self.unsure.insert(frame.clone());
        let parts = vec![frame.slice(..3), Bytes::new(), frame.slice(3..)];
        self.begun.push((frame.clone(), Box::pin(self.log.append(parts, frame))));
    }

    fn wait(&mut self) {
        let mut failed = false;
        for (frame, answer) in std::mem::take(&mut self.begun) {
            match block_on(answer) {
                Ok(sequence) => {
                    assert!(!self.poisoned && !failed, "acknowledged after a failure");
                    self.knows(sequence, frame);
                }
                Err(LogError::Poisoned { .. }) => failed = true,
                Err(LogError::Full { .. }) => assert!(!self.poisoned),
                Err(error) => panic!("{error}"),
            }
        }
        self.poisoned |= failed;
    }

    fn knows(&mut self, sequence: u64, frame: Bytes) {
        let before = self.known.insert(sequence, frame.clone());
        match before {
            Some(before) => assert_eq!(before, frame, "sequence {sequence} came twice"),
            None => assert!(self.unsure.remove(&frame), "a frame that nobody appended, or twice: {frame:?}"),
        }
    }

    fn check(&mut self) {
        let first = self.log.first();
        let frames: Vec<(u64, Bytes)> = self.log.read_after(0).unwrap().map(Result::unwrap).collect();
        let sequences: Vec<u64> = frames.iter().map(|(sequence, _)| *sequence).collect();
        assert_eq!(sequences, (first..first + frames.len() as u64).collect::<Vec<_>>(), "in order, without a hole");
        assert!(first <= self.cut + 1, "{first} is first, and {} was cut", self.cut);
        let last = first + frames.len() as u64 - 1;
        assert!(last >= self.known.last_key_value().map_or(0, |(last, _)| *last), "it went back to {last}");
        assert!(self.log.last() >= last);
        frames.into_iter().for_each(|(sequence, frame)| self.knows(sequence, frame));
    }

    fn again(&mut self, end: End) {
        match end {
            End::Close => {}
            End::Kill => self.memory.kill(),
            End::Crash => self.memory.crash(),
        }
        self.log.clone().close();
        assert!(matches!(self.log.read_after(0), Err(LogError::Closed)));
        assert!(matches!(self.log.cut(1), Err(LogError::Closed | LogError::Poisoned { .. })));
        for (frame, answer) in std::mem::take(&mut self.begun) {
            // Until the end it may have been acknowledged.
            if let Ok(sequence) = block_on(answer) {
                self.knows(sequence, frame);
            }
        }
        let handed_on = std::mem::take(&mut *self.handed_on.lock().unwrap());
        assert!(handed_on.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0), "handed on in order");
        handed_on.into_iter().for_each(|(sequence, frame)| self.knows(sequence, frame));
        self.poisoned = false;
        self.log = match open(&self.memory, &self.handed_on) {
            Ok(log) => log,
            Err(LogError::Io { .. } | LogError::Full { .. }) => {
                // The disk still fails; it is seen to, and this time the power stays.
                self.memory.heal();
                self.memory.resize(ROOM);
                open(&self.memory, &self.handed_on).unwrap()
            }
            Err(error) => panic!("{error}"),
        };
        self.check();
    }
}

fn open(memory: &Memory, handed_on: &Arc<Mutex<Vec<(u64, Bytes)>>>) -> Result<Log<Bytes>, LogError> {
    let handed_on = handed_on.clone();
    Log::open_in(memory.process(), OPTIONS, move |sequence, frame| handed_on.lock().unwrap().push((sequence, frame)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_acknowledged_is_read_back(seed in any::<u64>(), steps in prop::collection::vec(step(), 1..60)) {
        let mut run = Run::new(seed);
        for step in steps {
            run.step(step);
        }
        run.again(End::Crash);
        run.again(End::Close);
    }
}

//! Inputs made of others: deterministic, so that a finding of `cargo test` comes again.

/// Parts of the formats that are read here, which chance does not find.
const WORDS: &[&[u8]] = &[
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"\"",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"9223372036854775807",
    b"18446744073709551616",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\x1b[31m",
    b"\n\n",
    b"AAAA",
    b"sha256:",
    b"://",
    b"\x80",
    b"\x30\x80",
    b"\x9f",
    b"\xbf",
    b"\x5f",
    b"\xff\xff\xff\xff",
    b"\x00\x00\x00\x00",
    b"%2e%2e%2f",
    b"\xe2\x80\x94 ",
];

/// Bytes of an input at most.
const BYTES_MAX: usize = 64 << 10;

/// A generator of numbers: xorshift, 64 bits.
pub struct Random(u64);

impl Random {
    /// Begun with a number; zero is as another.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`, zero where it is zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end.max(1)
    }
}

/// One of `seeds`, changed in one to eight places.
pub fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        let at = random.below(bytes.len() + 1);
        let end = (at + 1 + random.below(32)).min(bytes.len());
        match random.below(10) {
            0 | 1 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            2 if at < bytes.len() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'0'][random.below(7)],
            3 => drop(bytes.drain(at..end.max(at))),
            4 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            5 => drop(bytes.splice(at..end.max(at), WORDS[random.below(WORDS.len())].iter().copied())),
            6 => {
                let copy = bytes[at..end.max(at)].to_vec();
                bytes.splice(at..at, copy);
            }
            // The end of another input behind the beginning of this one.
            7 => {
                let other = &seeds[random.below(seeds.len())];
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len() + 1)..]);
            }
            // A part so often that it nests too deeply, or is too many.
            8 if random.below(8) == 0 => {
                let part = WORDS[random.below(WORDS.len())];
                bytes.splice(at..at, part.repeat(1 + random.below(4_000)));
            }
            9 if random.below(4) == 0 => bytes.truncate(at),
            _ => {}
        }
        bytes.truncate(BYTES_MAX);
    }
    bytes
}

/// Runs a target on its seeds and on `rounds` inputs made of them, times `TARN_FUZZ_TIMES` where that is a number.
///
/// Where `TARN_FUZZ_SEEDS` names a folder, the seeds are written there, for [`fuzz/run`](../run), and nothing is run.
///
/// # Panics
///
/// Where the target does, with the input.
pub fn run(name: &str, target: fn(&[u8]), seeds: &[Vec<u8>], rounds: u64) {
    assert!(!seeds.is_empty(), "{name} has no seeds");
    if let Some(folder) = std::env::var_os("TARN_FUZZ_SEEDS") {
        let folder = std::path::Path::new(&folder).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds.iter().enumerate() {
            std::fs::write(folder.join(number.to_string()), seed).unwrap();
        }
        return;
    }
    let times = std::env::var("TARN_FUZZ_TIMES").ok().and_then(|times| times.parse::<u64>().ok()).unwrap_or(1);
    let mut random =
        Random::new(name.bytes().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte))));
    for round in 0..seeds.len() as u64 + rounds * times {
        let seed = seeds.get(round as usize).cloned();
        let input = seed.unwrap_or_else(|| mutated(seeds, &mut random));
        let ran = std::panic::catch_unwind(|| target(&input));
        assert!(ran.is_ok(), "{name}, input {round}: {}", input.escape_ascii());
    }
}

//! Sealed files: they open whole and unchanged, or not at all.

use std::io::Cursor;
use tarn_enclave::Secret;
use tarn_enclave::sealed::{KEY_BYTES, Sealed, SealedError, seal};

const CHUNK: usize = 1 << 20;

fn key() -> Secret {
    Secret::random(KEY_BYTES).unwrap()
}

fn sealed(bytes: &[u8], key: &Secret) -> Vec<u8> {
    let mut output = Vec::new();
    assert_eq!(seal(bytes, &mut output, &"a/b/c".parse().unwrap(), key).unwrap(), bytes.len() as u64);
    output
}

fn open(file: &[u8], key: &Secret) -> Result<Vec<u8>, SealedError> {
    let mut output = Vec::new();
    Sealed::open(Cursor::new(file))?.unseal(&mut output, key)?;
    Ok(output)
}

#[test]
fn files_of_any_size_come_back() {
    for size in [0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 77] {
        let (bytes, key): (Vec<u8>, _) = ((0..size).map(|n| (n % 251) as u8).collect(), key());
        let file = sealed(&bytes, &key);
        assert_eq!(Sealed::open(Cursor::new(&file)).unwrap().name().as_str(), "a/b/c");
        assert_eq!(open(&file, &key).unwrap(), bytes, "{size}");
    }
}

#[test]
fn another_key_a_change_and_a_cut_are_refused() {
    let key_of_it = key();
    let file = sealed(&vec![7; 2 * CHUNK + 10], &key_of_it);
    assert!(matches!(open(&file, &key()), Err(SealedError::Changed { chunk: 1 })));
    assert!(matches!(open(&file, &Secret::new(vec![1; 31])), Err(SealedError::Key(31))));
    let head = b"tarn-sealed 1 a/b/c\n".len();
    for at in [14, head, head + 6, head + 7, head + 8 + CHUNK, file.len() - 1] {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(open(&changed, &key_of_it).is_err(), "byte {at}");
    }
    let chunks = head + 7;
    // At the ends of chunks too: the last one is marked.
    for end in [0, 5, head, chunks, chunks + 16, chunks + CHUNK + 16, chunks + 2 * (CHUNK + 16), file.len() - 1] {
        assert!(open(&file[..end], &key_of_it).is_err(), "cut at {end}");
    }
    assert!(open(&[file.as_slice(), &[0]].concat(), &key_of_it).is_err());
    let (one, two) = (chunks..chunks + CHUNK + 16, chunks + CHUNK + 16..chunks + 2 * (CHUNK + 16));
    let swapped = [&file[..chunks], &file[two.clone()], &file[one], &file[two.end..]].concat();
    assert!(matches!(open(&swapped, &key_of_it), Err(SealedError::Changed { chunk: 1 })));
}

#[test]
fn what_is_no_sealed_file_is_refused() {
    let good = sealed(b"x", &key());
    for wrong in [
        &b""[..],
        b"\n",
        b"tarn-sealed 1 a/b\n",
        b"tarn-sealed 2 a/b/c\n",
        b"tarn-sealed 1 a/b/c",
        &good[1..],
        &[0xff; 9000],
    ] {
        assert!(matches!(Sealed::open(Cursor::new(wrong)), Err(SealedError::Form)), "{wrong:?}");
    }
}

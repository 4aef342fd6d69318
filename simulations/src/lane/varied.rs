//! Texts like others, for rules like others.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// One in so many letters and digits becomes another.
const ONE_IN: u32 = 4;

/// The text with some of its letters and digits replaced by others of their class, and one of them at least: near to the
/// original, as a rule's literals are near to each other. The same text and seed give the same; a text without letters
/// and digits stays.
pub fn varied(text: &str, seed: u64) -> String {
    let mut rng = ChaCha8Rng::seed_from_u64(super::hash((seed, text)));
    let may_vary = text.chars().filter(char::is_ascii_alphanumeric).count();
    let always = rng.random_range(0..may_vary.max(1) as u32);
    let mut at = 0;
    let vary = |c: char| {
        if !c.is_ascii_alphanumeric() {
            return c;
        }
        at += 1;
        if !rng.random_ratio(1, ONE_IN) && at != always + 1 {
            return c;
        }
        let (first, of) = match c {
            '0'..='9' => (b'0', 10),
            'a'..='z' => (b'a', 26),
            _ => (b'A', 26),
        };
        char::from(first + (c as u8 - first + rng.random_range(1..of)) % of)
    };
    text.chars().map(vary).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varied_text_is_another_of_the_same_form() {
        for text in ["\\powershell.exe", "7", "*-enc *", "Ünïcode 1"] {
            let (one, other) = (varied(text, 1), varied(text, 2));
            assert_eq!(one, varied(text, 1));
            assert!(one != text && other != text, "{one} {other}");
            let class = |c: char| (c.is_ascii_digit(), c.is_ascii_lowercase(), c.is_ascii_uppercase());
            assert!(one.chars().map(class).eq(text.chars().map(class)), "{one}");
        }
        assert_eq!(varied("-*?", 1), "-*?");
    }
}

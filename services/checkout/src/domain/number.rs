//! The number that a buyer sees and reads out on the telephone.

use uuid::Uuid;

/// Crockford's base 32: no I, L, O or U, so that nothing is misread. See <https://www.crockford.com/base32.html>.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// An order's number, from the 50 lowest bits of its id, which are random in a UUIDv7: among a million orders two are
/// alike with a chance of about 1 in 2,000, so it is for people; programs use the id.
pub fn of(id: Uuid) -> String {
    let bits = id.as_u128();
    let letters: Vec<u8> = (0..10).rev().map(|index| ALPHABET[usize_of(bits >> (5 * index))]).collect();
    let text: String = letters.into_iter().map(char::from).collect();
    format!("SV-{}-{}", &text[..5], &text[5..])
}

fn usize_of(bits: u128) -> usize {
    usize::try_from(bits & 31).expect("five bits fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_readable_and_the_orders_own() {
        let number = of(Uuid::from_u128(0x0192_0000_0000_7000_8000_1234_5678_9abc));
        assert_eq!(number, of(Uuid::from_u128(0x0192_0000_0000_7000_8000_1234_5678_9abc)));
        let groups: Vec<_> = number.split('-').collect();
        assert_eq!((groups[0], groups[1..].iter().map(|group| group.len()).collect::<Vec<_>>()), ("SV", vec![5, 5]));
        assert!(groups[1..].concat().bytes().all(|byte| ALPHABET.contains(&byte)), "{number}");
        assert_ne!(number, of(Uuid::from_u128(0x0192_0000_0000_7000_8000_1234_5678_9abd)));
    }
}

//! 32 bytes as 64 lowercase hexadecimal digits, and strictly back.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The two digits of every byte, so that writing a hash is 32 look-ups.
static PAIRS: [[u8; 2]; 256] = {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Writes lowercase digits.
pub(crate) fn encode(bytes: &[u8; 32]) -> [u8; 64] {
    let mut text = [0; 64];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&PAIRS[usize::from(*byte)]);
    }
    text
}

/// Reads exactly 64 lowercase digits: one value has one text, so a text can be compared as bytes.
pub(crate) fn decode(text: &[u8]) -> Option<[u8; 32]> {
    let text: &[u8; 64] = text.try_into().ok()?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_comes_back_and_only_lowercase_is_read() {
        for start in (0..=255u8).step_by(32) {
            let bytes: [u8; 32] = std::array::from_fn(|place| start + place as u8);
            assert_eq!(decode(&encode(&bytes)), Some(bytes));
        }
        let text = encode(&[0xAB; 32]);
        assert_eq!(&text[..4], b"abab");
        assert_eq!(decode(&text.to_ascii_uppercase()), None);
        assert_eq!(decode(&text[..63]), None);
        assert_eq!(decode(&[&text[..], b"0"].concat()), None);
        assert_eq!(decode(&[b'g'; 64]), None);
    }
}

//! The letters that stand for bytes in byte-level vocabularies: visible Latin-1 characters for
//! themselves, and those behind Latin-1, in order, for the rest.

const LETTERS: [char; 256] = letters();

/// Behind Latin-1, the first letter of the rest.
const REST: u32 = 0x100;

/// The letter of each byte.
pub(in crate::tokenizer) fn byte_letters() -> &'static [char; 256] {
    &LETTERS
}

pub(super) fn letters_of(bytes: &[u8]) -> impl Iterator<Item = char> {
    bytes.iter().map(|byte| LETTERS[usize::from(*byte)])
}

/// None: no byte is written like that.
pub(super) fn byte_of(letter: char) -> Option<u8> {
    match u8::try_from(letter) {
        Ok(byte) => is_visible(byte).then_some(byte),
        Err(_) => {
            let place = u32::from(letter).checked_sub(REST)?;
            let mut rest = (0..=u8::MAX).filter(|byte| !is_visible(*byte));
            rest.nth(place as usize)
        }
    }
}

const fn is_visible(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff)
}

const fn letters() -> [char; 256] {
    let mut letters = ['\0'; 256];
    let (mut byte, mut next) = (0, REST);
    while byte < 256 {
        letters[byte] = byte as u8 as char;
        if !is_visible(byte as u8) {
            if let Some(letter) = char::from_u32(next) {
                letters[byte] = letter;
            }
            next += 1;
        }
        byte += 1;
    }
    letters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_for_one_byte_each() {
        for byte in 0..=u8::MAX {
            assert_eq!(byte_of(byte_letters()[usize::from(byte)]), Some(byte));
        }
        assert_eq!(letters_of(b" \n").collect::<String>(), "ĠĊ");
        for none in [' ', '\u{ad}', '\u{144}', '中'] {
            assert_eq!(byte_of(none), None, "{none:?}");
        }
    }
}

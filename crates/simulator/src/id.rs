//! Ids in the form of the API's, made from a number: the same number always gives the same id.

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The organization that every answer claims to come from.
pub(crate) const ORGANIZATION: &str = "51300000-0000-4000-8000-000000000000";

pub(crate) fn request(serial: u64) -> String {
    made_of("req_01", serial, 22)
}

pub(crate) fn message(serial: u64) -> String {
    made_of("msg_01", mix(serial ^ 0x006d_7367), 22)
}

/// The id of the `nth` tool use of a message.
pub(crate) fn tool(prefix: &str, serial: u64, nth: u64) -> String {
    made_of(&format!("{prefix}01"), mix(serial).wrapping_add(nth), 22)
}

/// What stands in the `signature` of a thinking block. Nobody can check it.
pub(crate) fn signature(serial: u64) -> String {
    made_of("Ev", mix(serial ^ 0x0073_6967), 86)
}

fn made_of(prefix: &str, seed: u64, length: usize) -> String {
    let mut id = String::with_capacity(prefix.len() + length);
    id.push_str(prefix);
    let (mut state, mut word) = (seed, 0);
    for position in 0..length {
        // Ten base-62 digits of each 64-bit word.
        if position % 10 == 0 {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            word = mix(state);
        }
        id.push(char::from(DIGITS[(word % 62) as usize]));
        word /= 62;
    }
    id
}

/// The output step of SplitMix64 (Steele, Lea, Flood, 2014): a bijection, so that different numbers
/// give different ids.
fn mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_stay_the_same() {
        let ids: HashSet<String> = (0..10_000).map(request).collect();
        assert_eq!(ids.len(), 10_000);
        assert_eq!(request(7), request(7));
        assert!(ids.iter().all(|id| id.len() == 28 && id.starts_with("req_01")));
    }
}

//! The index against a scan of every range.

use bytes::Bytes;
use state_machine::KeyRange;

use super::random::Random;
use crate::watch::index::Index;

fn key(random: &mut Random, length_max: u64) -> Bytes {
    (0..random.below(length_max) + 1)
        .map(|_| b'a' + random.below(3) as u8)
        .collect()
}

fn range(random: &mut Random) -> KeyRange {
    let start = key(random, 3);
    let end = match random.below(4) {
        0 => Bytes::new(),
        1 => Bytes::from_static(&[0]),
        _ => {
            let mut end = start.to_vec();
            *end.last_mut().unwrap() += 1 + random.below(2) as u8;
            end.into()
        }
    };
    KeyRange { start, end }
}

fn holds(range: &KeyRange, key: &Bytes) -> bool {
    match &range.end[..] {
        [] => range.start == key,
        [0] => range.start <= key,
        end => range.start <= key && &key[..] < end,
    }
}

#[test]
fn finds_the_groups_whose_range_holds_the_key() {
    for seed in 0..50 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let mut index = Index::new();
        let mut groups: Vec<(u32, KeyRange)> = Vec::new();
        for number in 0..400 {
            if random.below(3) > 0 {
                let range = range(&mut random);
                index.insert(&range, number);
                groups.push((number, range));
            } else if !groups.is_empty() {
                let at = random.below(groups.len() as u64) as usize;
                let (number, range) = groups.swap_remove(at);
                index.remove(&range, number);
            }
            let key = key(&mut random, 4);
            let mut found = Vec::new();
            index.find(&key, &mut found);
            found.sort_unstable();
            let mut expected: Vec<_> = groups
                .iter()
                .filter(|(_, range)| holds(range, &key))
                .map(|(number, _)| *number)
                .collect();
            expected.sort_unstable();
            assert_eq!(found, expected, "key {key:?}");
        }
    }
}

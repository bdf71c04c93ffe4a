//! Random operations with reopening in between give what the model gives.

use proptest::prelude::*;

use crate::tests::model::{Driver, Random, State};
use crate::{Options, Wal};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_is_what_its_operations_made(
        seed: u64,
        runs in prop::collection::vec(1usize..120, 1..5),
        segment_bytes in 4096u64..20_000,
        window_bytes_max in 0usize..20_000,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let options = Options { segment_bytes, window_bytes_max, ..Options::default() };
        let mut random = Random(seed);
        let mut expected = State::default();
        for operations in runs {
            let (wal, recovered) = Wal::open(directory.path(), options.clone()).unwrap();
            prop_assert_eq!(recovered.cut_bytes, 0);
            prop_assert_eq!(&State::of(&wal, &recovered), &expected);
            let mut driver = Driver::new(wal, expected);
            for _operation in 0..operations {
                driver.operate(&mut random);
            }
            let entries = driver.wal.read(0..u64::MAX, usize::MAX).unwrap();
            prop_assert!(entries.iter().eq(driver.current.entries.values()));
            driver.wait();
            let entries = driver.wal.read(0..u64::MAX, usize::MAX).unwrap();
            prop_assert!(entries.iter().eq(driver.current.entries.values()));
            prop_assert_eq!(driver.acknowledged(), driver.steps.len());
            expected = driver.current;
        }
    }
}

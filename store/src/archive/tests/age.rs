//! What a retention keeps.

use super::super::retention::prune;
use super::*;

/// A span with a segment for each batch of ten entries behind an empty first one, and bases at these indexes, whose times are the same numbers.
fn a_span(member: &Path, sequence: u64, (first, batches): (u64, u64), bases: &[u64]) -> u64 {
    let header = Header {
        sequence,
        next_index: first,
        ..header()
    };
    let mut writer = SpanWriter::create(member, header).unwrap();
    writer.segment_bytes = 1;
    for _ in 0..batches {
        write(&mut writer, &[(vec![1; 10], true)]);
    }
    for index in bases {
        let name = folder::base_name(*index as i64 + 1, *index, Time(*index));
        fs::write(writer.path().join(name), "base").unwrap();
    }
    writer.sequence()
}

/// Indexes of bases and first entries of segments, by span.
fn left(member: &Path) -> Vec<(u64, Vec<u64>, Vec<u64>)> {
    let spans = folder::spans(member).unwrap().into_iter();
    spans
        .map(|span| {
            let bases = span.bases.iter().map(|base| base.index).collect();
            let firsts = span.segments.iter();
            let firsts = firsts.map(|file| reader::next_index(file).unwrap().unwrap());
            (span.sequence, bases, firsts.collect())
        })
        .collect()
}

#[test]
fn the_newest_base_that_is_old_enough_stays_with_all_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let member = dir.path();
    let last = a_span(member, 1, (1, 3), &[0, 15]);
    let current = a_span(member, last + 1, (51, 5), &[50, 65, 72, 99]);
    let everything = left(member);
    // Nothing is old enough, or nothing ever is.
    for oldest in [None, Some(Time(14))] {
        prune(member, current, oldest).unwrap();
        let bases: Vec<_> = left(member)
            .into_iter()
            .map(|(_, bases, _)| bases)
            .collect();
        assert_eq!(bases[1], everything[1].1);
        assert_eq!(bases[0], everything[0].1);
    }
    prune(member, current, Some(Time(16))).unwrap();
    assert_eq!(left(member)[0], (1, vec![15], vec![11, 21]));
    assert_eq!(left(member)[1], everything[1]);
    prune(member, current, Some(Time(73))).unwrap();
    assert_eq!(left(member), [(last + 1, vec![72, 99], vec![71, 81, 91])]);
    prune(member, current, Some(Time(1_000))).unwrap();
    assert_eq!(left(member), [(last + 1, vec![99], vec![91])]);
    assert_eq!(read(&the_span(member)).unwrap().0.len(), 11);
}

#[test]
fn a_span_without_a_base_goes_when_it_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let member = dir.path();
    let last = a_span(member, 1, (1, 2), &[]);
    let current = a_span(member, last + 1, (30, 1), &[]);
    prune(member, current, None).unwrap();
    assert_eq!(left(member), [(last + 1, vec![], vec![30, 30])]);
}

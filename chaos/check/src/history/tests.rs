//! Histories as lines: what is written is read again.

use super::*;

fn put() -> Record {
    Record::Op(Operation {
        id: 7,
        client: 1,
        member: 2,
        call_ns: 10,
        return_ns: Some(20),
        request: Request::Put(Put {
            key: "a".into(),
            value: vec![0xff, 0].into(),
            ..Put::default()
        }),
        outcome: Outcome::Ok(Response {
            revision: 2,
            answer: Answer::Put { prev_kv: None },
        }),
    })
}

fn lines(records: &[Record]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn a_line_is_short_and_text_where_it_can_be() {
    assert_eq!(
        String::from_utf8(lines(&[put()])).unwrap(),
        concat!(
            r#"{"op":{"id":7,"client":1,"member":2,"call_ns":10,"return_ns":20,"#,
            r#""request":{"put":{"key":"a","value":{"hex":"ff00"}}},"#,
            r#""outcome":{"ok":{"revision":2,"answer":{"put":{}}}}}}"#,
            "\n"
        )
    );
}

#[test]
fn what_is_written_is_read_again() {
    let records = [
        Record::Run(Run {
            members: 3,
            ..Run::default()
        }),
        put(),
        Record::Watch(WatchResponse {
            watch: 1,
            events: vec![Event {
                kind: EventKind::Delete,
                kv: KeyValue::default(),
                prev_kv: Some(KeyValue::default()),
            }],
            ..WatchResponse::default()
        }),
    ];
    let read: Vec<Record> = Reader::new(lines(&records).as_slice())
        .map(Result::unwrap)
        .collect();
    assert_eq!(read, records);
}

#[test]
fn a_history_that_was_cut_off_says_so_after_its_whole_lines() {
    let mut bytes = lines(&[put(), put()]);
    bytes.truncate(bytes.len() - 3);
    let mut reader = Reader::new(bytes.as_slice());
    assert_eq!(reader.next().unwrap().unwrap(), put());
    assert!(matches!(
        reader.next(),
        Some(Err(ReadError::CutOff { line: 2 }))
    ));
    assert!(reader.next().is_none());
}

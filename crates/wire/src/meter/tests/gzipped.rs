use super::*;

#[test]
fn a_gzip_answer_is_metered_like_a_plain_one() {
    let plain = stream(&ordinary());
    let events: Vec<&[u8]> = plain.split_inclusive(|&byte| byte == b'\n').collect();
    let half = plain.len() / 2;
    let rows = [gzip(&[&plain]), gzip(&events), [gzip(&[&plain[..half]]), gzip(&[&plain[half..]])].concat()];
    for encoded in rows {
        for size in [1, 7, encoded.len()] {
            let metered = meter(Meter::for_stream().gzip(), encoded.chunks(size));
            assert_eq!(metered, ordinary_metered(), "chunks of {size}");
        }
    }
    let answer = br#"{"type":"error","error":{"type":"rate_limit_error"}}"#;
    assert_eq!(meter(Meter::for_answer().gzip(), [gzip(&[answer])]), of_answer(answer));
}

#[test]
fn each_flushed_event_is_metered_at_once() {
    let plain = stream(&ordinary());
    let encoded = gzip(&[&plain]);
    let mut meter = Meter::for_stream().gzip();
    // Without the trailer of eight bytes: nothing may wait for it.
    meter.push(&encoded[..encoded.len() - 8]);
    assert_eq!(meter.finish(), ordinary_metered());
}

#[test]
fn what_is_not_gzip_is_said_to_be_unread() {
    let plain = stream(&ordinary());
    let unread = Metered { unread: Some(Unread::BadGzip), ..Metered::default() };
    assert_eq!(meter(Meter::for_stream().gzip(), [&plain, &plain]), unread);

    let mut damaged = gzip(&[&plain, &plain]);
    let empty_block = damaged.windows(4).position(|bytes| bytes == [0, 0, 0xFF, 0xFF]).unwrap();
    // The block after the first flush gets a type that RFC 1951 reserves.
    damaged[empty_block + 4] = 0b110;
    let metered = meter(Meter::for_stream().gzip(), [damaged]);
    assert_eq!(metered, Metered { unread: Some(Unread::BadGzip), ..ordinary_metered() });
}

#[test]
fn a_gzip_bomb_stops_the_meter() {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b'0'; 1 << 20];
    (0..32).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 40 << 10, "32 MiB in {} bytes", bomb.len());
    for size in [1000, bomb.len()] {
        let metered = meter(Meter::for_answer().gzip(), bomb.chunks(size));
        assert_eq!(metered.unread, Some(Unread::DecodedTooLarge));
    }
}

#[test]
fn the_limit_of_decoded_bytes_is_exact() {
    let body = format!("{{\"x\":\"{}\"}}", "x".repeat(1000));
    let encoded = gzip(&[body.as_bytes()]);
    for (limit, unread) in [(body.len(), None), (body.len() - 1, Some(Unread::DecodedTooLarge))] {
        let mut gunzip = Gunzip::new(Content::Answer(AnswerMeter::default()), limit as u64);
        gunzip.push(&encoded);
        let metered = gunzip.finish();
        assert_eq!((metered.unread, metered.complete), (unread, unread.is_none()));
    }
}

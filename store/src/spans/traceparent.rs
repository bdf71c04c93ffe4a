//! The W3C's headers by which a caller says what trace its request is part of.

use http::HeaderMap;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Longest `tracestate` that is handed on, as the W3C has it; a longer one is left out.
const STATE_BYTES_MAX: usize = 512;
/// Version, trace, span and flags with dashes between.
const VERSION_0_BYTES: usize = 55;
const SAMPLED: u8 = 1;

/// Whom a request's span is below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) trace_id: [u8; 16],
    pub(super) span_id: Option<[u8; 8]>,
    pub(super) is_sampled: bool,
    pub(super) state: String,
}

impl Caller {
    /// A trace that begins here.
    pub(super) fn none(trace_id: [u8; 16]) -> Caller {
        Caller {
            trace_id,
            span_id: None,
            is_sampled: true,
            state: String::new(),
        }
    }
}

/// The caller that a request names; none when it names none, or in a way that cannot be read.
pub(super) fn of(headers: &HeaderMap) -> Option<Caller> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut caller = parse(text)?;
    let state = headers
        .get(TRACESTATE)
        .and_then(|state| state.to_str().ok());
    if let Some(state) = state.filter(|state| state.len() <= STATE_BYTES_MAX) {
        state.clone_into(&mut caller.state);
    }
    Some(caller)
}

fn parse(text: &str) -> Option<Caller> {
    let mut parts = text.split('-');
    let version = number(parts.next()?, 2)?;
    // Later versions may say more behind what is known.
    let is_version_0 = version == 0 && text.len() == VERSION_0_BYTES;
    if !is_version_0 && !(1..0xff).contains(&version) {
        return None;
    }
    let trace_id = number(parts.next()?, 32).filter(|id| *id != 0)?;
    let span_id = number(parts.next()?, 16).filter(|id| *id != 0)?;
    let flags = number(parts.next()?, 2)?;
    Some(Caller {
        trace_id: trace_id.to_be_bytes(),
        span_id: Some((span_id as u64).to_be_bytes()),
        is_sampled: flags as u8 & SAMPLED != 0,
        state: String::new(),
    })
}

/// A number in so many digits; capital letters are none.
fn number(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let fits = text.len() == digits && text.bytes().all(is_digit);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_caller_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", GOOD.parse().unwrap());
        headers.insert("tracestate", "a=b".parse().unwrap());
        let caller = of(&headers).unwrap();
        assert_eq!(
            u128::from_be_bytes(caller.trace_id),
            0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
        );
        let span_id = caller.span_id.map(u64::from_be_bytes);
        assert_eq!(span_id, Some(0x00f0_67aa_0ba9_02b7));
        assert!(caller.is_sampled);
        assert_eq!(caller.state, "a=b");
        let unsampled = parse(&GOOD.replace("-01", "-02")).unwrap();
        assert!(!unsampled.is_sampled);
    }

    #[test]
    fn a_later_version_may_say_more() {
        let later = GOOD.replacen("00", "cc", 1);
        assert_eq!(parse(&later), parse(GOOD));
        assert_eq!(parse(&format!("{later}-what-else")), parse(GOOD));
    }

    #[test]
    fn what_is_no_caller_is_none() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7b-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "+0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}

//! What quantities are read as, and how they are written.

use proptest::prelude::*;

use super::{Format, Quantity};

#[test]
fn quantities_are_written_in_canonical_form() {
    for (given, expected) in [
        ("0", "0"),
        ("-0", "0"),
        (".", "0"),
        ("1", "1"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1.500", "1.500"),
        ("1000m", "1"),
        ("1500m", "1500m"),
        ("100000", "100k"),
        ("128974848", "128974848"),
        ("1e3", "1e3"),
        ("1e2", "100"),
        ("1E9", "1E9"),
        ("12e6", "12e6"),
        ("12000e3", "12e6"),
        ("1Ki", "1Ki"),
        ("1024Ki", "1Mi"),
        ("1536Mi", "1536Mi"),
        ("8Ki", "8Ki"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1.1Ki", "1126400m"),
        ("0.0000000001", "1n"),
        ("-0.0000000001", "-1n"),
        ("10Ei", "9223372036854775807"),
        ("+5", "+5"),
        ("5k", "5k"),
        ("-5000", "-5k"),
        ("100Mi", "100Mi"),
        ("1E", "1E"),
    ] {
        let quantity = Quantity::parse(given).unwrap();
        assert_eq!(quantity.to_string(), expected, "{given}");
    }
}

#[test]
fn what_is_no_quantity_is_refused_in_upstreams_words() {
    for (given, expected) in [
        ("", "quantities must match"),
        ("x", "quantities must match"),
        ("1 k", "quantities must match"),
        ("1.2.3", "quantities must match"),
        ("1ki", "unable to parse quantity's suffix"),
        ("1Kii", "unable to parse quantity's suffix"),
        ("1e", "unable to parse quantity's suffix"),
    ] {
        let error = Quantity::parse(given).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{given}: {error}");
    }
}

#[test]
fn amounts_are_compared_and_added_whatever_their_units() {
    let parse = |text| Quantity::parse(text).unwrap();
    assert_eq!(parse("1"), parse("1000m"));
    assert!(parse("1Ki") > parse("1k"));
    assert!(parse("-1") < parse("1n"));
    assert!(parse("1e30") > parse("1n"));
    assert_eq!(parse("1").add(&parse("500m")).to_string(), "1500m");
    assert_eq!(parse("1Gi").sub(&parse("512Mi")).to_string(), "512Mi");
    assert_eq!(parse("0").add(&parse("2Gi")).to_string(), "2Gi");
    assert_eq!(parse("1").sub(&parse("1")).to_string(), "0");
    assert_eq!(parse("1500m").value(), 2);
    assert_eq!(parse("-1500m").value(), -2);
    assert_eq!(parse("1.5").milli_value(), 1500);
    assert_eq!(parse("1e40").value(), i64::MAX);
    assert_eq!(parse("1500m").as_i64(), None);
    assert_eq!(
        Quantity::from_milli(2500, Format::Decimal).to_string(),
        "2500m"
    );
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[-+]?[0-9.]{0,40}[eEinumkKMGTP]{0,2}[-+]?[0-9]{0,12}") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = quantity.to_string();
            let _ = quantity.add(&Quantity::new(1, Format::Binary)).to_string();
            let _ = (quantity.value(), quantity.milli_value());
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_amount(mantissa in any::<i32>(), suffix in 0..8usize) {
        let suffix = ["", "m", "k", "Mi", "e3", "G", "Ki", "u"][suffix];
        let quantity = Quantity::parse(&format!("{mantissa}{suffix}")).unwrap();
        prop_assert_eq!(&Quantity::parse(&quantity.to_string()).unwrap(), &quantity);
    }
}

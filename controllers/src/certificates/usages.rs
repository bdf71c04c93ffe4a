//! What a certificate may be used for, as requests name it and as certificates have it.

use std::collections::BTreeSet;

use crate::der;

/// Names of uses that are bits of a certificate, with the number of the bit.
const BITS: [(&str, usize); 10] = [
    ("signing", 0),
    ("digital signature", 0),
    ("content commitment", 1),
    ("key encipherment", 2),
    ("data encipherment", 3),
    ("key agreement", 4),
    ("cert sign", 5),
    ("crl sign", 6),
    ("encipher only", 7),
    ("decipher only", 8),
];

/// What the numbers of most other uses begin with.
macro_rules! purpose {
    ($number:literal) => {
        &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, $number]
    };
}

/// Names of the other uses, in the order that certificates have them.
const EXTENDED: [(&str, &[u8]); 13] = [
    ("any", &[0x55, 0x1d, 0x25, 0x00]),
    ("server auth", purpose!(1)),
    ("client auth", purpose!(2)),
    ("code signing", purpose!(3)),
    ("email protection", purpose!(4)),
    ("s/mime", purpose!(4)),
    ("ipsec end system", purpose!(5)),
    ("ipsec tunnel", purpose!(6)),
    ("ipsec user", purpose!(7)),
    ("timestamping", purpose!(8)),
    ("ocsp signing", purpose!(9)),
    (
        "microsoft sgc",
        &[0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x0a, 0x03, 0x03],
    ),
    (
        "netscape sgc",
        &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x04, 0x01],
    ),
];

/// Uses that are all known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Usages {
    names: BTreeSet<String>,
}

impl Usages {
    /// # Errors
    ///
    /// If a name is not known.
    pub(super) fn new(names: &[String]) -> Result<Usages, String> {
        let is_known = |name: &&String| {
            BITS.iter().any(|(known, _)| known == name)
                || EXTENDED.iter().any(|(known, _)| known == name)
        };
        let unknown: Vec<String> = names
            .iter()
            .filter(|name| !is_known(name))
            .map(|name| format!("{name:?}"))
            .collect();
        if !unknown.is_empty() {
            return Err(format!(
                "unrecognized usage values: [{}]",
                unknown.join(" ")
            ));
        }
        Ok(Usages {
            names: names.iter().cloned().collect(),
        })
    }

    /// The bits, as the string that a certificate has; none if there are none.
    pub(super) fn bits(&self) -> Option<Vec<u8>> {
        let mut bytes = [0_u8; 2];
        for (name, bit) in BITS {
            if self.names.contains(name) {
                bytes[bit / 8] |= 0x80 >> (bit % 8);
            }
        }
        let length = bytes.iter().rposition(|byte| *byte != 0)? + 1;
        let unused = u8::try_from(bytes[length - 1].trailing_zeros()).unwrap_or_default();
        Some(der::part(der::BIT_STRING, &[&[unused], &bytes[..length]]))
    }

    /// The numbers of the other uses, each once.
    pub(super) fn extended(&self) -> Vec<&'static [u8]> {
        let mut numbers: Vec<&[u8]> = Vec::new();
        for (name, number) in EXTENDED {
            if self.names.contains(name) && !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usages(names: &[&str]) -> Result<Usages, String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        Usages::new(&names)
    }

    #[test]
    fn uses_are_bits_and_numbers() {
        let client = usages(&["key encipherment", "client auth", "digital signature"]).unwrap();
        assert_eq!(client.bits().unwrap(), [3, 2, 5, 0b1010_0000]);
        assert_eq!(client.extended(), [EXTENDED[2].1]);
        let odd = usages(&["decipher only", "s/mime", "email protection", "any"]).unwrap();
        assert_eq!(odd.bits().unwrap(), [3, 3, 7, 0, 0x80]);
        assert_eq!(odd.extended(), [EXTENDED[0].1, EXTENDED[4].1]);
        assert_eq!(usages(&[]).unwrap().bits(), None);
        let fault = usages(&["client auth", "x", "y"]).unwrap_err();
        assert_eq!(fault, "unrecognized usage values: [\"x\" \"y\"]");
    }
}

//! How the servers of other APIs are spoken to.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::dial::{Identity, Roots, Tls};

/// Whose certificates are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Believed {
    Everybody,
    /// Those of the authorities in a bundle in base64; of those that the machine trusts if there is none.
    Bundle(String),
}

/// How streams to those who are believed are secured.
pub(super) fn make(believed: &Believed, identity: Option<Identity<'_>>) -> Result<Tls, String> {
    let Believed::Bundle(bundle) = believed else {
        return Tls::new(Roots::Unverified, identity);
    };
    let bundle = STANDARD.decode(bundle).map_err(|error| error.to_string())?;
    let roots = if bundle.is_empty() {
        Roots::System
    } else {
        Roots::Bundle(&bundle)
    };
    Tls::new(roots, identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_base64_and_none_is_that_of_the_machine() {
        let made = |text: &str| make(&Believed::Bundle(text.to_owned()), None);
        assert!(made("?").is_err());
        assert!(made("").is_ok());
        assert!(make(&Believed::Everybody, None).is_ok());
    }
}

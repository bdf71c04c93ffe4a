//! Who a request comes from, as its connection tells.

/// Common name of the client's certificate, which was verified in the handshake; among a request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CertificateCommonName(pub(crate) String);

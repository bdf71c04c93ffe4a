//! Who somebody is: client certificates, tokens, and those who say nothing.

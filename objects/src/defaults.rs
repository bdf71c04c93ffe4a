//! What built-in kinds fill in where an author said nothing.

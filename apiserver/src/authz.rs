//! Whether somebody may do something.

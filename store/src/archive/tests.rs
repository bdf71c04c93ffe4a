//! What is archived comes back byte by byte, a torn end is the end, and damage is told with its place.

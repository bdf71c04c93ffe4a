//! The four patches: JSON, merge, strategic merge, server-side apply.

//! One kind's objects in another version of it.

//! Quantities: numbers with a unit, compared and added exactly.

//! Tests of the hub against a history that is a plain list.

mod fake;
mod fragments;
mod index;
mod lag;
mod progress;
mod random;
mod rules;
mod threads;

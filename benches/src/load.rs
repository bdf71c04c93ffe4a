//! The load generator: one thread, its own small HTTP/2 client, many requests per system call.

pub mod cluster;
pub mod connection;
pub mod drive;
pub mod engine;
pub mod frame;
pub mod hpack;
pub mod huffman;
pub mod messages;
pub mod options;
pub mod processes;
pub mod protobuf;
pub mod random;
pub mod report;
pub mod run;
pub mod watch;
pub mod workload;

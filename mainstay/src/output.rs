//! Standard output, whose reader may go away before the end: `mainstay ctl watch k | head -1`.

use std::io::{self, ErrorKind, Write};

/// What a shell shows for a program that the signal of a closed pipe has ended; etcdctl dies of it.
const CLOSED_PIPE_EXIT_CODE: i32 = 128 + 13;

/// As `print!`, but a closed pipe ends the program without a word.
macro_rules! out {
    ($($text:tt)*) => {
        $crate::output::write_text(format_args!($($text)*))
    };
}

/// As `println!`, but a closed pipe ends the program without a word.
macro_rules! outln {
    () => {
        $crate::output::write(b"\n")
    };
    ($($text:tt)*) => {
        $crate::output::write_text(format_args!("{}\n", format_args!($($text)*)))
    };
}

pub(crate) fn write_text(text: std::fmt::Arguments<'_>) {
    end_if_failed(io::stdout().lock().write_fmt(text));
}

/// Ends the program when the bytes cannot be written.
pub(crate) fn write(bytes: &[u8]) {
    end_if_failed(io::stdout().lock().write_all(bytes));
}

fn end_if_failed(result: io::Result<()>) {
    let Err(error) = result else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(CLOSED_PIPE_EXIT_CODE);
    }
    eprintln!("mainstay: cannot write to standard output: {error}");
    std::process::exit(1);
}

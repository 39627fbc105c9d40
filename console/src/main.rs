//! The program `lynceus`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    lynceus_console::cli::main()
}

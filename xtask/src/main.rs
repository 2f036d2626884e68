//! The program `cargo xtask`: an allocator and the toolkit. What it does is in the library, where benches and fuzz
//! targets reach it too.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    xtask::main()
}

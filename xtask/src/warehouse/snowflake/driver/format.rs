//! What system and processor a library is made for: the system's loader only says that it cannot open one for another
//! processor, or even that it does not exist.

use std::env::consts::{ARCH, OS};
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Why the file cannot be loaded here, as a clause without its subject; `None` if it may.
pub(super) fn obstacle(library: &Path) -> Option<String> {
    let mut head = [0; 20];
    let read = File::open(library).and_then(|mut file| file.read_exact(&mut head));
    match read {
        Ok(()) => wrong(&head, OS, ARCH),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            Some("is not a library".to_owned())
        }
        Err(error) => Some(format!("cannot be read: {error}")),
    }
}

fn wrong(head: &[u8; 20], os: &str, arch: &str) -> Option<String> {
    let Some((system, processor)) = made_for(head) else { return Some("is not a library".to_owned()) };
    let fits = system == family(os) && processor.is_none_or(|processor| processor == arch);
    let processor = processor.unwrap_or("any processor");
    (!fits).then(|| format!("is for {system} on {processor}, and this is {os} on {arch}"))
}

/// The family of systems, and the processor if the file is for one that is known here.
fn made_for(head: &[u8; 20]) -> Option<(&'static str, Option<&'static str>)> {
    match head {
        [0x7f, b'E', b'L', b'F', ..] => Some(("linux", elf(u16::from_le_bytes([head[18], head[19]])))),
        // One processor, or several in one file.
        [0xcf, 0xfa, 0xed, 0xfe, ..] => Some(("macos", mach(head[4]))),
        [0xca, 0xfe, 0xba, 0xbe, ..] => Some(("macos", None)),
        [b'M', b'Z', ..] => Some(("windows", None)),
        _ => None,
    }
}

/// The number of the processor in the header of ELF.
fn elf(machine: u16) -> Option<&'static str> {
    Some(match machine {
        0x03 => "x86",
        0x3e => "x86_64",
        0xb7 => "aarch64",
        _ => return None,
    })
}

/// The low byte of the processor's number in the header of Mach-O, with 64 bits.
fn mach(processor: u8) -> Option<&'static str> {
    Some(match processor {
        0x07 => "x86_64",
        0x0c => "aarch64",
        _ => return None,
    })
}

/// Other systems have libraries in the format of Linux.
fn family(os: &str) -> &str {
    match os {
        "macos" | "windows" => os,
        _ => "linux",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(start: &[u8], at: usize, value: u8) -> [u8; 20] {
        let mut head = [0; 20];
        head[..start.len()].copy_from_slice(start);
        head[at] = value;
        head
    }

    #[test]
    fn a_library_of_another_machine_is_named() {
        let elf = |machine| head(b"\x7fELF", 18, machine);
        assert_eq!(wrong(&elf(0x3e), "linux", "x86_64"), None);
        assert_eq!(
            wrong(&elf(0xf3), "linux", "riscv64"),
            None,
            "a processor that is not known here is tried"
        );
        assert_eq!(
            wrong(&elf(0xb7), "linux", "x86_64").as_deref(),
            Some("is for linux on aarch64, and this is linux on x86_64")
        );
        let mach = head(b"\xcf\xfa\xed\xfe", 4, 0x0c);
        assert_eq!(wrong(&mach, "macos", "aarch64"), None);
        assert_eq!(
            wrong(&mach, "linux", "aarch64").as_deref(),
            Some("is for macos on aarch64, and this is linux on aarch64")
        );
        assert_eq!(
            wrong(&head(b"\xca\xfe\xba\xbe", 7, 2), "macos", "x86_64"),
            None,
            "for several processors"
        );
        assert_eq!(wrong(&head(b"<html>", 9, 1), "linux", "x86_64").as_deref(), Some("is not a library"));
    }
}

//! Names of users and groups, and the letters of a file's mode.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::sys::fs;

/// Names by number, from a file of lines `name:…:number:…`.
pub struct Names(Vec<(u32, String)>);

impl Names {
    /// The system's users.
    pub fn users() -> Names {
        Names::load("/etc/passwd")
    }

    /// The system's groups.
    pub fn groups() -> Names {
        Names::load("/etc/group")
    }

    fn load(path: &str) -> Names {
        let bytes = fs::read(path).unwrap_or_default();
        let entry = |line: &str| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_string();
            Some((fields.nth(1)?.parse().ok()?, name))
        };
        Names(String::from_utf8_lossy(&bytes).lines().filter_map(entry).collect())
    }

    /// The name of a number, or the number itself.
    pub fn name(&self, number: u32) -> String {
        match self.0.iter().find(|(known, _)| *known == number) {
            Some((_, name)) => name.clone(),
            None => number.to_string(),
        }
    }
}

/// The bits of a mode that tell the type.
pub const TYPE_BITS: u32 = 0o170_000;

/// The letter of a mode's type, as `ls -l` and `find -type` use it (`-` for a regular file).
pub fn type_letter(mode: u32) -> char {
    match mode & TYPE_BITS {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o020_000 => 'c',
        0o060_000 => 'b',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    }
}

/// A mode as `drwxr-xr-x`.
pub fn mode_text(mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(type_letter(mode));
    for (shift, special, set, unset) in [(6, 0o4000, 's', 'S'), (3, 0o2000, 's', 'S'), (0, 0o1000, 't', 'T')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => set,
            (true, false) => unset,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

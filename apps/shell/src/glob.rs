//! File names that match a pattern.

use alloc::string::String;
use alloc::vec::Vec;

use crate::pattern::{Char, Pattern};
use crate::sys;

/// All paths that match, in no order.
pub fn matching(pattern: &[Char]) -> Vec<String> {
    let mut found = Vec::new();
    let mut base = String::new();
    let mut rest = pattern;
    while let Some(((c @ '/', _), more)) = rest.split_first() {
        base.push(*c);
        rest = more;
    }
    walk(&base, rest, &mut found);
    found
}

/// Matches what is left of a pattern below `base`, which is empty or ends in `/`.
fn walk(base: &str, pattern: &[Char], found: &mut Vec<String>) {
    let end = pattern.iter().position(|(c, _)| *c == '/').unwrap_or(pattern.len());
    let (component, behind) = pattern.split_at(end);
    let slashes = behind.iter().take_while(|(c, _)| *c == '/').count();
    let (slashes, rest) = behind.split_at(slashes);
    let slashes: String = slashes.iter().map(|(c, _)| *c).collect();
    let mut step = |name: &str| {
        let path = alloc::format!("{base}{name}{slashes}");
        if rest.is_empty() {
            found.push(path);
        } else {
            walk(&path, rest, found);
        }
    };
    if !Pattern::is_active(component) {
        let name: String = component.iter().map(|(c, _)| *c).collect();
        let path = alloc::format!("{base}{name}");
        // A name between patterns only needs to exist where the path ends.
        if !rest.is_empty() || sys::lstat(&path).is_ok_and(|_| slashes.is_empty() || is_dir(&path)) {
            step(&name);
        }
        return;
    }
    let compiled = Pattern::new(component);
    let directory = if base.is_empty() { "." } else { base };
    // A directory that cannot be read has no matches.
    let Ok(entries) = sys::list_dir(directory) else { return };
    for entry in entries {
        let hidden = entry.name.starts_with('.') && !compiled.begins_with_dot();
        let characters: Vec<char> = entry.name.chars().collect();
        if hidden || !compiled.matches(&characters) {
            continue;
        }
        if slashes.is_empty() || entry.is_dir || is_dir(&alloc::format!("{base}{}", entry.name)) {
            step(&entry.name);
        }
    }
}

fn is_dir(path: &str) -> bool {
    sys::stat(path).is_ok_and(|stat| stat.is_dir)
}

//! Placeholder.

use crate::model::Manifest;

/// Draws.
#[must_use]
pub fn svg(_: &Manifest) -> String {
    String::new()
}

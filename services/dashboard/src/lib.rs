//! The dashboard: how the system fares, as JSON and for Prometheus, and the page that shows it.
//!
//! This component may start and stop others; the web server in front of it may not. What comes from outside is taken apart there, and
//! reaches this one as a few typed calls. It does nothing to a component for anybody who does not know the [`token`].
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

pub mod documents;
pub mod json;
pub mod metrics;
pub mod state;
pub mod token;
pub mod traffic;

/// The page: one document that needs nothing from elsewhere.
pub const PAGE: &str = include_str!("page.html");

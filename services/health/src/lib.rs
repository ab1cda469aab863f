//! Self-tests by known answers (IEC 61508-7, A.3): a service is asked what the asker knows already, as any client asks. A service that runs
//! and answers wrongly has no other sign of its failure.
//!
//! | module | what it holds |
//! |---|---|
//! | [`plan`] | what the manifest says: whom to ask, and how often |
//! | [`questions`] | the questions to each service, and what is known of the answers |
//! | [`complaint`] | what can be wrong with an answer |
//! | [`judge`] | when a service has failed, and when it is only slow, or being restarted |
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod complaint;
pub mod judge;
pub mod plan;
pub mod questions;

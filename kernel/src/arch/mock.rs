//! The mock machine.

//! The interface `network` of the example `network-service`, and what answers it: a network on which everything that is sent comes
//! back.

use alloc::string::String;
use core::fmt;

use motte_interfaces::{CallError, Sender, Wire, interface};

/// Why the network service did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Wire)]
pub enum NetworkError {
    /// There is no such host.
    NoSuchHost,
    /// The service does not answer, or not what was asked.
    Unreachable,
}

impl From<CallError> for NetworkError {
    fn from(_: CallError) -> Self {
        Self::Unreachable
    }
}

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSuchHost => "there is no such host",
            Self::Unreachable => "the network service does not answer",
        })
    }
}

/// What came back: the packet's number and its text.
#[derive(Clone, Debug, PartialEq, Eq, Wire)]
pub struct Packet {
    /// Packets are numbered from 1.
    pub number: u64,
    /// What was sent.
    pub text: String,
}

/// Sends packets.
#[interface("network")]
pub trait Network {
    /// Sends a packet to a host and returns what comes back. Not safe to repeat: each repetition is another packet.
    fn echo(&self, host: &str, text: &str) -> Result<Packet, NetworkError>;
}

/// The network: one host, this one.
#[derive(Debug, Default)]
pub struct Loop {
    sent: u64,
}

/// The name of the only host.
pub const HOST: &str = "localhost";

impl Network for Loop {
    fn echo(&mut self, _: &Sender, host: &str, text: &str) -> Result<Packet, NetworkError> {
        if host != HOST {
            return Err(NetworkError::NoSuchHost);
        }
        self.sent += 1;
        Ok(Packet { number: self.sent, text: text.into() })
    }
}

//! The binary form of a manifest, as it lies in the boot image.
//!
//! | bytes | content |
//! |---|---|
//! | 0..8 | `MOTTEMAN` |
//! | 8..12 | [`VERSION`], little-endian |
//! | 12..16 | length of the payload, little-endian |
//! | 16..20 | CRC-32 (IEEE 802.3) of the payload, little-endian |
//! | 20.. | the payload: [`Manifest`] in postcard's wire format |
//!
//! postcard writes no field names, so every change of the model's fields is a new version. A golden test
//! keeps it from changing unnoticed. Whatever follows the payload (padding of the image) is ignored.

use alloc::vec::Vec;
use core::fmt;

use crate::model::{MAX_COMPONENTS, Manifest, PAGE_SIZE, is_keepable};

/// The first bytes of every compiled manifest.
pub const MAGIC: [u8; 8] = *b"MOTTEMAN";

/// The version of the binary form.
pub const VERSION: u32 = 6;

/// The length of the header in bytes.
pub const HEADER: usize = 20;

/// Why bytes are not a manifest this version understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the header says, or than a header has.
    Truncated,
    /// The first bytes are not [`MAGIC`].
    NotAManifest,
    /// Written by a compiler of this other version.
    Version(u32),
    /// The checksum does not fit the payload.
    Checksum,
    /// The payload is not a manifest.
    Malformed,
    /// The payload is a manifest that breaks one of the model's invariants; which one.
    Invalid(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DecodeError::Truncated => f.write_str("the manifest in the boot image is cut short"),
            DecodeError::NotAManifest => f.write_str("the boot image holds no manifest where one should be"),
            DecodeError::Version(found) => write!(
                f,
                "the manifest has format version {found}, this system reads version {VERSION}: build the image anew"
            ),
            DecodeError::Checksum => f.write_str("the manifest in the boot image is damaged: its checksum is wrong"),
            DecodeError::Malformed => f.write_str("the manifest in the boot image cannot be decoded"),
            DecodeError::Invalid(what) => {
                write!(f, "the manifest in the boot image contradicts itself: {what}")
            }
        }
    }
}

impl core::error::Error for DecodeError {}

impl Manifest {
    /// The binary form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let payload = postcard::to_allocvec(self).expect("plain data always serializes into a growing buffer");
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&crc32(&payload).to_le_bytes());
        bytes.extend_from_slice(&payload);
        bytes
    }

    /// Reads the binary form, and checks the invariants that [`model`](crate::model) promises.
    ///
    /// # Errors
    /// See [`DecodeError`]. Never panics, whatever the bytes are.
    pub fn decode(bytes: &[u8]) -> Result<Manifest, DecodeError> {
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(DecodeError::Truncated)?;
        if header[..8] != MAGIC {
            return Err(DecodeError::NotAManifest);
        }
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if word(8) != VERSION {
            return Err(DecodeError::Version(word(8)));
        }
        let payload = rest.get(..word(12) as usize).ok_or(DecodeError::Truncated)?;
        if crc32(payload) != word(16) {
            return Err(DecodeError::Checksum);
        }
        let (manifest, unread) = postcard::take_from_bytes::<Manifest>(payload).map_err(|_| DecodeError::Malformed)?;
        if !unread.is_empty() {
            return Err(DecodeError::Malformed);
        }
        manifest.check_invariants().map_err(DecodeError::Invalid)?;
        Ok(manifest)
    }

    /// The invariants on which init, registry and supervisor rely.
    fn check_invariants(&self) -> Result<(), &'static str> {
        let count = self.components.len();
        if count > MAX_COMPONENTS {
            return Err("too many components");
        }
        for (index, component) in self.components.iter().enumerate() {
            if self.components[..index].iter().any(|other| other.name == component.name) {
                return Err("two components have one name");
            }
            if component.depends.iter().any(|&on| usize::from(on) >= count) {
                return Err("a component depends on one that does not exist");
            }
            if component.restart_with.iter().any(|&with| usize::from(with) >= count || usize::from(with) == index) {
                return Err("a component is restarted with itself or one that does not exist");
            }
            for used in &component.uses {
                let fits = match used.provider {
                    Some(provider) => {
                        self.components.get(usize::from(provider)).is_some_and(|c| c.provides.contains(&used.service))
                    }
                    None => used.optional,
                };
                if !fits {
                    return Err("a component uses a service that its provider does not provide");
                }
            }
            if component.budget_ns > component.period_ns || component.period_ns == 0 {
                return Err("a budget is longer than its period");
            }
            if component.memory == 0 || component.memory % PAGE_SIZE != 0 || component.stack % PAGE_SIZE != 0 {
                return Err("a memory quota or stack is not whole pages");
            }
            if !is_keepable(component.keep) {
                return Err("kept memory has a size that cannot be had");
            }
            if component.keep_slots > component.slots / 2 || component.keep_slots > 0 && component.keep == 0 {
                return Err("a component keeps too many slots");
            }
            if !component.slots.is_power_of_two() {
                return Err("the size of a capability table is not a power of two");
            }
            if component.ports.iter().any(|range| range.first > range.last)
                || component.mmio.iter().any(|range| range.first > range.last)
            {
                return Err("a device's range ends before it begins");
            }
            if !component.grants.is_known() {
                return Err("a grant is unknown");
            }
        }
        let mut services: Vec<&str> = self.services().map(|service| service.name).collect();
        services.sort_unstable();
        if services.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("two components provide one service");
        }
        Ok(())
    }
}

/// CRC-32 as in IEEE 802.3: reflected, polynomial 0xEDB88320, all ones before and after.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Small manifests for tests.
#[cfg(test)]
pub(crate) mod samples {
    use crate::model::*;
    use alloc::vec::Vec;

    pub(crate) fn component(name: &str) -> Component {
        Component {
            name: name.into(),
            program: name.into(),
            kind: Kind::Service,
            priority: 100,
            budget_ns: 10_000_000,
            period_ns: 10_000_000,
            memory: 65536,
            keep: 0,
            keep_slots: 0,
            stack: 16384,
            slots: 64,
            provides: Vec::new(),
            uses: Vec::new(),
            ports: Vec::new(),
            irqs: Vec::new(),
            pci: Vec::new(),
            mmio: Vec::new(),
            restart: Restart {
                policy: RestartPolicy::OnFailure,
                backoff_ns: 10_000_000,
                backoff_max_ns: 1_000_000_000,
                max_restarts: 5,
                window_ns: 10_000_000_000,
                heartbeat_ns: 0,
                escalate: Escalate::Ignore,
                stop_timeout_ns: 0,
            },
            depends: Vec::new(),
            restart_with: Vec::new(),
            start: Start::Boot,
            args: Vec::new(),
            env: Vec::new(),
            grants: Grants::NONE,
            net: Vec::new(),
            root: None,
        }
    }

    pub(crate) fn uses(service: &str, provider: u16) -> Use {
        Use { service: service.into(), provider: Some(provider), optional: false }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::{component, uses};
    use super::*;
    use crate::model::*;
    use alloc::vec;

    fn sample() -> Manifest {
        let mut console = component("console");
        console.kind = Kind::Driver;
        console.provides = vec!["console".into()];
        console.ports = vec![PortRange { first: 0x3f8, last: 0x3ff }];
        console.irqs = vec![4];
        console.pci = vec![PciId { vendor: 0x1af4, device: 0x1042 }];
        console.mmio = vec![MmioRange { first: 0xfed0_0000, last: 0xfed0_0fff }];
        let mut shell = component("shell");
        shell.uses = vec![uses("console", 0), Use { service: "net".into(), provider: None, optional: true }];
        shell.depends = vec![0];
        shell.restart_with = vec![0];
        shell.restart.escalate = Escalate::Reboot;
        shell.args = vec!["-l".into()];
        shell.env = vec![("PATH".into(), "/bin".into())];
        shell.grants.insert(Grant::SystemInfo);
        shell.restart.policy = RestartPolicy::Always;
        shell.start = Start::Manual;
        shell.net = vec!["connect:*".into()];
        shell.root = Some(Root { path: "/root".into(), read_only: false });
        Manifest { name: "sample".into(), memory: 32 << 20, heartbeats: true, components: vec![console, shell] }
    }

    #[test]
    fn a_manifest_survives_the_way_to_bytes_and_back() {
        let mut bytes = sample().encode();
        assert_eq!(Manifest::decode(&bytes), Ok(sample()));
        bytes.extend_from_slice(&[0; 4096]);
        assert_eq!(Manifest::decode(&bytes), Ok(sample()), "padding is ignored");
    }

    #[test]
    fn the_binary_form_changes_only_with_its_version() {
        let bytes = sample().encode();
        assert_eq!(
            (VERSION, bytes.len(), crc32(&bytes[HEADER..])),
            GOLDEN,
            "raise VERSION, then set the new figures here"
        );
    }

    const GOLDEN: (u32, usize, u32) = (6, 242, 829_763_478);

    #[test]
    fn the_checksum_is_the_common_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_an_error_and_no_panic() {
        let bytes = sample().encode();
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length]).is_err());
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_payload_that_lies_behind_a_right_checksum_is_refused() {
        let payload = sample().encode().split_off(HEADER);
        for bit in 0..payload.len() * 8 {
            let mut lie = payload.clone();
            lie[bit / 8] ^= 1 << (bit % 8);
            let mut bytes = sample().encode();
            bytes.truncate(16);
            bytes.extend_from_slice(&crc32(&lie).to_le_bytes());
            bytes.extend_from_slice(&lie);
            if let Ok(manifest) = Manifest::decode(&bytes) {
                let _ = manifest.boot_order();
                manifest.check_invariants().unwrap();
            }
        }
        let mut wrong = sample();
        wrong.components[1].depends = vec![7];
        assert_eq!(
            Manifest::decode(&wrong.encode()),
            Err(DecodeError::Invalid("a component depends on one that does not exist"))
        );
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = sample().encode();
        bytes[8] = 9;
        assert_eq!(Manifest::decode(&bytes), Err(DecodeError::Version(9)));
        bytes[0] = b'X';
        assert_eq!(Manifest::decode(&bytes), Err(DecodeError::NotAManifest));
    }
}

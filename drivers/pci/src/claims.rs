//! Who drives what: the manifest's word, handed over as text such as `8=1af4:1042,1af4:1001;9=8086:100e`, where the number before
//! the `=` is the component's badge.

use alloc::vec::Vec;

/// One component's right to drive one kind of device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The component.
    pub badge: u64,
    /// Vendor.
    pub vendor: u16,
    /// Device.
    pub device: u16,
}

/// All claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(Vec<Claim>);

impl Claims {
    /// Reads the text; `bad` hears of every piece that makes no sense, which is left out.
    pub fn parse(text: &str, mut bad: impl FnMut(&str)) -> Self {
        let mut claims = Vec::new();
        for group in text.split([';', ' ']).filter(|group| !group.is_empty()) {
            let named = group.split_once('=').and_then(|(badge, ids)| Some((badge.parse().ok()?, ids)));
            let Some((badge, ids)) = named else {
                bad(group);
                continue;
            };
            for id in ids.split(',') {
                match pair(id) {
                    Some((vendor, device)) => claims.push(Claim { badge, vendor, device }),
                    None => bad(id),
                }
            }
        }
        Self(claims)
    }

    /// Badge of the component that drives this kind of device; 0 for none.
    pub fn driver(&self, vendor: u16, device: u16) -> u64 {
        let claim = self.0.iter().find(|claim| claim.vendor == vendor && claim.device == device);
        claim.map_or(0, |claim| claim.badge)
    }
}

fn pair(id: &str) -> Option<(u16, u16)> {
    let (vendor, device) = id.split_once(':')?;
    Some((u16::from_str_radix(vendor, 16).ok()?, u16::from_str_radix(device, 16).ok()?))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn claims_name_the_driver_of_each_kind() {
        let claims = Claims::parse("8=1af4:1042,1af4:1001;9=8086:100e", |bad| panic!("{bad}"));
        assert_eq!(claims.driver(0x1af4, 0x1042), 8);
        assert_eq!(claims.driver(0x1af4, 0x1001), 8);
        assert_eq!(claims.driver(0x8086, 0x100e), 9);
        assert_eq!(claims.driver(0x1af4, 0x1000), 0);
        assert_eq!(Claims::parse("", |bad| panic!("{bad}")), Claims::default());
    }

    #[test]
    fn nonsense_is_told_and_left_out() {
        let mut bad = Vec::new();
        let claims =
            Claims::parse("eight=1:2;8=1af4:1042,1af4,xyz:1;7", |piece| bad.push(std::string::String::from(piece)));
        assert_eq!(bad, ["eight=1:2", "1af4", "xyz:1", "7"]);
        assert_eq!(claims.driver(0x1af4, 0x1042), 8);
    }
}

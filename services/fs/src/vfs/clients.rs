//! Those who have files open, by badge. Whoever asked last mostly asks next, and is found without a search.

use alloc::vec::Vec;

use hashbrown::HashMap;

use super::handles::Client;

/// The clients.
#[derive(Default)]
pub(super) struct Clients {
    /// In no order.
    list: Vec<(u64, Client)>,
    /// Places in the list.
    places: HashMap<u64, usize>,
    /// The place of whoever was asked for last.
    latest: usize,
}

impl Clients {
    #[inline]
    fn find(&mut self, badge: u64) -> Option<usize> {
        if self.list.get(self.latest).is_none_or(|(latest, _)| *latest != badge) {
            self.latest = *self.places.get(&badge)?;
        }
        Some(self.latest)
    }

    /// A client that has been heard of.
    #[inline]
    pub fn get(&mut self, badge: u64) -> Option<&mut Client> {
        let place = self.find(badge)?;
        self.list.get_mut(place).map(|(_, client)| client)
    }

    /// A client, whether it has been heard of or not.
    #[inline]
    pub fn get_or_add(&mut self, badge: u64) -> &mut Client {
        let place = self.find(badge).unwrap_or_else(|| self.add(badge));
        &mut self.list[place].1
    }

    #[cold]
    fn add(&mut self, badge: u64) -> usize {
        self.latest = self.list.len();
        self.list.push((badge, Client::default()));
        self.places.insert(badge, self.latest);
        self.latest
    }

    /// Forgets a client, and returns what was known of it.
    pub fn remove(&mut self, badge: u64) -> Option<Client> {
        let place = self.places.remove(&badge)?;
        let (_, removed) = self.list.swap_remove(place);
        if let Some((moved, _)) = self.list.get(place) {
            self.places.insert(*moved, place);
        }
        Some(removed)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &Client)> {
        self.list.iter().map(|(badge, client)| (*badge, client))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_is_found_whoever_was_asked_for_before_and_whoever_left() {
        let mut clients = Clients::default();
        let mut known: Vec<u64> = Vec::new();
        for step in 0..400_u64 {
            // Any order in which all of them come and go.
            let badge = step * step % 23;
            match step % 3 {
                2 => {
                    assert_eq!(clients.remove(badge).is_some(), known.contains(&badge), "step {step}");
                    known.retain(|other| *other != badge);
                }
                _ => {
                    clients.get_or_add(badge);
                    if !known.contains(&badge) {
                        known.push(badge);
                    }
                }
            }
            for badge in 0..23 {
                assert_eq!(clients.get(badge).is_some(), known.contains(&badge), "step {step}");
                if let Some(place) = clients.find(badge) {
                    assert_eq!(clients.list[place].0, badge);
                }
            }
            assert_eq!(clients.iter().count(), known.len());
        }
    }
}

//! The interfaces: the loop, and the card once its driver was heard of; addresses, routes, DHCP.

use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use motte_netdev::{Driver, Memory, Port};
use smoltcp::iface::{Config as InterfaceConfig, Interface, SocketHandle, SocketSet};
use smoltcp::socket::dhcpv4;
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, HardwareAddress, IpAddress, IpCidr, Ipv4Address, Ipv4Cidr, Ipv6Address, Ipv6Cidr,
};

use crate::config::{Config, longest};
use crate::device::{Card, Loop};

/// Which interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// Back to this machine.
    Loop = 0,
    /// The network card.
    Card = 1,
}

/// Both interfaces.
pub struct Links<D: Driver, P: Memory> {
    /// The loop.
    pub lo: Loop,
    lo_interface: Interface,
    /// The card.
    pub card: Card<D, P>,
    /// `None` until the card is known.
    interface: Option<Interface>,
    /// The DHCP client, which is polled for what the interface itself has to say, too.
    housekeeping: SocketSet<'static>,
    dhcp: Option<SocketHandle>,
    /// Name servers that DHCP named.
    offered: Vec<IpAddr>,
    config: Config,
    seed: u64,
}

const LOOP_ADDRESSES: [IpCidr; 2] =
    [IpCidr::Ipv4(Ipv4Cidr::new(Ipv4Address::LOCALHOST, 8)), IpCidr::Ipv6(Ipv6Cidr::new(Ipv6Address::LOCALHOST, 128))];

impl<D: Driver, P: Memory> Links<D, P> {
    /// Interfaces over a card. `seed` is a number that nobody can guess.
    pub fn new(port: Port<D>, memory: P, config: Config, seed: u64, now: Instant) -> Self {
        let mut lo = Loop::default();
        let mut lo_config = InterfaceConfig::new(HardwareAddress::Ip);
        lo_config.random_seed = seed;
        let mut lo_interface = Interface::new(lo_config, &mut lo, now);
        lo_interface.update_ip_addrs(|addresses| addresses.extend(LOOP_ADDRESSES));
        let mut links = Self {
            lo,
            lo_interface,
            card: Card::new(port, memory),
            interface: None,
            housekeeping: SocketSet::new(Vec::new()),
            dhcp: None,
            offered: Vec::new(),
            config,
            seed,
        };
        links.refresh(now);
        links
    }

    /// Joins a driver that was started since, if one was. Returns whether there was one.
    pub fn refresh(&mut self, now: Instant) -> bool {
        let joined = self.card.port.refresh(&self.card.memory);
        if joined {
            self.look(now);
        }
        joined
    }

    /// Sets the interface up once the card is known.
    fn look(&mut self, now: Instant) {
        self.card.look();
        let Some(info) = self.card.port.info() else { return };
        let hardware = EthernetAddress(info.mac_bytes());
        if !hardware.is_unicast() {
            return;
        }
        if let Some(interface) = &mut self.interface {
            interface.set_hardware_addr(HardwareAddress::Ethernet(hardware));
            return;
        }
        let mut config = InterfaceConfig::new(HardwareAddress::Ethernet(hardware));
        config.random_seed = self.seed.rotate_left(32);
        config.slaac = self.config.addresses.is_empty();
        let mut interface = Interface::new(config, &mut self.card, now);
        // The link-local address that every interface has (RFC 4291, section 2.5.6; appendix A).
        let mac = hardware.0;
        let local = Ipv6Addr::from([
            0xfe,
            0x80,
            0,
            0,
            0,
            0,
            0,
            0,
            mac[0] ^ 2,
            mac[1],
            mac[2],
            0xff,
            0xfe,
            mac[3],
            mac[4],
            mac[5],
        ]);
        interface.update_ip_addrs(|addresses| {
            let _ = addresses.push(IpCidr::Ipv6(Ipv6Cidr::new(local, 64)));
            addresses.extend(self.config.addresses.iter().copied().take(4));
        });
        for gateway in &self.config.gateways {
            set_gateway(&mut interface, *gateway);
        }
        self.interface = Some(interface);
        if self.config.addresses.is_empty() {
            self.set_dhcp(true);
        }
        self.share_addresses();
    }

    /// Has the loop answer at the card's addresses, too: what this machine sends to itself stays in it.
    fn share_addresses(&mut self) {
        let own: Vec<IpCidr> = self.addresses(Link::Card).to_vec();
        self.lo_interface.update_ip_addrs(|addresses| {
            addresses.clear();
            addresses.extend(LOOP_ADDRESSES);
            for cidr in own.into_iter().filter(|cidr| cidr.address().is_unicast()).take(6) {
                let _ = addresses.push(IpCidr::new(cidr.address(), longest(cidr.address())));
            }
        });
    }

    /// The addresses of an interface.
    pub fn addresses(&self, link: Link) -> &[IpCidr] {
        match link {
            Link::Loop => self.lo_interface.ip_addrs(),
            Link::Card => self.interface.as_ref().map_or(&[], Interface::ip_addrs),
        }
    }

    /// Whether there is a card.
    pub fn has_card(&self) -> bool {
        self.interface.is_some()
    }

    /// The router for that family.
    pub fn gateway(&self, v4: bool) -> Option<IpAddr> {
        let routes = self.interface.as_ref()?.routes();
        let route = if v4 {
            routes.get_default_ipv4_route()
        } else {
            // As router advertisements or the configuration say.
            return self.gateway6();
        };
        route.map(|route| route.via_router.into())
    }

    fn gateway6(&self) -> Option<IpAddr> {
        self.interface.as_ref()?.routes().get_default_ipv6_route().map(|route| route.via_router.into())
    }

    /// The name servers.
    pub fn name_servers(&self) -> &[IpAddr] {
        if self.config.name_servers.is_empty() { &self.offered } else { &self.config.name_servers }
    }

    /// Whether addresses come by DHCP.
    pub fn has_dhcp(&self) -> bool {
        self.dhcp.is_some()
    }

    /// Whether an address is one of this machine's.
    pub fn is_own(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.lo_interface.has_ip_addr(IpAddress::from(address))
    }

    /// By which interface an address is reached, and from which address; `None` if no way leads there.
    pub fn route(&self, to: IpAddr) -> Option<(Link, IpAddr)> {
        if self.is_own(to) {
            return Some((Link::Loop, to));
        }
        let interface = self.interface.as_ref()?;
        let address = IpAddress::from(to);
        let near = interface.ip_addrs().iter().any(|cidr| cidr.contains_addr(&address));
        if !near && !address.is_multicast() && !address.is_broadcast() && self.gateway(to.is_ipv4()).is_none() {
            return None;
        }
        let source: IpAddr = interface.get_source_address(&address)?.into();
        (!source.is_loopback() && !source.is_unspecified()).then_some((Link::Card, source))
    }

    /// Has an interface look at the frame that its device holds, for the socket of a set.
    pub fn ingress(&mut self, link: Link, now: Instant, set: &mut SocketSet<'_>) {
        match (link, &mut self.interface) {
            (Link::Loop, _) => self.lo_interface.poll_ingress_single(now, &mut self.lo, set),
            (Link::Card, Some(interface)) => interface.poll_ingress_single(now, &mut self.card, set),
            (Link::Card, None) => return,
        };
    }

    /// Sends what a set's sockets have to say. Returns false if there was no room for all of it.
    pub fn egress(&mut self, link: Link, now: Instant, set: &mut SocketSet<'_>) -> bool {
        use smoltcp::iface::PollResult::None as Done;
        match (link, &mut self.interface) {
            (Link::Loop, _) => {
                while self.lo_interface.poll_egress(now, &mut self.lo, set) != Done {}
                true
            }
            (Link::Card, Some(interface)) => {
                self.card.exhausted = false;
                while interface.poll_egress(now, &mut self.card, set) != Done {}
                !self.card.exhausted
            }
            (Link::Card, None) => true,
        }
    }

    /// When a set is to be looked at again though nothing happens to it.
    pub fn poll_at(&mut self, link: Link, now: Instant, set: &SocketSet<'_>) -> Option<Instant> {
        match (link, &mut self.interface) {
            (Link::Loop, _) => self.lo_interface.poll_at(now, set),
            (Link::Card, Some(interface)) => interface.poll_at(now, set),
            (Link::Card, None) => None,
        }
    }

    /// Opens a connection with smoltcp's socket.
    pub fn connect(
        &mut self,
        link: Link,
        socket: &mut smoltcp::socket::tcp::Socket<'_>,
        remote: core::net::SocketAddr,
        local: core::net::SocketAddr,
    ) -> bool {
        match (link, &mut self.interface) {
            (Link::Loop, _) => socket.connect(self.lo_interface.context(), remote, local).is_ok(),
            (Link::Card, Some(interface)) => socket.connect(interface.context(), remote, local).is_ok(),
            (Link::Card, None) => false,
        }
    }

    /// Brings the frame that the card holds to the DHCP client.
    pub fn ingress_housekeeping(&mut self, now: Instant) {
        if let Some(interface) = &mut self.interface {
            interface.poll_ingress_single(now, &mut self.card, &mut self.housekeeping);
        }
    }

    /// Looks after the interface itself: DHCP, router advertisements. Returns when to do so again.
    pub fn housekeep(&mut self, now: Instant) -> Option<Instant> {
        let interface = self.interface.as_mut()?;
        let before: Vec<IpCidr> = interface.ip_addrs().to_vec();
        interface.poll_maintenance(now);
        while interface.poll_egress(now, &mut self.card, &mut self.housekeeping) != smoltcp::iface::PollResult::None {}
        if let Some(handle) = self.dhcp {
            match self.housekeeping.get_mut::<dhcpv4::Socket<'_>>(handle).poll() {
                Some(dhcpv4::Event::Configured(config)) => {
                    self.offered = config.dns_servers.iter().map(|&server| server.into()).collect();
                    log::info!("DHCP gives this machine the address {}", config.address);
                    interface.update_ip_addrs(|addresses| {
                        addresses.retain(|cidr| !matches!(cidr, IpCidr::Ipv4(_)));
                        let _ = addresses.push(IpCidr::Ipv4(config.address));
                    });
                    match config.router {
                        Some(router) => drop(interface.routes_mut().add_default_ipv4_route(router)),
                        None => drop(interface.routes_mut().remove_default_ipv4_route()),
                    }
                }
                Some(dhcpv4::Event::Deconfigured) => {
                    // As it begins, there is none to take.
                    if before.iter().any(|cidr| matches!(cidr, IpCidr::Ipv4(_))) {
                        log::warn!("DHCP took this machine's address back");
                    }
                    interface.update_ip_addrs(|addresses| addresses.retain(|cidr| !matches!(cidr, IpCidr::Ipv4(_))));
                    interface.routes_mut().remove_default_ipv4_route();
                }
                None => {}
            }
        }
        let next = interface.poll_at(now, &self.housekeeping);
        if before != interface.ip_addrs() {
            self.share_addresses();
        }
        next
    }

    /// Switches DHCP on or off.
    pub fn set_dhcp(&mut self, on: bool) {
        match self.dhcp {
            None if on => self.dhcp = Some(self.housekeeping.add(dhcpv4::Socket::new())),
            Some(handle) if !on => {
                self.housekeeping.remove(handle);
                self.dhcp = None;
            }
            _ => {}
        }
    }

    /// Gives the card an address; false if it cannot have it.
    pub fn add_address(&mut self, cidr: IpCidr) -> bool {
        let Some(interface) = &mut self.interface else { return false };
        let mut added = cidr.address().is_unicast();
        if added {
            interface.update_ip_addrs(|addresses| {
                addresses.retain(|known| known.address() != cidr.address());
                added = addresses.len() < 6 && addresses.push(cidr).is_ok();
            });
        }
        self.share_addresses();
        added
    }

    /// Takes an address from the card; false if it has none such.
    pub fn remove_address(&mut self, address: IpAddr) -> bool {
        let Some(interface) = &mut self.interface else { return false };
        let mut removed = false;
        interface.update_ip_addrs(|addresses| {
            let before = addresses.len();
            addresses.retain(|known| known.address() != IpAddress::from(address));
            removed = addresses.len() < before;
        });
        self.share_addresses();
        removed
    }

    /// Sets the router of a family, or removes it.
    pub fn set_gateway(&mut self, v4: bool, gateway: Option<IpAddr>) -> bool {
        let Some(interface) = &mut self.interface else { return false };
        match gateway {
            Some(gateway) => set_gateway(interface, gateway),
            None if v4 => drop(interface.routes_mut().remove_default_ipv4_route()),
            None => drop(interface.routes_mut().remove_default_ipv6_route()),
        }
        true
    }

    /// Sets the name servers.
    pub fn set_name_servers(&mut self, servers: Vec<IpAddr>) {
        self.config.name_servers = servers;
    }
}

fn set_gateway(interface: &mut Interface, gateway: IpAddr) {
    let routes = interface.routes_mut();
    let set = match gateway {
        IpAddr::V4(gateway) => routes.add_default_ipv4_route(gateway),
        IpAddr::V6(gateway) => routes.add_default_ipv6_route(gateway),
    };
    if set.is_err() {
        log::warn!("there are too many routes: {gateway} is not used");
    }
}

/// Any address of the family of `like`.
pub fn unspecified(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

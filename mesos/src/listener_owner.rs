//! Whose program listens at a loopback port, so that a secret goes to no stranger.
//!
//! An executor outlives its agent. Until the next agent has said where it listens, any local user
//! may take the old port; what the kernel says of the listener's owner cannot be forged.

use std::net::SocketAddrV4;

/// `TCP_LISTEN` as `/proc/net/tcp` writes it.
const LISTEN: &str = "0A";

/// Returns the user whose program listens at `address`, if any does.
pub(crate) fn listener_uid(address: SocketAddrV4) -> std::io::Result<Option<u32>> {
    std::fs::read_to_string("/proc/net/tcp").map(|table| find(&table, address))
}

/// Finds a listener in the text of `/proc/net/tcp`.
fn find(table: &str, address: SocketAddrV4) -> Option<u32> {
    // The kernel prints the address as a number in the machine's byte order.
    let ip = u32::from_ne_bytes(address.ip().octets());
    let local = format!("{ip:08X}:{:04X}", address.port());
    table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let is_here = fields.nth(1) == Some(local.as_str());
        let listens = fields.nth(1) == Some(LISTEN);
        let uid = fields.nth(3).and_then(|uid| uid.parse().ok());
        uid.filter(|_| is_here && listens)
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};

    use super::*;

    #[test]
    fn own_listener_is_found_and_a_closed_one_is_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let SocketAddr::V4(address) = listener.local_addr().unwrap() else {
            unreachable!()
        };
        let own = rustix::process::geteuid().as_raw();
        assert_eq!(listener_uid(address).unwrap(), Some(own));
        drop(listener);
        assert_eq!(listener_uid(address).unwrap(), None);
    }

    #[test]
    fn only_listeners_at_the_very_address_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n\
            0: 0100007F:1F91 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1\n\
            1: 0100007F:1F92 0100007F:8000 01 00000000:00000000 00:00000000 00000000     0        0 2\n";
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        assert_eq!(find(table, at(0x1F91)), Some(1000));
        assert_eq!(
            find(table, at(0x1F92)),
            None,
            "an open connection is no listener"
        );
        assert_eq!(find(table, at(0x1F93)), None);
    }
}

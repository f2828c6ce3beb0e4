//! Where a request comes from, also behind proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// The address that limits are counted by and that logs name.
///
/// Each trusted proxy appends the address that it was called from to `X-Forwarded-For`, so with
/// `trusted_hops` proxies in front of us the caller's address stands at that place from the end.
/// What stands before it is the caller's own word and is never looked at. A header that does not
/// hold an address there did not come through the proxies: the connection's own address counts.
pub(crate) fn of(parts: &Parts, trusted_hops: usize) -> IpAddr {
    let connected = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(address)| {
            address.ip()
        });
    forwarded(&parts.headers, trusted_hops).unwrap_or(connected)
}

fn forwarded(headers: &HeaderMap, trusted_hops: usize) -> Option<IpAddr> {
    let from_the_end = trusted_hops.checked_sub(1)?;
    let mut addresses = Vec::new();
    for line in headers.get_all("x-forwarded-for") {
        addresses.extend(line.to_str().ok()?.split(','));
    }
    let text = addresses.iter().rev().nth(from_the_end)?.trim();
    // Some proxies write the port too.
    let with_port = text.parse().map(|address: SocketAddr| address.ip());
    text.parse().or(with_port).ok()
}

/// What is counted as one caller: an IPv6 customer holds a whole /64.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::extract::ConnectInfo;
    use axum::http::Request;

    use super::{network, of};

    /// The address of a request that came from 192.0.2.1 with these lines of `X-Forwarded-For`.
    fn address(lines: &[&str], trusted_hops: usize) -> String {
        let mut request = Request::new(());
        for line in lines {
            let line = line.parse().unwrap();
            request.headers_mut().append("x-forwarded-for", line);
        }
        let connected: SocketAddr = "192.0.2.1:4711".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(connected));
        of(&request.into_parts().0, trusted_hops).to_string()
    }

    #[test]
    fn without_a_trusted_proxy_the_header_means_nothing() {
        assert_eq!(address(&["203.0.113.7"], 0), "192.0.2.1");
    }

    #[test]
    fn each_trusted_proxy_vouches_for_one_address_from_the_end() {
        let chain = ["198.51.100.9, 203.0.113.7", " 203.0.113.8 "];
        assert_eq!(address(&chain, 1), "203.0.113.8");
        assert_eq!(address(&chain, 2), "203.0.113.7");
        assert_eq!(address(&["203.0.113.7:4711"], 1), "203.0.113.7");
        assert_eq!(address(&["[2001:db8::7]:4711"], 1), "2001:db8::7");
        assert_eq!(address(&["2001:db8::7"], 1), "2001:db8::7");
    }

    #[test]
    fn who_came_around_the_proxies_is_known_by_the_connection() {
        assert_eq!(address(&[], 1), "192.0.2.1");
        assert_eq!(address(&["203.0.113.7"], 2), "192.0.2.1");
        assert_eq!(address(&["203.0.113.7, unknown"], 1), "192.0.2.1");
    }

    #[test]
    fn addresses_of_one_ipv6_network_are_one_caller() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
    }
}

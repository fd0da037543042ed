//! What Linux tells about itself below `/proc`: pure readers of its texts, and who opens them.

use nix::sys::stat::{major, minor};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The state of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// A socket that listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// Where.
    pub(super) address: SocketAddr,
    /// Whose, as a user id.
    pub(super) uid: u32,
    /// Its inode, by which the process that holds it is found.
    pub(super) inode: u64,
}

/// A process as its user calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Process {
    /// Its id.
    pub(in crate::cli) pid: u32,
    /// Its command, printable.
    pub(super) name: String,
}

impl Process {
    /// The process with this id, if it is still there.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        // Any local program may name itself anything.
        Some(Self { pid, name: name.trim_end().escape_debug().to_string() })
    }

    /// Whether it is called like a honeypot of ours.
    pub(super) fn is_ours(&self) -> bool {
        self.name == "roridula"
    }

    /// The user it runs as, and that user's group.
    pub(super) fn ids(&self) -> Option<(u32, u32)> {
        let meta = fs::metadata(format!("/proc/{}", self.pid)).ok()?;
        Some((meta.uid(), meta.gid()))
    }
}

/// All sockets that listen for TCP; empty where the system does not say.
pub(super) fn listening() -> Vec<Socket> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let tables = [read("/proc/net/tcp"), read("/proc/net/tcp6")];
    tables.iter().flat_map(|table| sockets(table)).collect()
}

/// The listening sockets of a table in the form of `/proc/net/tcp` or `tcp6`.
fn sockets(table: &str) -> impl Iterator<Item = Socket> {
    table.lines().skip(1).filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.nth(1)?;
        if words.nth(1)? != LISTEN {
            return None;
        }
        let (uid, inode) = (words.nth(3)?.parse().ok()?, words.nth(1)?.parse().ok()?);
        Some(Socket { address: socket_address(address)?, uid, inode })
    })
}

/// `0100007F:01BD`: 32-bit words as the machine has them in memory, printed as numbers.
fn socket_address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let word = |at: usize| ip.get(at..at + 8).and_then(|word| u32::from_str_radix(word, 16).ok());
    let ip = match ip.len() {
        8 => IpAddr::from(word(0)?.to_ne_bytes()),
        32 => {
            let mut bytes = [0; 16];
            for (number, slot) in bytes.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *slot = word(number * 8)?.to_ne_bytes();
            }
            IpAddr::from(bytes)
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// The socket that takes visitors who come to `address`: one that is bound to just it before one for all
/// addresses. One for all IPv6 addresses may take IPv4 too.
pub(super) fn taker(sockets: &[Socket], address: SocketAddr) -> Option<Socket> {
    let same_port = sockets.iter().filter(|socket| socket.address.port() == address.port());
    let rank = |socket: &&Socket| {
        let (at, wanted) = (socket.address.ip(), address.ip());
        match (at, wanted.to_canonical()) {
            _ if at == wanted || at.to_canonical() == wanted.to_canonical() => Some(0),
            (IpAddr::V4(at), IpAddr::V4(_)) if at.is_unspecified() => Some(1),
            (IpAddr::V6(at), IpAddr::V6(_)) if at.is_unspecified() => Some(1),
            (IpAddr::V6(at), IpAddr::V4(_)) if at.is_unspecified() => Some(2),
            _ => None,
        }
    };
    let ranked = same_port.filter_map(|socket| Some((rank(&socket)?, *socket)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, socket)| socket)
}

/// The process that holds a socket; `None` where this user may not look into other users' processes.
pub(super) fn holder(socket: &Socket) -> Option<Process> {
    let wanted = format!("socket:[{}]", socket.inode);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let holds = |pid: &u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.as_os_str() == wanted.as_str())
    };
    ids.find(holds).and_then(Process::of)
}

/// The process that has the data directory's lock, which only a running honeypot has. Looked up, never tried:
/// to try is to hold it for a moment, in which a honeypot could not start.
pub(in crate::cli) fn lock_holder(data: &Path) -> Option<Process> {
    let meta = fs::metadata(data.join("lock")).ok()?;
    let device = format!("{:02x}:{:02x}", major(meta.dev()), minor(meta.dev()));
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // Some file systems (btrfs) give another device here than in a file's metadata; the name then has to do.
    let fits = |(pid, on): (u32, &str)| Process::of(pid).filter(|process| on == device || process.is_ours());
    lock_holders(&locks, meta.ino()).find_map(fits)
}

/// Who holds a lock on a file with this inode, and on which device: lines as
/// `1: FLOCK  ADVISORY  WRITE 708 00:13:14 0 EOF`.
fn lock_holders(locks: &str, inode: u64) -> impl Iterator<Item = (u32, &str)> {
    locks.lines().filter_map(move |line| {
        let mut words = line.split_ascii_whitespace().skip(1);
        let (kind, pid, file) = (words.next()?, words.nth(2)?, words.next()?);
        let (device, number) = file.rsplit_once(':')?;
        let same = kind == "FLOCK" && number.parse() == Ok(inode);
        if same { Some((pid.parse().ok()?, device)) } else { None }
    })
}

/// Every address of this machine's interfaces.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let four = four_addresses(&read("/proc/net/fib_trie"));
    let mut all: Vec<IpAddr> = four.into_iter().map(IpAddr::from).collect();
    all.extend(six_addresses(&read("/proc/net/if_inet6")).map(IpAddr::from));
    all
}

/// The addresses that a table in the form of `/proc/net/fib_trie` calls local hosts: the line before `/32
/// host LOCAL`.
fn four_addresses(table: &str) -> Vec<Ipv4Addr> {
    let mut found = Vec::new();
    let mut above = "";
    for line in table.lines().map(str::trim) {
        if line == "/32 host LOCAL"
            && let Some(address) = above.strip_prefix("|-- ").and_then(|text| text.parse().ok())
            && !found.contains(&address)
        {
            found.push(address);
        }
        above = line;
    }
    found
}

/// The addresses of a table in the form of `/proc/net/if_inet6`.
fn six_addresses(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    let number = |line: &str| u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok();
    table.lines().filter_map(number).map(Ipv6Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_of_this_process_is_found_and_named() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let address = listener.local_addr().unwrap();
            let socket = taker(&listening(), address).expect("it is in the table");
            assert_eq!(socket.address, address);
            assert_eq!(holder(&socket).unwrap().pid, std::process::id());
        }
    }

    #[test]
    fn the_narrower_listener_takes_a_visitor() {
        let socket = |address: &str, inode| Socket { address: address.parse().unwrap(), uid: 0, inode };
        let all = [socket("[::]:445", 1), socket("0.0.0.0:445", 2), socket("192.0.2.7:445", 3)];
        let inode = |address: &str| taker(&all, address.parse().unwrap()).map(|socket| socket.inode);
        assert_eq!(inode("192.0.2.7:445"), Some(3));
        assert_eq!((inode("0.0.0.0:445"), inode("127.0.0.1:445")), (Some(2), Some(2)));
        assert_eq!((inode("[::]:445"), inode("[2001:db8::1]:445")), (Some(1), Some(1)));
        assert_eq!(inode("127.0.0.1:139"), None);
        assert_eq!(taker(&all[..1], "127.0.0.1:445".parse().unwrap()).map(|socket| socket.inode), Some(1));
    }

    #[test]
    fn locks_are_read() {
        let locks = "1: POSIX  ADVISORY  WRITE 42 fe:00:77 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 9 fe:00:77 0 EOF\n\
                     2: FLOCK  ADVISORY  WRITE 708 fe:00:77 0 EOF\n3: FLOCK  ADVISORY  WRITE 5 fe:00:78 0 EOF\n";
        assert_eq!(lock_holders(locks, 77).collect::<Vec<_>>(), [(708, "fe:00")]);
        assert_eq!(lock_holders("nonsense\n1:\n", 77).count(), 0);
    }

    #[test]
    fn addresses_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    \x20    |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 198.51.100.7\n        /32 host LOCAL\n\
                    Local:\n     |-- 198.51.100.7\n        /32 host LOCAL\n     |-- 198.51.100.255\n        /32 link BROADCAST\n";
        assert_eq!(four_addresses(trie), [Ipv4Addr::new(198, 51, 100, 7)]);
        let six = "20010db8000000000000000000000007 04 40 00 82     eth0\nnonsense\n";
        assert_eq!(six_addresses(six).collect::<Vec<_>>(), ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]);
    }
}

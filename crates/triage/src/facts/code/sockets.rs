//! Where code would connect to or listen: the address that it builds for a socket.
//!
//! A `sockaddr_in` is the family 2, the port and the address, both in network order (Microsoft, "SOCKADDR_IN"). Code puts
//! it together from constants: two that are pushed after each other, or one of 64 bits.

use super::sweep::Sweep;
use super::traits::immediate;
use crate::facts::indicators::{Indicator, IndicatorKind};
use iced_x86::{Instruction, Mnemonic, OpKind};
use std::net::Ipv4Addr;

/// AF_INET.
const FAMILY: u64 = 2;
/// Instructions between the two constants.
const BETWEEN: usize = 2;
/// Addresses that are told.
const SOCKETS_MAX: usize = 8;

/// Addresses and ports, each once.
pub(super) fn told(sweep: &Sweep) -> Vec<Indicator> {
    let mut found: Vec<Indicator> = Vec::new();
    for (at, instruction) in sweep.instructions.iter().enumerate() {
        let Some(socket) = wide(instruction).or_else(|| pushed(sweep, at)) else { continue };
        for (kind, value) in named(socket) {
            let known = found.iter().any(|held| held.kind == kind && held.value == value);
            if !known && found.len() < SOCKETS_MAX {
                let note = "from the address that it makes for a socket".to_owned();
                found.push(Indicator { kind, value, at: instruction.ip(), note });
            }
        }
    }
    found
}

/// All of it in one constant.
fn wide(instruction: &Instruction) -> Option<u64> {
    let is_wide = (0..instruction.op_count()).any(|at| instruction.op_kind(at) == OpKind::Immediate64);
    immediate(instruction).filter(|_| is_wide)
}

/// The address is pushed first: the stack grows down.
fn pushed(sweep: &Sweep, at: usize) -> Option<u64> {
    let constant = |held: &Instruction| immediate(held).filter(|_| held.mnemonic() == Mnemonic::Push);
    let front = constant(sweep.instructions.get(at)?)? & 0xffff_ffff;
    let before = sweep.instructions.get(at.saturating_sub(BETWEEN.saturating_add(1))..at)?;
    let address = before.iter().rev().find_map(constant)? & 0xffff_ffff;
    Some(front | address.checked_shl(32)?)
}

/// The address, and the port; nothing where it is no such structure.
fn named(socket: u64) -> Vec<(IndicatorKind, String)> {
    let [_, _, port_high, port_low, address @ ..] = socket.to_le_bytes();
    let port = u16::from_be_bytes([port_high, port_low]);
    if socket & 0xffff != FAMILY || port == 0 {
        return Vec::new();
    }
    let ip = Ipv4Addr::from(address);
    let is_useful = !ip.is_unspecified() && !ip.is_broadcast();
    let address = is_useful.then(|| (IndicatorKind::Ip, ip.to_string()));
    address.into_iter().chain([(IndicatorKind::Port, port.to_string())]).collect()
}

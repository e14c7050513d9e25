//! A packet becomes a datagram: sealed around its shim, sized as the link sees it, handed out.

use crate::activity::Activity;
use crate::aead::{HEADER_LEN, TAG_LEN};
use crate::constants::protocol;
use crate::handoff::{Endpoint, PeerIndex, SendKey};
use crate::sender::{SendError, Transmit};
use crate::time::Instant;
use crate::wire::datagram::write_transport_header;

use super::super::queue::Packet;
use super::super::shim::{SHIM_LEN, Shim};

/// Buffers kept for reuse: 16 ms at 1.5 Gbit/s of full packets, 3 MiB.
const POOL: usize = 2048;

/// What sealing needs of the peer.
pub(crate) struct Sealer<'a> {
    pub key: &'a SendKey,
    pub counter: &'a mut u64,
    pub activity: &'a Activity,
}

pub(super) fn recycle(pool: &mut Vec<Vec<u8>>, bytes: Vec<u8>) {
    if pool.len() < POOL {
        pool.push(bytes);
    }
}

/// Bytes on the link of a datagram that carries an inner packet of `len` bytes, over IPv4.
pub(super) fn wire_len(len: usize) -> usize {
    len.next_multiple_of(16) + HEADER_LEN + SHIM_LEN + TAG_LEN + 28
}

pub(super) fn on_link(datagram: &[u8], endpoint: Endpoint) -> usize {
    datagram.len() + if endpoint.remote.is_ipv4() { 28 } else { 48 }
}

pub(super) fn transmit(
    peer: PeerIndex,
    endpoint: Endpoint,
    datagram: &[u8],
    emit: &mut impl FnMut(Transmit<'_>) -> Result<(), SendError>,
) -> Result<(), SendError> {
    emit(Transmit {
        peer,
        endpoint,
        datagrams: datagram,
        stride: datagram.len(),
    })
}

/// Completes the datagram around the inner packet; false if the key is used up.
pub(super) fn seal(packet: &mut Packet, shim: Shim, sealer: &mut Sealer<'_>, now: Instant) -> bool {
    let counter = *sealer.counter;
    if counter + 1 >= protocol::REJECT_AFTER_MESSAGES {
        return false;
    }
    *sealer.counter = counter + 1;
    let Some((header, rest)) = packet.bytes.split_first_chunk_mut::<HEADER_LEN>() else {
        return false;
    };
    write_transport_header(header, sealer.key.receiver, counter);
    if let Some(place) = rest.first_chunk_mut::<SHIM_LEN>() {
        *place = shim.encode();
    }
    let stride = packet.bytes.len();
    sealer.key.key.seal_run(counter, &mut packet.bytes, stride);
    sealer.activity.note_sent(now, 1, stride as u64, true);
    true
}

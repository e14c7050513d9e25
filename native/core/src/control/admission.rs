//! Which handshake messages are worth their key exchange (WireGuard whitepaper, section 5.3): all while
//! there are few, then only those whose source has proven its address with a cookie.

use std::time::Duration;

use crate::constants::limits;
use crate::drops::DropReason;
use crate::handoff::Endpoint;
use crate::time::Instant;
use crate::wire::datagram;

use super::Control;

/// False responses to one initiation that are looked into: a copy or two may be damaged on the way.
const FORGED_RESPONSES: u8 = 4;

/// How many initiations arrived lately; beyond a limit, cookies are asked for.
#[derive(Default)]
pub(super) struct Load {
    second_began: Instant,
    count: u32,
    heavy_until: Instant,
}

impl Load {
    /// Counts one initiation and says whether the node is under load, which lasts a second longer
    /// than the flood, so that a flood at the limit does not flap.
    fn is_heavy(&mut self, now: Instant) -> bool {
        const SECOND: Duration = Duration::from_secs(1);
        if now - self.second_began >= SECOND {
            self.second_began = now;
            self.count = 0;
        }
        self.count += 1;
        if self.count > limits::INITIATIONS_PER_SECOND {
            self.heavy_until = now + SECOND;
        }
        now < self.heavy_until
    }
}

impl Control {
    /// Under load, only sources that prove their address with a cookie cost a key exchange.
    pub(super) fn admit(
        &mut self,
        from: Endpoint,
        message: &[u8; 148],
        now: Instant,
    ) -> Result<(), DropReason> {
        if !self.load.is_heavy(now) {
            return Ok(());
        }
        self.demand_cookie(from, message, now)
    }

    /// Whoever sees our initiation can forge responses to it, and each that is tried costs two key
    /// exchanges: after a few, only those with a cookie are.
    pub(super) fn admit_response(
        &mut self,
        from: Endpoint,
        message: &[u8; 92],
        now: Instant,
    ) -> Result<(), DropReason> {
        let given = datagram::response_receiver(message);
        let unknown = DropReason::UnknownHandshake;
        let index = self.indices.get(&given).ok_or(unknown)?;
        let peer = self.peers.get(index).ok_or(unknown)?;
        let pending = peer.pending.as_ref();
        let pending = pending
            .filter(|pending| pending.index == given)
            .ok_or(DropReason::HandshakeRefused)?;
        if pending.forged < FORGED_RESPONSES {
            return Ok(());
        }
        self.demand_cookie(from, message, now)
    }

    /// The source must prove its address with a cookie, and keep to its share.
    fn demand_cookie(
        &mut self,
        from: Endpoint,
        message: &[u8],
        now: Instant,
    ) -> Result<(), DropReason> {
        let entropy = self.settings.entropy.as_mut();
        if !self.cookies.mac2_valid(message, from.remote, now, entropy) {
            let reply = self.cookies.reply(message, from.remote, now, entropy);
            self.send_handshake(from, &reply);
            return Err(DropReason::RateLimited);
        }
        if self.limiter.allow(from.remote.ip(), now) {
            Ok(())
        } else {
            Err(DropReason::RateLimited)
        }
    }
}

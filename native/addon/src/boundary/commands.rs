//! From JavaScript's commands to the core's, and why the core refused one.

use std::str::FromStr;
use std::time::Duration;

use napi::Result;
use whalescale_core::constants::limits;
use whalescale_core::control::{self, CommandError, PeerConfig};
use whalescale_core::identity::{NodeId, PresharedKey, PublicKey};
use whalescale_core::wire::frame::MESSAGE_TYPES;

use super::convert::Names;
use super::types::Command;
use super::{error, read_secret};

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T> {
    text.parse()
        .map_err(|_| error("EINVAL", format_args!("{text} is not {what}")))
}

fn parse_all<T: FromStr>(texts: &[String], what: &str) -> Result<Vec<T>> {
    texts.iter().map(|text| parse(text, what)).collect()
}

/// The core's command; `Sockets` and `Link` are the agent's own.
pub(super) fn command(command: Command, names: &mut Names) -> Result<control::Command> {
    match command {
        peer @ Command::Peer { .. } => put_peer(peer, names),
        Command::RemovePeer { id } => {
            let key = names.key(&id)?;
            names.remove(&id, &key);
            Ok(control::Command::RemovePeer(key))
        }
        Command::Ping { id, token } => Ok(control::Command::Ping {
            peer: names.key(&id)?,
            token,
        }),
        Command::Message { id, kind, body } => Ok(control::Command::Message {
            peer: names.key(&id)?,
            kind,
            body: body.to_vec(),
        }),
        Command::Sign {
            token,
            domain,
            body,
        } => Ok(control::Command::Sign {
            token,
            domain,
            body: body.to_vec(),
        }),
        Command::Connect { id } => Ok(control::Command::Connect(names.key(&id)?)),
        Command::Sockets { .. } | Command::Link { .. } => {
            Err(error("EBUG", "not a command of the core"))
        }
    }
}

fn put_peer(command: Command, names: &mut Names) -> Result<control::Command> {
    let Command::Peer {
        id,
        node_id,
        wireguard_public_key,
        preshared_key_fd,
        endpoints,
        allowed_ips,
        persistent_keepalive,
    } = command
    else {
        return Err(error("EBUG", "not a peer"));
    };
    let public_key: PublicKey = parse(&wireguard_public_key, "a WireGuard public key")?;
    let node_id: Option<NodeId> = node_id
        .as_deref()
        .map(|text| parse(text, "a node id"))
        .transpose()?;
    if node_id.is_some_and(|node_id| node_id.public_key() != public_key) {
        return Err(error(
            "EINVAL",
            "nodeId and wireguardPublicKey are not of one key",
        ));
    }
    let secret = preshared_key_fd
        .map(|fd| read_secret(fd, "the preshared key file"))
        .transpose()?;
    let config = PeerConfig {
        public_key,
        node_id,
        preshared_key: secret.map_or_else(PresharedKey::default, |secret| {
            PresharedKey::from_bytes(&secret)
        }),
        allowed_ips: parse_all(&allowed_ips, "a network prefix")?,
        endpoints: parse_all(&endpoints, "an address with a port")?,
        persistent_keepalive: persistent_keepalive
            .map(|seconds| Duration::from_secs(seconds.into())),
    };
    names.add(&id, public_key);
    Ok(control::Command::Peer(Box::new(config)))
}

/// Why the core refused a command, for people.
pub(super) fn refusal(cause: CommandError) -> String {
    match cause {
        CommandError::TooManyPeers => "there are too many peers".into(),
        CommandError::Overlap(overlap) => format!("two peers have the allowed IP {}", overlap.0),
        CommandError::UnknownPeer => "there is no such peer".into(),
        CommandError::NotWhalescale => {
            "the peer is stock WireGuard, which answers neither pings nor messages; ping its address"
                .into()
        }
        CommandError::TooManyPings => "too many pings are under way".into(),
        CommandError::NotAMessage => format!(
            "a message has a kind from {} to {} and at most {} bytes",
            MESSAGE_TYPES.start(),
            MESSAGE_TYPES.end(),
            limits::MESSAGE_BODY
        ),
        CommandError::TooLongToSign => format!(
            "a signature is of at most {} bytes under a domain of {}",
            limits::SIGNED_BODY,
            limits::SIGNED_DOMAIN
        ),
    }
}

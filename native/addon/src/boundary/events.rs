//! From the core's events to JavaScript's.

use std::net::SocketAddr;
use std::time::Duration;

use whalescale_core::control::{self, OwnAddress};

use crate::agent::control::AgentEvent;

use super::convert::{Names, millis};
use super::types::{Event, NetworkAddress};

/// JavaScript's event.
pub(super) fn event(event: AgentEvent, names: &Names) -> Event {
    match event {
        AgentEvent::Warning { code, message } => Event::Warning {
            code: code.into(),
            message,
        },
        AgentEvent::Fatal(message) => Event::Fatal { message },
        AgentEvent::Core(event) => core_event(event, names),
    }
}

fn core_event(event: control::Event, names: &Names) -> Event {
    match event {
        control::Event::Peer {
            peer,
            state,
            endpoint,
            handshake,
        } => Event::Peer {
            id: names.name(&peer),
            state: state.name().into(),
            endpoint: endpoint.map(|endpoint| endpoint.to_string()),
            handshake_ms: handshake.map(millis),
        },
        control::Event::Timestamp(timestamp) => Event::Timestamp {
            value: timestamp.to_string(),
        },
        control::Event::Pong {
            peer,
            token,
            rtt,
            local,
            remote,
        } => pong(names.name(&peer), token, rtt, local, remote),
        control::Event::PingTimeout { peer, token } => Event::PingTimeout {
            id: names.name(&peer),
            token,
        },
        control::Event::InnerMtu(inner_mtu) => Event::Mtu { inner_mtu },
        control::Event::PathTooSmall { peer, inner_mtu } => {
            path_too_small(&names.name(&peer), inner_mtu)
        }
        control::Event::Restarted { peer } => Event::Restarted {
            id: names.name(&peer),
        },
        control::Event::Message {
            peer,
            kind,
            body,
            remote,
        } => Event::Message {
            id: names.name(&peer),
            kind,
            body: body.into(),
            remote: remote.to_string(),
        },
        control::Event::Signed { token, signature } => Event::Signed {
            token,
            signature: signature.to_vec().into(),
        },
        control::Event::Network(own) => network(own),
        control::Event::Observed {
            peer,
            interface,
            address,
        } => observed(names.name(&peer), interface.as_deref(), address),
    }
}

fn pong(
    id: String,
    token: u32,
    rtt: Duration,
    local: Option<SocketAddr>,
    remote: SocketAddr,
) -> Event {
    Event::Pong {
        id,
        token,
        rtt_us: rtt.as_secs_f64() * 1e6,
        local: local.map(|local| local.to_string()),
        remote: remote.to_string(),
        kind: "direct".into(),
    }
}

fn path_too_small(peer: &str, inner_mtu: u16) -> Event {
    Event::Warning {
        code: "pathTooSmall".into(),
        message: format!(
            "the path to {peer} does not carry packets of {inner_mtu} bytes; set a smaller mtu"
        ),
    }
}

fn observed(id: String, interface: Option<&str>, address: SocketAddr) -> Event {
    Event::Observed {
        id,
        interface: interface.map(str::to_owned),
        address: address.to_string(),
    }
}

fn network(own: Vec<OwnAddress>) -> Event {
    let sockets = own.into_iter().map(|own| NetworkAddress {
        interface: own.interface.map(|name| name.to_string()),
        address: own.address.to_string(),
    });
    Event::Network {
        sockets: sockets.collect(),
    }
}

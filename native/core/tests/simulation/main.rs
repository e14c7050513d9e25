//! Two endpoints on virtual time: the shipped machines, a seeded network, no threads, no sleeping.
//!
//! `pair` steps them, `node` drives one endpoint as the addon would, `cipher` lets tests look into
//! what was sealed and forge what only a key holder can; every other module is one theme of tests.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod bonding;
mod cipher;
mod inner_bbr;
mod inner_reduction;
mod inner_tcp;
mod node;
mod pair;
mod uplinks;

mod ahead;
mod configuration;
mod cookie;
mod corpus_writer;
mod cut_flow;
mod equalise;
mod failover;
mod goodput;
mod hello;
mod hostile;
mod loss;
mod lying;
mod many;
mod messages;
mod offload;
mod paths;
mod paths_hostile;
mod pmtu;
mod reach;
mod rekey;
mod roaming;
mod scenario;
mod session;
mod sharing;
mod shedding;
mod single_loss;
mod staging;
mod stock;
mod timers;

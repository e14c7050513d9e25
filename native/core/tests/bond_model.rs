//! The model of one path in a closed loop with emulated links, on virtual time.

#[path = "bond_model/bench.rs"]
mod bench;
#[path = "bond_model/changes.rs"]
mod changes;
#[path = "bond_model/health.rs"]
mod health;
#[path = "bond_model/hostile.rs"]
mod hostile;
#[path = "bond_model/reports.rs"]
mod reports;
#[path = "bond_model/source.rs"]
mod source;
#[path = "bond_model/steady.rs"]
mod steady;
#[path = "bond_model/twin.rs"]
mod twin;

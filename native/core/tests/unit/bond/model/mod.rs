//! The model of one path in a closed loop with emulated links, on virtual time.

mod bench;
mod changes;
mod health;
mod hostile;
mod reports;
mod source;
mod steady;
mod twin;

//! One direction of one link, on virtual time.

mod drive;
mod properties;
mod schedule;

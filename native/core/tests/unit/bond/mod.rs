//! What is received, put in order and measured of bonded paths.

mod arrivals;
mod bare;
mod model;
mod reorder;
mod striped;
mod wire;

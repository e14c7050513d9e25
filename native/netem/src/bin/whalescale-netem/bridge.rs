//! The running emulation: packets from one device, through the link, into the other, in real time.

use crate::plan::{Directed, LinkPlan, Plan};
use crate::tun::{Tun, Watched};
use std::fmt::Write as _;
use std::io;
use std::os::fd::AsFd;
use std::process::Command;
use whalescale_netem::{IpPacket, Link, derive_seed};

/// Packets read from one device before the others get their turn.
const BATCH: usize = 64;
/// The largest IP packet.
const PACKET_MAX: usize = 65535;

/// One link between two devices.
#[derive(Debug)]
pub struct Bridge {
    plan: LinkPlan,
    devices: [Tun; 2],
    places: [usize; 2],
    links: [Link<IpPacket>; 2],
    /// Packets that the receiving device refused, by direction: it was down, or a flipped bit broke the header.
    refused: [u64; 2],
}

impl Bridge {
    /// Creates both devices and brings them up.
    ///
    /// # Errors
    /// A namespace is missing, a name is taken, or privileges are.
    pub fn open(
        plan: LinkPlan,
        links: [Link<IpPacket>; 2],
        watched: &mut Watched,
    ) -> io::Result<Self> {
        let [a, b] = &plan.ends;
        let devices = [
            Tun::open(&a.netns, &a.interface)?,
            Tun::open(&b.netns, &b.interface)?,
        ];
        for end in &plan.ends {
            let ip = |command: &str| run_ip(&end.netns, command);
            // Without a link-local address the stack sends nothing by itself. The device's own queue is long, since
            // what it drops is not counted: dropping is the link's business.
            let (name, mtu) = (&end.interface, plan.mtu);
            ip(&format!(
                "link set dev {name} mtu {mtu} txqueuelen 10000 addrgenmode none"
            ))?;
            for address in &end.addresses {
                ip(&format!("address add {address} dev {name}"))?;
            }
            ip(&format!("link set dev {name} up"))?;
        }
        let places = [
            watched.add(devices[0].as_fd()),
            watched.add(devices[1].as_fd()),
        ];
        Ok(Self {
            plan,
            devices,
            places,
            links,
            refused: [0; 2],
        })
    }

    /// Opens all links of a plan.
    ///
    /// # Errors
    /// See [`Bridge::open`]; the error names the link.
    pub fn open_all(plan: Plan, watched: &mut Watched) -> io::Result<Vec<Self>> {
        let open = |(index, link): (usize, LinkPlan)| {
            let seeds = [2 * index as u64, 2 * index as u64 + 1]
                .map(|direction| derive_seed(plan.seed, direction));
            let [ab, ba] = link.directions.clone();
            let links = [Link::new(ab, seeds[0]), Link::new(ba, seeds[1])];
            Self::open(link, links, watched)
                .map_err(|error| io::Error::new(error.kind(), format!("link{index}: {error}")))
        };
        plan.links.into_iter().enumerate().map(open).collect()
    }

    /// Moves what there is to move at the time `clock` tells.
    ///
    /// # Errors
    /// A device can no longer be read.
    pub fn turn(
        &mut self,
        watched: &Watched,
        clock: &impl Fn() -> u64,
        buffer: &mut [u8; PACKET_MAX],
    ) -> io::Result<()> {
        for direction in [0, 1] {
            if watched.is_ready(self.places[direction]) {
                self.take_in(direction, clock, buffer)?;
            }
            self.put_out(direction, clock());
        }
        Ok(())
    }

    fn take_in(
        &mut self,
        direction: usize,
        clock: &impl Fn() -> u64,
        buffer: &mut [u8],
    ) -> io::Result<()> {
        for _ in 0..BATCH {
            let Some(len) = self.devices[direction].read(buffer)? else {
                break;
            };
            let packet = IpPacket(buffer[..len].to_vec());
            // The link counts what it drops.
            let _ = self.links[direction].send(clock(), packet, len);
        }
        Ok(())
    }

    fn put_out(&mut self, direction: usize, now: u64) {
        while let Some(IpPacket(packet)) = self.links[direction].poll_deliver(now) {
            if self.devices[1 - direction].write(&packet).is_err() {
                self.refused[direction] += 1;
            }
        }
    }

    /// When the next packet is due.
    pub fn next_event(&self) -> Option<u64> {
        self.links.iter().filter_map(Link::next_event).min()
    }

    /// Changes a setting.
    pub fn apply(&mut self, now: u64, directed: Directed) {
        for (direction, link) in self.links.iter_mut().enumerate() {
            if directed.covers(direction) {
                link.apply(now, directed.change);
            }
        }
    }

    /// The counters of both directions as a JSON object.
    pub fn stats(&self, index: usize) -> String {
        let [a, b] = &self.plan.ends;
        let mut json = format!(
            r#"{{"link":"link{index}","a":"{}:{}""#,
            a.netns, a.interface
        );
        let _ = write!(json, r#","b":"{}:{}""#, b.netns, b.interface);
        for (direction, name) in ["a>b", "b>a"].into_iter().enumerate() {
            let _ = write!(json, r#","{name}":{}"#, self.direction_stats(direction));
        }
        json + "}"
    }

    fn direction_stats(&self, direction: usize) -> String {
        let link = &self.links[direction];
        let stats = link.stats();
        let counters = [
            ("sent", stats.sent),
            ("sentBytes", stats.sent_bytes),
            ("delivered", stats.delivered),
            ("deliveredBytes", stats.delivered_bytes),
            ("inFlight", link.in_flight() as u64),
            ("droppedQueueFull", stats.dropped_queue_full),
            ("droppedTooBig", stats.dropped_too_big),
            ("droppedLoss", stats.dropped_loss),
            ("droppedBlackHole", stats.dropped_black_hole),
            ("duplicated", stats.duplicated),
            ("reordered", stats.reordered),
            ("corrupted", stats.corrupted),
            ("marked", stats.marked),
            ("maxQueueBytes", stats.max_queue_bytes),
            ("refusedByDevice", self.refused[direction]),
        ];
        let fields = counters.map(|(name, value)| format!(r#""{name}":{value}"#));
        format!("{{{}}}", fields.join(","))
    }
}

fn run_ip(netns: &str, command: &str) -> io::Result<()> {
    let output = Command::new("ip")
        .args(["-n", netns])
        .args(command.split(' '))
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "ip -n {netns} {command}: {}",
        reason.trim()
    )))
}

//! Vectors of bonding: the shim, its sequences, the frames about paths, feedback.

use arrayvec::ArrayVec;
use whalescale_core::bond::bare::LossReport;
use whalescale_core::bond::feedback::{Feedback, Gap, PathReport};
use whalescale_core::bond::shim::{Shim, extend};
use whalescale_core::wire::frame::{Announced, Frame};

use super::computed::{encoded, handshake_messages, hex, named};
use super::session::{Session, ip_packet};

const TOKEN: u64 = 0x1112_1314_1516_1718;

pub fn bonded() -> Vec<(String, String)> {
    let (_, _, [forth, _]) = handshake_messages();
    let packet = ip_packet(33);
    let latency = Shim {
        ordered: false,
        latency: true,
        path: 3,
        bucket: 0,
        path_sequence: 0,
        bucket_sequence: 0,
    };
    let ordered = Shim {
        ordered: true,
        latency: false,
        path: 10,
        bucket: 5,
        path_sequence: 0x01_0203,
        bucket_sequence: 0xff_fffe,
    };
    let datagram = Session::open(&forth, 1420).bonded(3).packet(&packet);
    named([
        ("shim.latency", shim(latency)),
        ("shim.ordered", shim(ordered)),
        ("shim.datagram", hex(datagram)),
        ("shim.sequences", sequences()),
    ])
}

fn shim(shim: Shim) -> String {
    let bytes = shim.encode();
    assert_eq!(Shim::parse(&bytes), Some((shim, &[][..])));
    hex(bytes)
}

/// `near:low:whole`: the counter with the low bits `low` that is nearest to `near`.
fn sequences() -> String {
    let cases = [
        (0, 5),
        (16_777_215, 0),
        (16_777_216, 16_777_215),
        (5, 16_777_215),
        (41_943_040, 0),
        (41_943_041, 0),
    ];
    let whole = cases.map(|(near, low)| format!("{near}:{low}:{}", extend(near, low)));
    whole.join(" ")
}

pub fn path_frames() -> Vec<(String, String)> {
    let announced = |address: &str, link| Announced {
        address: address.parse().unwrap(),
        link,
    };
    let announce = |addresses, reply| Frame::PathAnnounce {
        number: 5,
        addresses,
        reply,
    };
    let bind = |metered, reply| Frame::PathBind {
        path: 3,
        token: TOKEN,
        link: 2,
        metered,
        reply,
    };
    let addresses = vec![
        announced("192.0.2.1:51820", 2),
        announced("[2001:db8::1]:51820", 4),
    ];
    named([
        ("frame.path_announce", encoded(announce(addresses, false))),
        ("frame.path_announce_reply", encoded(announce(vec![], true))),
        ("frame.path_bind", encoded(bind(false, false))),
        ("frame.path_bind_metered", encoded(bind(true, false))),
        ("frame.path_bind_reply", encoded(bind(false, true))),
    ])
}

pub fn feedbacks() -> Vec<(String, String)> {
    let lossy = report(
        3,
        &[
            Gap {
                start: 0x01_0200,
                count: 2,
            },
            Gap {
                start: 0x01_0210,
                count: 255,
            },
        ],
    );
    let paths = [lossy, report(10, &[])];
    named([
        ("frame.feedback", feedback(&paths)),
        ("frame.feedback_of_nothing", feedback(&[])),
        ("frame.loss", loss()),
    ])
}

fn report(path: u8, gaps: &[Gap]) -> PathReport {
    PathReport {
        path,
        highest: 0x01_0400,
        received: 0x0102_0304,
        bytes: 0x0a0b_0c0d_0e0f,
        arrived: 0x1112_1314,
        held: 0x2122,
        gaps: gaps.iter().copied().collect(),
    }
}

fn feedback(paths: &[PathReport]) -> String {
    let feedback = Feedback {
        number: 7,
        paths: paths.iter().cloned().collect::<ArrayVec<_, 8>>(),
    };
    let frame = feedback.frame();
    assert_eq!(Feedback::in_frame(&frame), Some(Ok(feedback)));
    hex(frame)
}

fn loss() -> String {
    let report = LossReport {
        passed: 0x0102_0304,
        received: 0x0102_0300,
    };
    let frame = report.frame();
    assert_eq!(LossReport::in_frame(&frame), Some(Ok(report)));
    hex(frame)
}

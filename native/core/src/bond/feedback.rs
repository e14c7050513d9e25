//! What the receiving end reports about each path (design, section 5, Feedback).
//!
//! A feedback is a native control frame. It is never acknowledged and never repeated as such: the
//! next one says everything again, what is still missing too, so that a lost feedback costs one
//! interval. Body, little-endian:
//!
//! ```text
//!  number u32 | paths u8 | per path:
//!    path u8 | gaps u8 | highest u24 | received u32 | bytes u48 | arrived u32 | held u16 |
//!    per gap: start u24, count u8
//! ```

use arrayvec::ArrayVec;

/// Paths of one feedback: as many as a peer may have in use.
pub const PATHS: usize = 8;
/// Gaps of one path in one feedback, the newest if there are more: at 1 % loss and one feedback in
/// 10 ms, a path of 300 Mbit/s has three new ones, each repeated while it is open.
pub const GAPS: usize = 24;

/// Consecutive packets of one path that have not arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Low 24 bits of the first one's path sequence.
    pub start: u32,
    /// How many, at least 1.
    pub count: u8,
}

/// One path's arrivals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathReport {
    /// The sender's number of the path.
    pub path: u8,
    /// Low 24 bits of the highest path sequence that arrived.
    pub highest: u32,
    /// Packets that arrived so far, repairs and duplicates not counted; wraps.
    pub received: u32,
    /// Bytes of their datagrams so far; the low 48 bits.
    pub bytes: u64,
    /// When the highest one arrived: microseconds on the receiver's clock; wraps.
    pub arrived: u32,
    /// Microseconds from then until this report was made; saturates.
    pub held: u16,
    /// What is missing below the highest, oldest first.
    pub gaps: ArrayVec<Gap, GAPS>,
}

/// A feedback frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Feedback {
    /// Grows by one with each feedback of this session, so that copies on several paths count once.
    pub number: u32,
    /// The paths that had arrivals lately.
    pub paths: ArrayVec<PathReport, PATHS>,
}

/// Frame type of a feedback, among the native frames.
pub const FEEDBACK: u8 = 0x0a;
/// Bytes of the frame header: type, flags, length.
const FRAME_HEADER: usize = 4;

/// The bytes do not make a feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotFeedback;

impl Feedback {
    /// The whole frame.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = vec![FEEDBACK, 0, 0, 0];
        self.encode(&mut frame);
        let [low, high] = (frame.len() - FRAME_HEADER)
            .min(usize::from(u16::MAX))
            .to_le_bytes()[..2]
        else {
            return frame;
        };
        if let Some(length) = frame.get_mut(2..FRAME_HEADER) {
            length.copy_from_slice(&[low, high]);
        }
        frame
    }

    /// Reads a plaintext that begins as a feedback frame does; nothing for any other one.
    pub fn in_frame(plaintext: &[u8]) -> Option<Result<Self, NotFeedback>> {
        let ([FEEDBACK, _, low, high], rest) = plaintext.split_first_chunk::<FRAME_HEADER>()?
        else {
            return None;
        };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        Some(rest.get(..length).ok_or(NotFeedback).and_then(Self::parse))
    }

    /// Appends the body to `out`: at most 4 + 1 + 8 * (24 + 24 * 4) bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.number.to_le_bytes());
        out.push(self.paths.len() as u8);
        for report in &self.paths {
            out.push(report.path);
            out.push(report.gaps.len() as u8);
            out.extend_from_slice(&report.highest.to_le_bytes()[..3]);
            out.extend_from_slice(&report.received.to_le_bytes());
            out.extend_from_slice(&report.bytes.to_le_bytes()[..6]);
            out.extend_from_slice(&report.arrived.to_le_bytes());
            out.extend_from_slice(&report.held.to_le_bytes());
            for gap in &report.gaps {
                out.extend_from_slice(&gap.start.to_le_bytes()[..3]);
                out.push(gap.count);
            }
        }
    }

    /// Reads a body; bytes after it are padding.
    ///
    /// # Errors
    /// It is cut short, or has more paths or gaps than there can be.
    pub fn parse(body: &[u8]) -> Result<Self, NotFeedback> {
        let mut rest = body;
        let mut feedback = Self {
            number: u32::from_le_bytes(take(&mut rest)?),
            paths: ArrayVec::new(),
        };
        let [paths] = take(&mut rest)?;
        for _ in 0..paths {
            let report = parse_path(&mut rest)?;
            feedback.paths.try_push(report).map_err(|_| NotFeedback)?;
        }
        Ok(feedback)
    }
}

fn parse_path(rest: &mut &[u8]) -> Result<PathReport, NotFeedback> {
    let [path, gaps] = take(rest)?;
    let mut report = PathReport {
        path,
        highest: take_u24(rest)?,
        received: u32::from_le_bytes(take(rest)?),
        bytes: {
            let [a, b, c, d, e, f] = take(rest)?;
            u64::from_le_bytes([a, b, c, d, e, f, 0, 0])
        },
        arrived: u32::from_le_bytes(take(rest)?),
        held: u16::from_le_bytes(take(rest)?),
        gaps: ArrayVec::new(),
    };
    for _ in 0..gaps {
        let start = take_u24(rest)?;
        let [count] = take(rest)?;
        let gap = Some(Gap { start, count })
            .filter(|gap| gap.count > 0)
            .ok_or(NotFeedback)?;
        report.gaps.try_push(gap).map_err(|_| NotFeedback)?;
    }
    Ok(report)
}

fn take_u24(rest: &mut &[u8]) -> Result<u32, NotFeedback> {
    let [a, b, c] = take(rest)?;
    Ok(u32::from_le_bytes([a, b, c, 0]))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], NotFeedback> {
    let (field, after) = rest.split_first_chunk().ok_or(NotFeedback)?;
    *rest = after;
    Ok(*field)
}

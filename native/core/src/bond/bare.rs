//! Loss of a single path: counted, reported, and answered by repair.
//!
//! Bare data has no sequences but the counters of the session. The receiving end compares the counters
//! that must have been used with the datagrams that came ([`Tally`]), and tells the difference when it
//! changes ([`LossReport`]). The sending end bonds what it sends on the path, and so repairs it, while
//! the loss lasts ([`Switch`]). It does so, too, for the first bulk on a path that it does not know: a
//! loss in the first round trips of a flow costs that flow seconds, and by then nobody has counted.
//!
//! Invariants: a path without loss causes no report; reports are [`SPACING`] apart; what a report claims
//! only decides whether data is bonded.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::Instant;

/// Frame type of a loss report, among the native frames.
pub const LOSS: u8 = 0x0b;
/// Reports are at least this far apart.
pub const SPACING: Duration = Duration::from_millis(100);
/// What is missing may be late rather than lost: longer than packets of one path overtake each other.
const SETTLING: Duration = Duration::from_millis(20);
/// Feedback tells of bonded data; bare data is not reported this long after some.
const BONDED_LATELY: Duration = Duration::from_secs(1);

/// Loss from which on a single path is repaired, and below which no longer (design, section 4).
pub const LOSS_ON: f64 = 0.001;
const LOSS_OFF: f64 = 0.0005;
/// Repair stays on for this long after the loss was last seen.
pub const HOLD: Duration = Duration::from_secs(10);
/// Reports older than this do not count.
const WINDOW: Duration = Duration::from_secs(5);
/// Reports of new loss until it is taken for the path's: a queue that overflowed once makes two or three.
const REPORTS: usize = 4;
/// Round trip from which on a single path is worth repairing: below, the inner flow's own recovery is
/// as quick as ours, which waits for feedback, and such a path may carry gigabits.
pub const FAR: Duration = Duration::from_millis(5);
/// Packets without which a share says nothing: three losses at [`LOSS_ON`] and a doubtful one.
const PACKETS: u32 = 400;
/// Bonded packets after which a path that nothing was known of is judged: six losses at [`LOSS_ON`].
const TRIAL: u32 = 6_000;
/// Bytes at once, and a second, below which traffic is not worth a trial: less than slow start takes.
const SPARSE: f64 = 12_000.0;
const SPARSE_RATE: f64 = 120_000.0;
/// More bytes than a lone full packet has.
const ONE: f64 = 2_000.0;
/// Packets a second from which on loss does not slow a path down, but sealing and sending one by one
/// would: 350 Mbit/s.
const FAST: f64 = 30_000.0;

/// What the receiving end says of bare data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LossReport {
    /// Counters that the other end must have used, since the start; wraps.
    pub passed: u32,
    /// Datagrams that came with them; wraps.
    pub received: u32,
}

/// The bytes do not make a loss report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotLossReport;

impl LossReport {
    /// The whole frame.
    pub fn frame(self) -> Vec<u8> {
        let mut frame = vec![LOSS, 0, 8, 0];
        frame.extend_from_slice(&self.passed.to_le_bytes());
        frame.extend_from_slice(&self.received.to_le_bytes());
        frame
    }

    /// Reads a plaintext that begins as a loss report does; nothing for any other one.
    pub fn in_frame(plaintext: &[u8]) -> Option<Result<Self, NotLossReport>> {
        let ([LOSS, _, low, high], rest) = plaintext.split_first_chunk::<4>()? else {
            return None;
        };
        let body = rest.get(..usize::from(u16::from_le_bytes([*low, *high])));
        let fields = body.and_then(<[u8]>::first_chunk::<8>);
        let report = fields.map(|[a, b, c, d, e, f, g, h]| Self {
            passed: u32::from_le_bytes([*a, *b, *c, *d]),
            received: u32::from_le_bytes([*e, *f, *g, *h]),
        });
        Some(report.ok_or(NotLossReport))
    }

    /// Counters passed and packets lost since an earlier report; none are lost if more came than passed.
    fn since(self, earlier: Self) -> (u32, u32) {
        let passed = self.passed.wrapping_sub(earlier.passed);
        let received = self.received.wrapping_sub(earlier.received);
        let lost = passed.wrapping_sub(received).cast_signed();
        (passed, lost.max(0).cast_unsigned())
    }
}

/// The receiving end's count.
#[derive(Debug, Default)]
pub struct Tally {
    count: LossReport,
    /// What was missing when that was last told.
    told: u32,
    told_at: Option<Instant>,
    due: Option<Instant>,
    bonded_at: Option<Instant>,
}

impl Tally {
    /// `received` datagrams came, and moved the highest counter by `passed`.
    pub fn note(&mut self, now: Instant, passed: u64, received: u64) {
        self.count.passed = self.count.passed.wrapping_add(passed as u32);
        self.count.received = self.count.received.wrapping_add(received as u32);
        if self.missing() != self.told && self.due.is_none() && !self.is_bonded(now) {
            let settled = now + SETTLING;
            let spaced = self.told_at.map(|at| at + SPACING);
            self.due = Some(spaced.map_or(settled, |spaced| spaced.max(settled)));
        }
    }

    /// Bonded data came, of which feedback tells.
    pub fn note_bonded(&mut self, now: Instant) {
        self.bonded_at = Some(now);
    }

    /// When [`Self::report`] is due.
    pub fn next_report(&self) -> Option<Instant> {
        self.due
    }

    /// The report that is due, unless what was missing has come since.
    pub fn report(&mut self, now: Instant) -> Option<LossReport> {
        self.due.filter(|due| *due <= now)?;
        self.due = None;
        if self.missing() == self.told || self.is_bonded(now) {
            return None;
        }
        self.told = self.missing();
        self.told_at = Some(now);
        Some(self.count)
    }

    fn missing(&self) -> u32 {
        self.count.passed.wrapping_sub(self.count.received)
    }

    fn is_bonded(&self, now: Instant) -> bool {
        self.bonded_at.is_some_and(|at| now - at < BONDED_LATELY)
    }
}

/// What the sending end thinks of the path.
#[derive(Clone, Copy, Debug, Default)]
enum Opinion {
    /// Nothing but what sparse traffic shows.
    #[default]
    Unknown,
    /// The first bulk is bonded, to see.
    OnTrial,
    /// Its loss is below what repair pays for.
    Clean,
    /// It is repaired until then at least.
    Lossy { until: Instant },
}

/// The sending end's decision.
#[derive(Debug, Default)]
pub struct Switch {
    opinion: Opinion,
    /// The reports of the last [`WINDOW`], oldest first.
    reports: VecDeque<(Instant, LossReport)>,
    /// Bonded packets, and repairs of them, since the last judgement.
    sent: u32,
    repaired: u32,
    /// Bytes that may still go before traffic counts as bulk, and when that was.
    sparse: f64,
    at: Instant,
}

impl Switch {
    /// Takes a report of the other end about bare data.
    pub fn report(&mut self, now: Instant, report: LossReport) {
        let old = |entry: &(Instant, LossReport)| now - entry.0 > WINDOW;
        while self.reports.front().is_some_and(old) || self.reports.len() > REPORTS {
            self.reports.pop_front();
        }
        self.reports.push_back((now, report));
        let Some((since, first)) = self.reports.front().copied() else {
            return;
        };
        let (passed, lost) = report.since(first);
        let span = (now - since).as_secs_f64().max(1e-3);
        let slow = f64::from(passed) / span < FAST;
        let enough = self.reports.len() > REPORTS && passed >= PACKETS;
        if enough && slow && f64::from(lost) >= LOSS_ON * f64::from(passed) {
            self.reports.clear();
            self.turn(Opinion::Lossy { until: now + HOLD });
        }
    }

    /// Bonded data left on the single path.
    pub fn sent(&mut self) {
        self.sent = self.sent.saturating_add(1);
    }

    /// A packet of it was reported missing, and goes again.
    pub fn repaired(&mut self) {
        self.repaired = self.repaired.saturating_add(1);
    }

    /// The path is another one now.
    pub fn forget(&mut self) {
        self.reports.clear();
        self.turn(Opinion::Unknown);
    }

    /// Whether `bytes` for a single path, in `full` packets or not, are to be bonded.
    pub fn wants(&mut self, now: Instant, bytes: usize, full: bool) -> bool {
        let bulk = self.is_bulk(now, bytes, full);
        match self.opinion {
            Opinion::Unknown if bulk => self.turn(Opinion::OnTrial),
            Opinion::OnTrial if self.sent >= TRIAL => self.judge(now),
            Opinion::Lossy { until } if now >= until => self.judge(now),
            _ => {}
        }
        matches!(self.opinion, Opinion::OnTrial | Opinion::Lossy { .. })
    }

    fn judge(&mut self, now: Instant) {
        let share = f64::from(self.repaired) / f64::from(self.sent.max(1));
        self.turn(match () {
            () if self.sent < PACKETS => Opinion::Unknown,
            () if share >= LOSS_OFF => Opinion::Lossy { until: now + HOLD },
            () => Opinion::Clean,
        });
    }

    fn turn(&mut self, opinion: Opinion) {
        self.opinion = opinion;
        (self.sent, self.repaired) = (0, 0);
    }

    /// Whether more is sent than sparse flows would, or in full packets more than one at once: a beginning of that.
    fn is_bulk(&mut self, now: Instant, bytes: usize, full: bool) -> bool {
        let earned = (now - self.at).as_secs_f64() * SPARSE_RATE;
        self.at = now;
        self.sparse = (self.sparse + earned).min(SPARSE) - bytes as f64;
        self.sparse < if full { SPARSE - ONE } else { 0.0 }
    }
}

//! Whether to look for an answer again and again, or to sleep until it comes.
//!
//! A processor that halted takes tens of microseconds to run a thread again: much of a round trip in
//! a local network. So where answers have come at once, the thread looks for the next one without
//! sleeping, as an idle Linux guest does (`Documentation/virt/guest-halt-polling.rst`). Whether they do
//! is told by the saturating counter of two bits known from branch prediction (J. E. Smith, A Study of
//! Branch Prediction Strategies, 1981); a sleep is a lesson, too, so nothing has to be tried out.
//!
//! Invariant: up to any instant the thread has looked for no more than a [`SHARE`]-th of the time
//! since the start, and [`BURST`].

use std::time::Duration;

use crate::time::Instant;

/// Longer than the round trips of 0.2 to 0.3 ms that an idle tunnel has over a virtual wire (decision 0049).
const NEAR: Duration = Duration::from_micros(400);
/// Looking may cost a twentieth of one processor: what a lone packet every two milliseconds costs anyway,
/// at 100 microseconds each (decision 0049).
const SHARE: u32 = 20;
/// How much more it may cost at once: the answers to a page of a hundred look-ups.
const BURST: Duration = Duration::from_millis(10);
/// The counter's end: three answers that came soon outweigh a single one that did not.
const SURE: u8 = 3;

/// What the waits for an answer have taught so far. See the module's header.
#[derive(Debug, Default)]
pub struct BusyPoll {
    /// Answers that came soon, less those that did not, from 0 to [`SURE`].
    soon: u8,
    /// When the time that was spent is made up for.
    paid: Instant,
}

impl BusyPoll {
    /// How long to look before sleeping, for what answers a packet that was sent at `sent`.
    pub fn patience(&self, sent: Instant) -> Duration {
        let affordable = self.paid - sent <= (BURST - NEAR) * SHARE;
        if self.soon > SURE / 2 && affordable {
            NEAR
        } else {
            Duration::ZERO
        }
    }

    /// Notes that the wait since `sent` ended at `now`, with or without an answer.
    pub fn note(&mut self, sent: Instant, now: Instant) {
        let waited = now - sent;
        let looked = waited.min(self.patience(sent));
        self.paid = self.paid.max(sent) + looked * SHARE;
        self.soon = if waited <= NEAR {
            (self.soon + 1).min(SURE)
        } else {
            self.soon.saturating_sub(1)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a packet every `spacing` and has it answered after what `answers` says; the time looked.
    fn looked(
        busy: &mut BusyPoll,
        spacing: Duration,
        answers: impl IntoIterator<Item = Duration>,
    ) -> Vec<Duration> {
        let mut sent = busy.paid + Duration::from_secs(1);
        let waits = answers.into_iter().map(|after| {
            let looked = busy.patience(sent).min(after);
            busy.note(sent, sent + after);
            sent = sent + after.max(spacing);
            looked
        });
        waits.collect()
    }

    const SOON: Duration = Duration::from_micros(120);
    const LATE: Duration = Duration::from_millis(8);

    #[test]
    fn it_looks_after_two_answers_that_came_soon() {
        let mut busy = BusyPoll::default();
        let looked = looked(&mut busy, Duration::from_millis(10), [SOON; 4]);
        assert_eq!(looked, [Duration::ZERO, Duration::ZERO, SOON, SOON]);
    }

    #[test]
    fn one_late_answer_among_many_does_not_put_it_off() {
        let mut busy = BusyPoll::default();
        let answers = [SOON, SOON, SOON, LATE, SOON];
        let looked = looked(&mut busy, Duration::from_millis(10), answers);
        assert_eq!(looked[3..], [NEAR, SOON]);
    }

    #[test]
    fn it_never_looks_for_answers_from_afar() {
        let mut busy = BusyPoll::default();
        let looked = looked(&mut busy, Duration::from_millis(10), [LATE; 100]);
        assert_eq!(looked, [Duration::ZERO; 100]);
    }

    #[test]
    fn answers_that_move_away_cost_two_looks() {
        let mut busy = BusyPoll::default();
        looked(&mut busy, Duration::from_millis(10), [SOON; 10]);
        let looked = looked(&mut busy, Duration::from_millis(10), [LATE; 10]);
        assert_eq!(looked.iter().sum::<Duration>(), NEAR * 2);
    }

    #[test]
    fn one_question_after_the_other_costs_a_twentieth_of_the_time() {
        let mut busy = BusyPoll::default();
        let answers = vec![SOON; 100_000];
        let sum: Duration = looked(&mut busy, SOON, answers.iter().copied())
            .iter()
            .sum();
        let all: Duration = answers.iter().sum();
        assert!(sum <= all / SHARE + BURST, "{sum:?} of {all:?}");
        assert!(sum >= all / SHARE, "{sum:?} of {all:?}");
    }
}

//! Evenly spaced points in time. Tokio's own timers are exact to a millisecond only, which is more
//! than some of the latencies that are measured; the kernel's are exact to some microseconds.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// A timer that expires again and again.
pub(super) struct Pacer {
    timer: AsyncFd<OwnedFd>,
    begin: Instant,
    interval: Duration,
    passed: u32,
}

impl Pacer {
    /// The first point lies one interval from now.
    pub(super) fn start(interval: Duration) -> anyhow::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let every = Timespec::try_from(interval)?;
        let setting = Itimerspec {
            it_interval: every,
            it_value: every,
        };
        let begin = Instant::now();
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &setting)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe; what that asks for, a descriptor that stays the same \
                      and open, an OwnedFd keeps"
        )]
        let timer = AsyncFd::new(timer)?;
        Ok(Self {
            timer,
            begin,
            interval,
            passed: 0,
        })
    }

    /// Waits for the next point, and returns it with those that have passed unseen since the last.
    pub(super) async fn due(&mut self) -> anyhow::Result<Vec<Instant>> {
        loop {
            let mut ready = self.timer.readable().await?;
            let mut count = [0; 8];
            let read = ready.try_io(|timer| Ok(rustix::io::read(timer, &mut count)?));
            match read {
                Ok(read) => read?,
                Err(_would_block) => continue,
            };
            // timerfd_create(2): a read gives the number of expirations since the last one.
            let expired = u32::try_from(u64::from_ne_bytes(count))?;
            let first = self.passed + 1;
            self.passed += expired;
            let points = first..=self.passed;
            return Ok(points
                .map(|point| self.begin + self.interval * point)
                .collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Pacer;

    #[tokio::test]
    async fn no_point_is_left_out_and_none_comes_early() {
        let interval = Duration::from_micros(500);
        let mut pacer = Pacer::start(interval).unwrap();
        let mut points = Vec::new();
        while points.len() < 100 {
            let due = pacer.due().await.unwrap();
            assert!(due.iter().all(|point| *point <= Instant::now()));
            points.extend(due);
        }
        assert!(points.windows(2).all(|pair| pair[1] - pair[0] == interval));
    }
}

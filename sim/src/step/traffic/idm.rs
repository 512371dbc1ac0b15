//! The intelligent driver model (Treiber, Hennecke and Helbing 2000).

use crate::scenario::Driver;

/// Largest deceleration, m/s².
pub(super) const HARDEST: f32 = 8.0;

/// A driver's view of the road ahead: the strongest of the interactions seen so far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ahead {
    accel: f32,
    /// Standstill gap, metres.
    pub gap: f32,
    headway: f32,
    decel: f32,
    /// 1 / (2 sqrt(a b)).
    slope: f32,
    /// m/s.
    pub v: f32,
    free: f32,
    /// Square of the desired gap over the gap.
    strongest: f32,
}

impl Ahead {
    /// A free road on which the driver at speed `v` wants to drive at `wish` (m/s, positive).
    #[inline]
    pub fn new(driver: &Driver, v: f32, wish: f32) -> Ahead {
        let ratio = v / wish.max(0.1);
        let square = ratio * ratio;
        let free = driver.accel * (1.0 - square * square);
        Ahead {
            accel: driver.accel,
            gap: driver.gap,
            headway: driver.headway,
            decel: driver.decel,
            slope: 0.5 / (driver.accel * driver.decel).max(1e-3).sqrt(),
            v,
            free: free.max(-driver.decel),
            strongest: 0.0,
        }
    }

    /// Something `gap` metres ahead of the front bumper that moves at `speed` m/s the same way.
    #[inline]
    pub fn see(&mut self, gap: f32, speed: f32) {
        let wanted = self.gap + (self.v * self.headway + self.v * (self.v - speed) * self.slope).max(0.0);
        let ratio = wanted / gap.max(0.25 * self.gap).max(0.1);
        self.strongest = self.strongest.max(ratio * ratio);
    }

    /// A place `gap` metres ahead at which to come to a stand `short` metres before it.
    #[inline]
    pub fn stop(&mut self, gap: f32, short: f32) {
        self.see(gap + self.gap - short, 0.0);
    }

    /// Whether the driver can still stop comfortably within so many metres.
    #[inline]
    pub fn can_stop(&self, gap: f32) -> bool {
        gap > 0.0 && self.v * self.v <= 2.0 * (self.decel + 1.0) * gap
    }

    /// The acceleration of the model, m/s².
    #[inline]
    pub fn accel(&self) -> f32 {
        let a = (self.free.min(self.accel) - self.accel * self.strongest).max(-HARDEST);
        // The model only creeps up to its gap; a driver stops.
        if self.v < 0.2 && self.strongest > 0.7 { a.min(-self.v / crate::scenario::DT) } else { a }
    }
}

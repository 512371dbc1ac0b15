//! What happened in a scene: one log that rewards, scores, takeover triggers and texts read.

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum EventKind {
    /// Hit a person on foot.
    #[default]
    CollisionPedestrian,
    /// Hit a vehicle, bicycles included.
    CollisionVehicle,
    /// Hit something that never moves.
    CollisionStatic,
    /// Crossed a stop line while its light was red.
    RedLight,
    /// Passed a stop sign without standing still.
    StopSign,
    /// Kept an emergency vehicle from passing.
    YieldEmergency,
    /// A corner left the road; one event for each time it happens.
    OffRoad,
    /// Left the lanes of the route; one event for each time. The share of the way is in the scene's header.
    OffRoute,
    /// More than 30 m from the route: ends the episode.
    Deviation,
    /// Stood for too long: ends the episode.
    Blocked,
    /// The scenario's time is up: ends the episode.
    Timeout,
    /// Reached the end of the route: ends the episode.
    Complete,
    /// Time to collision fell under 1.5 s; `value` is its least value while it stayed there. No infraction.
    NearMiss,
}

impl EventKind {
    /// Whether it is a collision of ego.
    pub fn is_collision(self) -> bool {
        matches!(self, EventKind::CollisionPedestrian | EventKind::CollisionVehicle | EventKind::CollisionStatic)
    }
}

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Event {
    /// Simulator step after which it was seen.
    pub step: u32,
    /// What.
    pub kind: EventKind,
    /// Whom it happened to: an agent.
    pub agent: u16,
    /// The other agent, stop line or prop.
    pub other: u16,
    /// Where, metres.
    pub x: f32,
    /// Where, metres.
    pub y: f32,
    /// Speed of the agent in m/s, or what the kind says.
    pub value: f32,
}

/// Events kept of one scene.
pub const KEPT: usize = 32;

/// Of these, near misses take so many at most, so that what counts is not lost behind them.
const KEPT_NEAR_MISSES: u32 = 12;

/// The log of one scene: the first [`KEPT`] events, and how many there were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventLog {
    events: [Event; KEPT],
    kept: u32,
    near_misses: u32,
    count: u32,
}

impl Default for EventLog {
    fn default() -> Self {
        EventLog { events: [Event::default(); KEPT], kept: 0, near_misses: 0, count: 0 }
    }
}

impl EventLog {
    /// Appends an event; what there is no room for is only counted.
    pub fn push(&mut self, event: Event) {
        self.count += 1;
        if event.kind == EventKind::NearMiss {
            self.near_misses += 1;
            if self.near_misses > KEPT_NEAR_MISSES {
                return;
            }
        }
        if let Some(slot) = self.events.get_mut(self.kept as usize) {
            *slot = event;
            self.kept += 1;
        }
    }

    /// Lowers the value of the last event of a kind.
    pub fn lower(&mut self, kind: EventKind, value: f32) {
        let kept = self.kept as usize;
        if let Some(event) = self.events[..kept].iter_mut().rev().find(|e| e.kind == kind) {
            event.value = event.value.min(value);
        }
    }

    /// The events kept, in order.
    pub fn events(&self) -> &[Event] {
        &self.events[..self.kept as usize]
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.count as usize
    }
}

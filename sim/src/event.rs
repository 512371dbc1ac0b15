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

/// The log of one scene: the first [`KEPT`] events, and how many there were.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventLog {
    events: [Event; KEPT],
    count: u32,
}

impl Default for EventLog {
    fn default() -> Self {
        EventLog { events: [Event::default(); KEPT], count: 0 }
    }
}

impl EventLog {
    /// Appends an event; those after the first [`KEPT`] are only counted.
    pub fn push(&mut self, event: Event) {
        if let Some(slot) = self.events.get_mut(self.count as usize) {
            *slot = event;
        }
        self.count += 1;
    }

    /// Lowers the value of the last event of a kind.
    pub fn lower(&mut self, kind: EventKind, value: f32) {
        let kept = (self.count as usize).min(KEPT);
        if let Some(event) = self.events[..kept].iter_mut().rev().find(|e| e.kind == kind) {
            event.value = event.value.min(value);
        }
    }

    /// The events kept, in order.
    pub fn events(&self) -> &[Event] {
        &self.events[..(self.count as usize).min(KEPT)]
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.count as usize
    }
}

//! Forty steps of traffic around a simulated ego (spec 13.2 to 13.4).

use super::car::{Car, Lead};
use super::{IdmError, IdmTraffic, Vehicle};
use crate::Pose;
use crate::dynamics::{STATES, State, vehicle};
use crate::geometry::{OrientedBox, Point, Shape, str_order};
use crate::pose::wrap_angle;
use crate::world::{AgentType, Detection, Track};

/// Ego as the traffic sees it during one step.
struct Ego {
    pose: Pose,
    speed: f64,
    center: Point,
    shape: Shape,
}

/// What stands in a corridor.
#[derive(Clone, Copy, PartialEq)]
enum Entry {
    Car(usize),
    Ego,
}

impl IdmTraffic {
    /// The tracks at t = 0, 0.1 .. 4 s around an ego that drives through `states`: vehicles as detected at t = 0, then
    /// simulated, then everything else from the log. Vehicles first, in the order of detection.
    pub fn simulate(&self, states: &[State; STATES]) -> Result<Vec<Track>, IdmError> {
        let finite = |s: &State| s.pose().is_finite() && s.speed().is_finite();
        if !states.iter().all(finite) {
            return Err(IdmError::NotFinite { token: "ego".into(), what: "simulated state" });
        }
        let mut frames: Vec<Vec<Option<Detection>>> = self.vehicles.iter().map(|v| vec![Some(v.detection)]).collect();
        let mut cars = self.cars.clone();
        for (step, state) in (1..STATES).zip(states) {
            self.step(&mut cars, &self.ego(state), step)?;
            self.record(&cars, &mut frames);
        }
        let track = |(v, frames): (&Vehicle, Vec<Option<Detection>>)| Track {
            token: v.token.clone(),
            kind: AgentType::Vehicle,
            length: v.length,
            width: v.width,
            frames,
        };
        let vehicles = self.vehicles.iter().zip(frames).map(track);
        Ok(vehicles.chain(self.others.iter().cloned()).collect())
    }

    fn ego(&self, state: &State) -> Ego {
        let center = if self.quirks.rear_axle_box { [state.x, state.y] } else { state.center() };
        let footprint = OrientedBox { center, heading: state.heading, length: vehicle::LENGTH, width: vehicle::WIDTH };
        let shape = Shape::new(vec![footprint.corners().to_vec()]);
        Ego { pose: state.pose(), speed: state.speed(), center, shape }
    }

    fn step(&self, cars: &mut Vec<Car>, ego: &Ego, step: usize) -> Result<(), IdmError> {
        cars.retain(|car| {
            let pose = car.pose();
            (pose.x - ego.center[0]).hypot(pose.y - ego.center[1]) <= self.config.radius
        });
        // In order: later vehicles see what earlier ones claim now.
        for i in 0..cars.len() {
            let lead = self.lead(cars, i, ego, step)?;
            cars[i].advance(&lead, &self.config);
            cars[i].claim(&self.config);
        }
        Ok(())
    }

    fn token(&self, car: &Car) -> &str {
        &self.vehicles[car.vehicle].token
    }

    /// Who leads: the nearest to the claimed room among those in the corridor ahead.
    fn lead(&self, cars: &[Car], own: usize, ego: &Ego, step: usize) -> Result<Lead, IdmError> {
        let me = &cars[own];
        let corridor = me.corridor();
        let token = self.token(me);
        if !corridor.intersects(&me.claimed) {
            return Err(IdmError::OffPath { token: token.into(), step });
        }
        let shape = |entry: Entry| match entry {
            Entry::Car(j) => &cars[j].claimed,
            Entry::Ego => &ego.shape,
        };
        let name = |entry: Entry| match entry {
            Entry::Car(j) => self.token(&cars[j]),
            Entry::Ego => "ego",
        };
        let everyone = (0..cars.len()).map(Entry::Car).chain([Entry::Ego]).filter(|&e| e != Entry::Car(own));
        let mut ahead: Vec<Entry> = everyone.filter(|&e| corridor.intersects(shape(e))).collect();
        if ahead.is_empty() {
            return Ok(me.free_road());
        }
        if self.quirks.token_substrings {
            ahead.retain(|&e| !token.contains(name(e)));
        }
        let bounds: Vec<_> = ahead.iter().map(|&e| *shape(e).bounds()).collect();
        let mut nearest: Option<(f64, Entry)> = None;
        for entry in str_order(&bounds).into_iter().map(|i| ahead[i]) {
            let gap = me.claimed.rounded_distance(shape(entry));
            if nearest.is_none_or(|(least, _)| gap < least) {
                nearest = Some((gap, entry));
            }
        }
        let (gap, entry) = nearest.ok_or_else(|| IdmError::NoLeader { token: token.into(), step })?;
        let like_ego = entry == Entry::Ego || (self.quirks.token_substrings && name(entry).contains("ego"));
        let (speed, heading) = match entry {
            Entry::Car(j) if !like_ego => (cars[j].speed, cars[j].pose().heading),
            _ => (ego.speed, ego.pose.heading),
        };
        Ok(Lead { gap, speed: speed * wrap_angle(heading - me.pose().heading).cos(), rear: 0.0 })
    }

    /// Writes one frame: simulated vehicles, then those that stay where they were and are not driven through.
    fn record(&self, cars: &[Car], frames: &mut [Vec<Option<Detection>>]) {
        let mut now: Vec<Option<Detection>> = vec![None; self.vehicles.len()];
        let mut boxes: Vec<OrientedBox> = Vec::with_capacity(self.vehicles.len());
        for car in cars {
            let pose = car.pose();
            let (sin, cos) = pose.heading.sin_cos();
            now[car.vehicle] = Some([pose.x, pose.y, pose.heading, car.speed * cos, car.speed * sin]);
            boxes.push(car.footprint());
        }
        for (vehicle, slot) in self.vehicles.iter().zip(&mut now) {
            let footprint = vehicle.footprint();
            if slot.is_none() && vehicle.stays && !boxes.iter().any(|b| b.intersects(&footprint)) {
                *slot = Some(vehicle.detection);
                boxes.push(footprint);
            }
        }
        frames.iter_mut().zip(now).for_each(|(track, frame)| track.push(frame));
    }
}

//! Driving a plan of words out, from a moment of a drive, among traffic that reacts.

use scene::{MetaAction, Trajectory};
use sim::{
    Batch,
    describe::driven,
    driver::Driver,
    event::EventKind,
    moment::Drive,
    policy::{meta, tracker},
    scenario::{DT, Point},
};

/// Simulator steps that a plan is driven: 4 s.
pub const STEPS: usize = 40;
/// Metres of a line ahead.
const AHEAD: f32 = 80.0;

/// What happened on a drive from a moment on.
#[derive(Debug, Clone, PartialEq)]
pub struct Rolled {
    /// Ego at the moment and after each step: x, y, heading, speed.
    pub ego: Vec<[f32; 4]>,
    /// What was logged since.
    pub events: Vec<EventKind>,
    /// Metres gained along the route.
    pub progress: f64,
    /// Share of the way that was outside the lanes of the route.
    pub outside: f64,
    /// Poses half a second apart, seen from ego at the moment.
    pub future: Trajectory,
    /// What was driven, in words.
    pub action: MetaAction,
}

impl Rolled {
    /// Whether ego hit somebody or something.
    pub fn crashed(&self) -> bool {
        self.events.iter().any(|e| e.is_collision())
    }
}

/// The expert's drive from a moment on, whoever drove until then.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// What came of it.
    pub rolled: Rolled,
    /// What came of the drive of who drove until then, which is what a record tells.
    pub demonstrated: Rolled,
    /// The scene at the moment and after each step.
    pub seen: Vec<Batch>,
    line: Vec<Point>,
}

/// Lets the expert drive on from the moment that `drive` stands at, and who drove it until then.
pub fn record(drive: &Drive) -> Option<Recorded> {
    let mut on = drive.clone();
    if drive.driver() != Driver::Expert {
        on.hand_over(Driver::Expert);
    }
    let mut seen = vec![on.batch.fork(0, 1)];
    let rolled = drive_on(&mut on, |batch| seen.push(batch.fork(0, 1)))?;
    let demonstrated = match drive.driver() {
        Driver::Expert => rolled.clone(),
        _ => drive_on(&mut drive.clone(), |_| {})?,
    };
    // Its line, and beyond its end that of the route, as far beside it as it then is.
    let mut line: Vec<Point> = Vec::new();
    let [x, y, heading, _] = rolled.ego[0];
    let (sin, cos) = sim::math::sin_cos(heading);
    line.push([x - 3.0 * cos, y - 3.0 * sin]);
    for &[x, y, ..] in &rolled.ego {
        if line.last().is_none_or(|last| sim::road::distance(*last, [x, y]) > 0.5) {
            line.push([x, y]);
        }
    }
    let end = on.batch.scene(0);
    let (s, lat) = (end.s[0] + 2.0, end.lat[0]);
    line.extend(tracker::line_along(end.world.route()?, s, AHEAD, |_| lat));
    Some(Recorded { rolled, demonstrated, seen, line })
}

/// Drives on for the length of a plan; `see` sees the scene after each step.
fn drive_on(drive: &mut Drive, mut see: impl FnMut(&Batch)) -> Option<Rolled> {
    let before = drive.batch.fork(0, 1);
    let mut ego = vec![at(&before)];
    for _ in 0..STEPS {
        drive.decide();
        drive.step();
        ego.push(at(&drive.batch));
        see(&drive.batch);
    }
    finish(&before, &drive.batch, ego)
}

/// Drives one plan from the moment that `recorded` begins at.
///
/// A word stands for many drives, of which [`meta`] drives a plain one. Where a word is the expert's, its own line or its
/// own speeds are one of them and are driven instead: nothing is held against a word that only the plain drive does badly.
pub fn roll(recorded: &Recorded, action: MetaAction) -> Option<Rolled> {
    if action == recorded.rolled.action {
        return Some(recorded.rolled.clone());
    }
    let moment = &recorded.seen[0];
    let mut batch = moment.fork(0, 1);
    let mut offset = meta::offset(&batch.scene(0), action.path);
    let mut plan = meta::plan(&batch.scene(0), action, &mut offset)?;
    if action.path == recorded.rolled.action.path {
        plan.line.clone_from(&recorded.line);
    }
    if action.speed == recorded.rolled.action.speed {
        (plan.speed, plan.step) = (recorded.rolled.ego.iter().map(|ego| ego[3]).collect(), DT);
    }
    let mut ego = vec![at(&batch)];
    for _ in 0..STEPS {
        let action = plan.follow(&batch.scene(0));
        batch.step_scene(0, action);
        ego.push(at(&batch));
    }
    finish(moment, &batch, ego)
}

fn at(batch: &Batch) -> [f32; 4] {
    let scene = batch.scene(0);
    [scene.x[0], scene.y[0], scene.heading[0], scene.v[0]]
}

fn finish(before: &Batch, after: &Batch, ego: Vec<[f32; 4]>) -> Option<Rolled> {
    let (from, to) = (before.scene(0), after.scene(0));
    let events = to.head.log.events().iter().filter(|e| e.step > from.head.step).map(|e| e.kind).collect();
    let moved = f64::from(to.head.driven - from.head.driven);
    let outside = f64::from(to.head.outside - from.head.outside);
    let future: Vec<[f32; 3]> = ego.iter().skip(5).step_by(5).map(|p| [p[0], p[1], p[2]]).collect();
    let now = [from.x[0], from.y[0], from.heading[0]];
    let told = driven(from.world, now, from.v[0], &future).ok()?;
    Some(Rolled {
        events,
        progress: f64::from(to.s[0] - from.s[0]).max(0.0),
        outside: if moved > 0.5 { (outside / moved).clamp(0.0, 1.0) } else { 0.0 },
        future: told.future,
        action: told.action,
        ego,
    })
}

//! What comes of a plan: each of the twenty joint plans is driven out for 4 s from the moment of a frame that the
//! simulator made ([`roll`]), and scored twice, by the driving score of these seconds ([`driving`]) and by the PDM score of
//! the driven poses among the traffic that the expert met ([`scene`]). A pure function of the record.
//!
//! Numbers: `eval/LOG.md`, "What comes of plans".

pub mod driving;
pub mod moment;
pub mod restore;
pub mod roll;
pub mod scene;

pub use moment::Moment;
pub use restore::{MomentError, place, restore};

use ::scene::{MetaAction, Trajectory};
use data::Sample;
use rewards::{
    Outcome, Outcomes,
    pdm::{PdmError, Workspace},
};
use roll::{Recorded, Rolled, roll};
use sim::moment::Drive;

/// What comes of every plan from the moment of a record on.
///
/// # Errors
/// The record is not of the simulator, or of another version of it.
pub fn of_sample(sample: &Sample) -> Result<Outcomes, MomentError> {
    let (drive, recorded) = restore(sample)?;
    of_moment(&drive, &recorded).ok_or_else(|| MomentError::NoRoute(sample.id.clone()))
}

/// The same from the moment that a drive stands at, with the expert's drive from there on. `None` when ego has no route.
pub fn of_moment(drive: &Drive, recorded: &Recorded) -> Option<Outcomes> {
    let plans: Vec<MetaAction> = MetaAction::all().collect();
    let rolled: Vec<Rolled> = plans.iter().map(|&plan| roll(recorded, plan)).collect::<Option<_>>()?;
    let mut outcomes = driving::outcomes(&rolled, &recorded.rolled);
    // Without a scene that the scorer accepts there are no PDM scores.
    let pdms = scene::scene(drive, recorded).and_then(|scene| pdms(&scene, &rolled).ok());
    for (i, outcome) in outcomes.iter_mut().enumerate() {
        let said = plans[i].path;
        // A drive that is too slow to show the turn it begins is no other path.
        outcome.as_said = said == rolled[i].action.path || said == recorded.rolled.action.path;
        outcome.pdms = pdms.as_ref().and_then(|scores| scores.get(i).copied());
    }
    Some(Outcomes::new(|plan| plans.iter().position(|p| *p == plan).map_or_else(Outcome::default, |i| outcomes[i])))
}

/// PDM scores of some drives from the moment of a scene, each in `[0, 1]`: EPDMS without extended comfort ([`Moment`]).
///
/// A drive that ended in a collision has 0: the simulator's car stops at what it hits, and its poses then show none.
///
/// # Errors
/// The scorer does not accept the scene.
pub fn pdms(scene: &::scene::world::Scene, rolled: &[Rolled]) -> Result<Vec<f64>, PdmError> {
    let moment = Moment::new(scene)?;
    let plans: Vec<Trajectory> = rolled.iter().map(|rolled| moment.driven(rolled)).collect();
    let scores = moment.score(&plans, &mut Workspace::default())?;
    Ok(scores.iter().zip(rolled).map(|(score, rolled)| if rolled.crashed() { 0.0 } else { score.total }).collect())
}

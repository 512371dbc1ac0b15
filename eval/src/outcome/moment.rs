//! A moment of a record ready to score any trajectories from it, as rewards and as measurements.
//!
//! Scores are those of EPDMS without extended comfort (one frame has no frame before it), against the expert's own drive
//! from the moment on, which stands in for PDM-Closed. Poses are those of the rear axle, seen from the rear axle.

use super::{
    MomentError, restore,
    roll::{Recorded, Rolled},
    scene,
};
use ::scene::{Trajectory, world::Scene};
use data::Sample;
use rewards::pdm::{Compat, Filter, MetricCache, PdmError, Proposal, Scores, Version, Workspace, score_batch};
use sim::moment::Drive;

/// A moment.
#[derive(Debug, Clone)]
pub struct Moment {
    cache: MetricCache,
    /// What of the driving direction the expert's own drive leaves over, 1 where it is not excused.
    excused: f64,
    /// How the record's driver went on, 8 poses of the rear axle at 0.5 s.
    pub demonstrated: Trajectory,
    /// How the expert went on.
    pub expert: Trajectory,
    /// m/s, along the car.
    pub speed: f64,
    /// m/s2, along the car.
    pub acceleration: f64,
}

impl Moment {
    /// The moment of a record.
    ///
    /// # Errors
    /// The record is not of the simulator, or of another version of it; a scene that the scorer does not accept.
    pub fn of(sample: &Sample) -> Result<Moment, MomentError> {
        let (drive, recorded) = restore(sample)?;
        Moment::at(&drive, &recorded).ok_or_else(|| MomentError::NoRoute(sample.id.clone()))
    }

    /// The moment that a drive stands at; `None` without a route or with a scene that the scorer does not accept.
    pub fn at(drive: &Drive, recorded: &Recorded) -> Option<Moment> {
        let scene = scene::scene(drive, recorded)?;
        let mut moment = Moment::new(&scene).ok()?;
        moment.demonstrated = moment.driven(&recorded.demonstrated);
        Some(moment)
    }

    /// The moment of a scene whose human is its demonstrator and its expert.
    ///
    /// # Errors
    /// The scorer does not accept the scene.
    pub fn new(scene: &Scene) -> Result<Moment, PdmError> {
        // Masked progress would be 0 for everyone where the expert is excused.
        let compat = Compat { raw_progress: true, ..Compat::fixed() };
        let cache = MetricCache::new(scene, Version::V2, compat)?;
        let excused = cache.log_replay.human.map_or(1.0, |human| if human.ddc > 0.0 { human.ddc } else { 1.0 });
        let expert = Trajectory::half_second(scene.human_poses.clone().unwrap_or_default());
        let (speed, acceleration) = (scene.ego.velocity[0], scene.ego.acceleration[0]);
        Ok(Moment { cache, excused, demonstrated: expert.clone(), expert, speed, acceleration })
    }

    /// A drive from the moment on as a trajectory.
    pub fn driven(&self, rolled: &Rolled) -> Trajectory {
        let ego = self.cache.ground.ego.pose;
        let poses = rolled.ego.iter().skip(5).step_by(5).map(|e| scene::axle(e[0], e[1], e[2]).into_frame(ego));
        Trajectory::half_second(poses.collect())
    }

    /// Scores plans, each alone against the reference.
    ///
    /// What the expert does is excused: beyond the human-penalty filter, which excuses zeros, also half a point of driving
    /// direction, as where it goes around something.
    ///
    /// # Errors
    /// A plan that is not 8 finite poses.
    pub fn score(&self, plans: &[Trajectory], workspace: &mut Workspace) -> Result<Vec<Scores>, PdmError> {
        let proposals: Vec<Proposal> = plans.iter().map(Proposal::alone).collect();
        let mut scores = Vec::with_capacity(plans.len());
        score_batch(&self.cache, &self.cache.log_replay, &proposals, Filter::Human, workspace, &mut scores)?;
        for score in scores.iter_mut().filter(|score| score.ddc < 1.0) {
            let ddc = (score.ddc / self.excused).min(1.0);
            if score.ddc > 0.0 {
                let more = ddc / score.ddc;
                score.multiplicative *= more;
                score.pdm_score *= more;
                score.total *= more;
            }
            score.ddc = ddc;
        }
        Ok(scores)
    }
}

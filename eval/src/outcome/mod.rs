//! What comes of a plan: each of the twenty joint plans is driven out for 4 s from the moment of a frame that the
//! simulator made ([`roll`]), and scored twice, by the driving score of these seconds ([`driving`]) and by the PDM score of
//! the driven poses among the traffic that the expert met ([`scene`]).

pub mod driving;
pub mod roll;
pub mod scene;

use ::scene::Trajectory;
use rewards::pdm::{Compat, Filter, MetricCache, PdmError, Proposal, Scores, Version, Workspace, score_batch};
use roll::Rolled;

/// PDM scores of some drives from a moment.
///
/// # Errors
/// The moment does not make a scene that the scorer accepts.
pub fn pdms(scene: &::scene::world::Scene, rolled: &[Rolled]) -> Result<Vec<Scores>, PdmError> {
    let cache = MetricCache::new(scene, Version::V2, Compat::fixed())?;
    let poses = |rolled: &Rolled| {
        let poses = rolled.ego.iter().skip(5).step_by(5).map(|e| scene::axle(e[0], e[1], e[2]).into_frame(cache.ground.ego.pose));
        Trajectory::half_second(poses.collect())
    };
    let plans: Vec<Trajectory> = rolled.iter().map(poses).collect();
    let proposals: Vec<Proposal> = plans.iter().map(Proposal::alone).collect();
    let mut scores = Vec::new();
    score_batch(&cache, &cache.log_replay, &proposals, Filter::Human, &mut Workspace::default(), &mut scores)?;
    Ok(scores)
}

//! Scores among vehicles that react to ego: the IDM policy of two-stage evaluation (spec 13, "IDM").

use super::{Compat, Filter, MetricCache, Observation, PdmError, Traffic};
use scene::dynamics::{STATES, State};
use scene::idm::{Config, IdmError, IdmTraffic, Quirks};
use scene::world::{Scene, SceneError};

/// Why there are no reactive agents. The reference has no valid score then either.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ReactiveError {
    /// The vehicles of the scene cannot be simulated.
    #[error(transparent)]
    Idm(#[from] IdmError),
    /// The scene lacks a field.
    #[error(transparent)]
    Pdm(#[from] PdmError),
}

/// The vehicles of a scene on their lanes, ready to react to any number of simulated plans.
#[derive(Debug, Clone)]
pub struct Reactive<'a> {
    scene: &'a Scene,
    cache: &'a MetricCache,
    compat: Compat,
    idm: IdmTraffic,
    around_human: Option<Observation>,
}

impl<'a> Reactive<'a> {
    /// Puts the vehicles on their lanes; for [`Filter::Human`] also lets them react to the human, and where they
    /// cannot, no plan has a valid score. `cache` is the scene's, v2.
    pub fn new(
        scene: &'a Scene,
        cache: &'a MetricCache,
        compat: Compat,
        filter: Filter,
    ) -> Result<Reactive<'a>, ReactiveError> {
        let missing = || SceneError::Missing {
            scene: scene.name.clone(),
            field: "agents_10hz_v2",
            rule: "everything but vehicles is replayed from it",
        };
        let logged = scene.agents_10hz_v2.as_deref().ok_or_else(missing).map_err(PdmError::from)?;
        let quirks = if compat == Compat::fixed() { Quirks::fixed() } else { Quirks::reference() };
        let idm = IdmTraffic::build(scene, logged, Config::default(), quirks)?;
        let mut reactive = Reactive { scene, cache, compat, idm, around_human: None };
        if let Some(human) = cache.human_states.as_ref().filter(|_| filter == Filter::Human) {
            reactive.around_human = Some(reactive.observe(human)?);
        }
        Ok(reactive)
    }

    /// The agents around one simulated plan ([`MetricCache::simulate`]), for scoring that plan only.
    pub fn around(&self, states: &[State; STATES]) -> Result<Traffic, ReactiveError> {
        Ok(self.cache.reactive_traffic(self.observe(states)?, self.around_human.as_ref()))
    }

    fn observe(&self, states: &[State; STATES]) -> Result<Observation, ReactiveError> {
        Ok(Observation::simulated(self.scene, &self.idm.simulate(states)?, &self.compat)?)
    }
}

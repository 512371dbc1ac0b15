//! The five abilities (Bench2Drive): the share of successes among the routes that test each, and their mean.

use super::RouteScore;
use sim::scenario::Ability;

/// The word of tables.
pub fn name(ability: Ability) -> &'static str {
    match ability {
        Ability::Merging => "merging",
        Ability::Overtaking => "overtaking",
        Ability::EmergencyBrake => "emergency brake",
        Ability::GiveWay => "give way",
        Ability::TrafficSign => "traffic sign",
    }
}

/// Whether a route counts as a success of an ability; `None` when it does not test it. Traffic signs also count when the
/// first junction was passed without running a light or sign, whatever came later.
pub fn success(route: &RouteScore, ability: Ability) -> Option<bool> {
    let tests = route.abilities.contains(&ability);
    let signs = ability == Ability::TrafficSign && route.junction_passed;
    tests.then_some(route.success || signs)
}

/// Share of each ability in the order of [`Ability::ALL`], `None` where no route tests it, and the mean of those that are.
pub fn table(routes: &[RouteScore]) -> ([Option<f64>; 5], Option<f64>) {
    let share = Ability::ALL.map(|ability| {
        let results: Vec<bool> = routes.iter().filter_map(|r| success(r, ability)).collect();
        let good = results.iter().filter(|&&s| s).count();
        (!results.is_empty()).then(|| good as f64 / results.len() as f64)
    });
    let known: Vec<f64> = share.iter().flatten().copied().collect();
    let mean = (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64);
    (share, mean)
}

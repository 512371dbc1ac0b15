//! All routes of a suite: means with 95 % bootstrap intervals over routes.

use super::{RouteScore, ability, penalty};
use crate::metrics::bootstrap::{Bootstrap, Figure, means};
use serde::{Deserialize, Serialize};
use sim::scenario::Ability;

/// The figures of a drive through a suite. Shares in percent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrivingReport {
    /// Who drove.
    pub policy: String,
    /// What was driven.
    pub suite: String,
    /// Driving score.
    pub driving_score: Option<Figure>,
    /// Successes.
    pub success_rate: Option<Figure>,
    /// Route completion.
    pub completion: Option<Figure>,
    /// Percent of the traffic's speed, as published.
    pub efficiency: Option<Figure>,
    /// The same with 0 where ego never came.
    pub efficiency_all: Option<Figure>,
    /// Comfortable pieces, as published.
    pub comfort: Option<Figure>,
    /// Comfortable pieces, with the derivative of the yaw rate.
    pub comfort_fixed: Option<Figure>,
    /// Each ability.
    pub abilities: Vec<AbilityLine>,
    /// Mean of the abilities that are tested.
    pub ability_mean: Option<f64>,
    /// Counts and rates.
    pub infractions: Vec<InfractionLine>,
    /// Mean time to collision, seconds.
    pub ttc_mean: Option<Figure>,
    /// Mean over routes of the least time to collision, seconds.
    pub ttc_min: Option<Figure>,
    /// HD-Score.
    pub hd_score: Option<Figure>,
    /// Mean score of plans before completion.
    pub hd_pdms: Option<Figure>,
    /// Kilometres driven.
    pub kilometres: f64,
    /// How intervals were drawn.
    pub bootstrap: Bootstrap,
    /// Every route, worst first.
    pub routes: Vec<RouteScore>,
}

/// An ability's line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AbilityLine {
    /// Which.
    pub ability: Ability,
    /// Routes that test it.
    pub routes: usize,
    /// Successes, percent.
    pub success: Option<Figure>,
}

/// Infractions of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InfractionLine {
    /// In words.
    pub kind: String,
    /// How often.
    pub count: usize,
    /// Per kilometre.
    pub per_km: f64,
}

/// The report of routes, which are sorted worst first.
pub fn report(policy: &str, suite: &str, mut routes: Vec<RouteScore>, bootstrap: Bootstrap) -> DrivingReport {
    routes.sort_by(|a, b| a.driving_score.total_cmp(&b.driving_score).then_with(|| a.name.cmp(&b.name)));
    let share = |s: bool| Some(100.0 * f64::from(u8::from(s)));
    let percent = |v: Option<f64>| v.map(|v| 100.0 * v);
    let columns = |r: &RouteScore| -> Vec<Option<f64>> {
        let mut values = vec![
            Some(r.driving_score),
            share(r.success),
            Some(r.completion),
            r.efficiency,
            r.efficiency_all,
            percent(r.comfort),
            percent(r.comfort_fixed),
            r.ttc_mean,
            r.ttc_min,
            percent(r.hd.map(|h| h.score)),
            percent(r.hd.map(|h| h.pdms)),
        ];
        values.extend(Ability::ALL.map(|a| ability::success(r, a).and_then(share)));
        values
    };
    let rows: Vec<Vec<(f64, f64)>> =
        routes.iter().map(|r| columns(r).into_iter().map(|v| v.map_or((0.0, 0.0), |v| (v, 1.0))).collect()).collect();
    let groups: Vec<&[(f64, f64)]> = rows.iter().map(Vec::as_slice).collect();
    let figures = means(&groups, 11 + Ability::ALL.len(), bootstrap);
    let figure = |i: usize| figures.get(i).copied().flatten();
    let kilometres: f64 = routes.iter().map(|r| r.kilometres).sum();
    let abilities = Ability::ALL
        .into_iter()
        .enumerate()
        .map(|(i, ability)| AbilityLine {
            ability,
            routes: routes.iter().filter(|r| r.abilities.contains(&ability)).count(),
            success: figure(11 + i),
        })
        .collect();
    let infractions = penalty::TABLE
        .iter()
        .map(|&kind| {
            let name = penalty::name(kind);
            let count = routes.iter().flat_map(|r| &r.infractions).filter(|i| i.kind == name).count();
            InfractionLine { kind: name.into(), count, per_km: count as f64 / kilometres.max(1e-9) }
        })
        .collect();
    DrivingReport {
        policy: policy.into(),
        suite: suite.into(),
        driving_score: figure(0),
        success_rate: figure(1),
        completion: figure(2),
        efficiency: figure(3),
        efficiency_all: figure(4),
        comfort: figure(5),
        comfort_fixed: figure(6),
        ttc_mean: figure(7),
        ttc_min: figure(8),
        hd_score: figure(9),
        hd_pdms: figure(10),
        ability_mean: percent(ability::table(&routes).1),
        abilities,
        infractions,
        kilometres,
        bootstrap,
        routes,
    }
}

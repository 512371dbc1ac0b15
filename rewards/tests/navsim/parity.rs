//! The comparisons.

use super::fixture::*;
use rewards::pdm::*;
use scene::dynamics::{Knots, Quirks, STATES, State, Tracker, targets};
use scene::world::Scene;
use std::{collections::HashMap, io::Write};

const SCORE: f64 = 1e-9;
const STATE: f64 = 1e-8;

/// Deviations found so far.
#[derive(Default)]
struct Report {
    lines: Vec<String>,
    compared: usize,
    worst: HashMap<&'static str, f64>,
}

impl Report {
    fn close(&mut self, place: &str, what: &'static str, ours: f64, theirs: f64, tolerance: f64) {
        self.compared += 1;
        let off = if ours == theirs { 0.0 } else { (ours - theirs).abs() };
        let worst = self.worst.entry(what).or_insert(0.0);
        *worst = worst.max(off);
        if off.is_nan() || off > tolerance {
            self.lines.push(format!("{place}: {what} is {ours}, expected {theirs} (off by {off:e})"));
        }
    }

    fn same<T: PartialEq + std::fmt::Debug>(&mut self, place: &str, what: &'static str, ours: T, theirs: T) {
        self.compared += 1;
        if ours != theirs {
            self.lines.push(format!("{place}: {what} is {ours:?}, expected {theirs:?}"));
        }
    }

    fn states(&mut self, place: &str, what: &'static str, ours: &[State; STATES], theirs: &Rows11) {
        self.same(place, "number of states", ours.len(), theirs.len());
        for (t, (a, b)) in ours.iter().zip(theirs).enumerate() {
            for (i, (x, y)) in <[f64; 11]>::from(*a).into_iter().zip(*b).enumerate() {
                // Headings are compared on the circle.
                let x = if i == 2 { y + scene::pose::wrap_angle(x - y) } else { x };
                self.close(&format!("{place} state {t} value {i}"), what, x, y, STATE);
            }
        }
    }

    fn finish(self, least: usize) {
        let mut worst: Vec<_> = self.worst.into_iter().collect();
        worst.sort_by(|a, b| b.1.total_cmp(&a.1));
        println!("{} comparisons; largest deviations: {worst:?}", self.compared);
        assert!(self.compared >= least, "only {} comparisons: is the fixture empty?", self.compared);
        let shown = self.lines.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
        assert!(self.lines.is_empty(), "{} deviations, the first ones:\n{shown}", self.lines.len());
    }
}

fn cache(scene: &Scene, version: Version) -> MetricCache {
    MetricCache::new(scene, version, Compat::reference()).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn simulated_states_profiles_and_targets() {
    let mut r = Report::default();
    for case in cases() {
        let scene = &case.scene;
        let (v1, v2) = (cache(scene, Version::V1), cache(scene, Version::V2));
        r.states(
            &scene.name,
            "reference states v2",
            &v2.reference_states,
            case.expected.reference_v2.sim.as_ref().unwrap(),
        );
        if let Some(sim) = &case.expected.reference_v1.sim {
            r.states(&scene.name, "reference states v1", &v1.reference_states, sim);
        }
        r.states(&scene.name, "human states", &v2.human_states.unwrap(), &case.expected.human_sim);
        for (i, (p, e)) in case.proposals.iter().zip(&case.expected.proposals).enumerate() {
            let place = format!("{} proposal {i} ({})", scene.name, p.kind);
            r.states(&place, "states", &v2.simulate(&p.plan()).unwrap(), &e.sim);
            let (mut knots, quirks) = (Knots::default(), Quirks::default());
            knots.fill_from_plan(&scene.ego, &p.plan(), quirks);
            let target = targets(&knots, scene.ego.time_us, quirks);
            for (a, b) in target.iter().zip(e.target.iter().flatten()) {
                r.close(&place, "target x", a.x, b[0], STATE);
                r.close(&place, "target y", a.y, b[1], STATE);
                r.close(&place, "target heading", scene::pose::wrap_angle(a.heading - b[2]), 0.0, STATE);
            }
            let (speeds, curvatures) = Tracker::default().profiles(&target);
            for (a, b) in speeds.iter().zip(e.velocity_profile.iter().flatten()) {
                r.close(&place, "velocity profile", *a, *b, STATE);
            }
            for (a, b) in curvatures.iter().zip(e.curvature_profile.iter().flatten()) {
                r.close(&place, "curvature profile", *a, *b, STATE);
            }
        }
    }
    r.finish(100);
}

fn bits(mask: u64) -> String {
    (0..STATES).map(|t| if mask >> t & 1 == 1 { '1' } else { '0' }).collect()
}

fn compare_v2(r: &mut Report, place: &str, s: &Scores, e: &ScoresV2) {
    for (what, ours, theirs) in [
        ("nc", s.nc, e.nc),
        ("dac", s.dac, e.dac),
        ("ddc", s.ddc, e.ddc),
        ("tlc", s.tlc, e.tlc),
        ("ttc", s.ttc, e.ttc),
        ("lk", s.lk, e.lk),
        ("hc", s.comfort, e.hc),
        ("multiplicative", s.multiplicative, e.multiplicative),
    ] {
        r.same(place, what, ours, theirs);
    }
    r.close(place, "ep", s.ep, e.ep, SCORE);
    r.close(place, "pdm_score", s.pdm_score, e.pdm_score, SCORE);
}

#[test]
fn epdms_sub_scores_areas_filter_and_extended_comfort() {
    let mut r = Report::default();
    let mut workspace = Workspace::default();
    for case in cases() {
        let scene = &case.scene;
        let cache = cache(scene, Version::V2);
        reference(&mut r, scene, &cache.log_replay.reference, &case.expected.reference_v2);
        reference(&mut r, scene, &cache.log_replay.human.unwrap(), &case.expected.human_scores_v2);
        for (i, (p, e)) in case.proposals.iter().zip(&case.expected.proposals).enumerate() {
            let place = format!("{} proposal {i} ({})", scene.name, p.kind);
            if !e.v2.fragile.is_empty() {
                writeln!(std::io::stderr(), "NOT TESTED: {place} is fragile: {:?}", e.v2.fragile).unwrap();
                continue;
            }
            let plan = p.plan();
            let states = cache.simulate(&plan).unwrap();
            let previous = cache.previous(case.previous_ego(), &p.previous_plan()).unwrap();
            for (a, (b, c)) in
                e.prev_sim_heading_ax_ay.iter().zip(previous.ride().heading.iter().zip(previous.ride().acceleration))
            {
                r.close(&place, "previous heading", scene::pose::wrap_angle(a[0] - b), 0.0, STATE);
                r.close(&place, "previous acceleration", a[1].hypot(a[2]), c, STATE);
            }
            let proposal = Proposal { plan: &plan, previous: Some(&previous) };
            for (filter, scores, epdms) in [
                (Filter::Off, &e.v2.scores, e.v2.epdms),
                (Filter::Human, &e.v2.scores_human_filtered, e.v2.epdms_human_filtered),
            ] {
                let s = score_one(&cache, &cache.log_replay, proposal, filter, &mut workspace).unwrap();
                compare_v2(&mut r, &format!("{place}, filter {filter:?}"), &s, scores);
                r.close(&place, "epdms", s.total, epdms, SCORE);
                r.same(&place, "ec", s.ec, Some(e.v2.ec));
                r.close(&place, "progress", s.raw.progress, e.v2.progress_raw, STATE);
                r.same(&place, "first at-fault step", s.raw.first_at_fault, e.v2.first_at_fault_step);
                r.same(&place, "first ttc step", s.raw.first_ttc, e.v2.first_ttc_step);
                let official = score_official(&cache, &cache.log_replay, proposal, filter, &mut workspace).unwrap();
                r.same(&place, "official call", official, s);
            }
            let ec = cache.extended_comfort(&states, &previous);
            let EcRms { acceleration, jerk, yaw_rate, yaw_accel } = e.v2.ec_rms;
            for (a, b) in ec.rms.into_iter().zip([acceleration, jerk, yaw_rate, yaw_accel]) {
                r.close(&place, "ec rms", a, b, STATE);
            }
            let areas = ego_areas(&cache.ground, &states, &mut workspace);
            r.same(&place, "multiple lanes", bits(areas.multiple_lanes), e.v2.multiple_lanes.clone());
            r.same(&place, "non drivable", bits(areas.non_drivable), e.v2.non_drivable.clone());
            r.same(&place, "oncoming", bits(areas.oncoming), e.v2.oncoming.clone());
            let flags = comfort_flags(&cache.ground, Version::V2, &states, &mut workspace);
            r.same(&place, "comfort flags", flags, e.v2.history_comfort_flags);
            r.same(
                &place,
                "comfort samples",
                comfort_samples(&cache.ground, Version::V2),
                e.v2.history_comfort_samples,
            );
        }
    }
    r.finish(100);
}

fn reference(r: &mut Report, scene: &Scene, s: &RawScores, e: &Reference) {
    let place = &format!("{} reference or human", scene.name);
    r.same(place, "nc", s.nc, e.nc);
    r.same(place, "dac", s.dac, e.dac);
    r.same(place, "ddc", s.ddc, e.ddc);
    r.same(place, "ttc", s.ttc, e.ttc);
    r.same(place, "tlc", s.tlc, e.tlc.unwrap_or(1.0));
    r.same(place, "lk", s.lk, e.lk.unwrap_or(1.0));
    r.same(place, "comfort", Some(s.comfort), e.hc.or(e.comfort));
    r.close(place, "progress", s.progress, e.progress_raw, STATE);
}

#[test]
fn pdms_v1() {
    let mut r = Report::default();
    let mut workspace = Workspace::default();
    for case in cases() {
        let scene = &case.scene;
        let cache = cache(scene, Version::V1);
        reference(&mut r, scene, &cache.log_replay.reference, &case.expected.reference_v1);
        for (i, (p, e)) in case.proposals.iter().zip(&case.expected.proposals).enumerate() {
            let place = format!("{} proposal {i} ({}) v1", scene.name, p.kind);
            if !e.v1.fragile.is_empty() {
                writeln!(std::io::stderr(), "NOT TESTED: {place} is fragile: {:?}", e.v1.fragile).unwrap();
                continue;
            }
            let plan = p.plan();
            let s = score_one(&cache, &cache.log_replay, Proposal::alone(&plan), Filter::Off, &mut workspace).unwrap();
            for (what, ours, theirs) in [
                ("nc", s.nc, e.v1.scores.nc),
                ("dac", s.dac, e.v1.scores.dac),
                ("ddc", s.ddc, e.v1.scores.ddc),
                ("ttc", s.ttc, e.v1.scores.ttc),
                ("comfort", s.comfort, e.v1.scores.comfort),
            ] {
                r.same(&place, what, ours, theirs);
            }
            r.close(&place, "ep", s.ep, e.v1.scores.ep, SCORE);
            r.close(&place, "pdms", s.total, e.v1.scores.pdms, SCORE);
            r.close(&place, "progress", s.raw.progress, e.v1.progress_raw, STATE);
            r.same(&place, "first at-fault step", s.raw.first_at_fault, e.v1.first_at_fault_step);
            r.same(&place, "first ttc step", s.raw.first_ttc, e.v1.first_ttc_step);
            let states = cache.simulate(&plan).unwrap();
            let flags = comfort_flags(&cache.ground, Version::V1, &states, &mut workspace);
            r.same(&place, "comfort flags", flags, e.v1.comfort_flags);
        }
    }
    r.finish(100);
}

#[test]
fn constant_velocity_traffic() {
    let mut r = Report::default();
    let mut workspace = Workspace::default();
    for case in cases() {
        let scene = &case.scene;
        let cache = cache(scene, Version::V2);
        let traffic = cache.traffic(Observation::constant_velocity(scene, &Compat::reference()).unwrap());
        for (i, (p, e)) in case.proposals.iter().zip(&case.expected.proposals).enumerate() {
            let Some(expected) = &e.v2_constant_velocity else { continue };
            let plan = p.plan();
            let s = score_one(&cache, &traffic, Proposal::alone(&plan), Filter::Off, &mut workspace).unwrap();
            compare_v2(&mut r, &format!("{} proposal {i} ({}) constant velocity", scene.name, p.kind), &s, expected);
        }
    }
    r.finish(1);
}

/// The agents of the reference's IDM simulation, where the fixture has them, give its IDM scores.
#[test]
fn scores_among_simulated_agents() {
    let mut r = Report::default();
    let mut workspace = Workspace::default();
    for case in cases() {
        let cache = cache(&case.scene, Version::V2);
        for (i, (p, e)) in case.proposals.iter().zip(&case.expected.proposals).enumerate() {
            let (Some(expected), Some(vehicles)) = (&e.v2_idm, &e.v2_idm_agents) else { continue };
            let logged = case.scene.agents_10hz_v2.iter().flatten();
            let others = logged.filter(|t| t.kind != scene::world::AgentType::Vehicle).cloned().map(|mut track| {
                let raw = case.scene.agents_2hz.iter().find(|a| a.token == track.token);
                if raw.is_some_and(|a| a.frames[0].is_none()) {
                    track.frames[0] = None;
                }
                track
            });
            let tracks: Vec<_> = vehicles.iter().cloned().chain(others).collect();
            let observation = Observation::simulated(&case.scene, &tracks, &Compat::reference()).unwrap();
            let traffic = cache.reactive_traffic(observation, None);
            let plan = p.plan();
            let s = score_one(&cache, &traffic, Proposal::alone(&plan), Filter::Off, &mut workspace).unwrap();
            compare_v2(&mut r, &format!("{} proposal {i} ({}) idm", case.scene.name, p.kind), &s, expected);
        }
    }
    r.finish(0);
}

#[test]
fn two_stages() {
    let mut r = Report::default();
    let scenes: HashMap<String, Case> = cases().into_iter().map(|c| (c.scene.name.clone(), c)).collect();
    let filters = EcFilters::new(&Compat::reference());
    let all: Vec<TwoStageCase> = read("two_stage");
    if all.is_empty() && std::env::var_os("REINSMAN_NAVSIM_FIXTURES").is_some() {
        // Straight to the terminal: what a passing test prints is hidden.
        return writeln!(std::io::stderr(), "NOT TESTED: no two-stage cases in {}", folder().display()).unwrap();
    }
    for (number, case) in all.into_iter().enumerate() {
        let frames = case.rows.iter().map(|row| (row.token.clone(), frame(row, &scenes))).collect();
        let out = two_stage(&case.mapping, &frames, &filters).unwrap();
        for row in &out.rows {
            let e = &case.expected.rows[&row.token];
            let place = format!("two-stage case {number} token {}", row.token);
            r.close(&place, "weight", row.weight, e.weight, SCORE);
            r.same(&place, "ec", row.ec, Some(e.ec));
            r.close(&place, "score", row.score, e.score, SCORE);
        }
        r.same("two-stage", "tokens", out.rows.len(), case.expected.rows.len());
        for (what, ours, theirs) in [
            ("combined", out.combined, case.expected.combined),
            ("stage one", out.stage_one, case.expected.stage_one),
            ("stage two", out.stage_two, case.expected.stage_two),
        ] {
            let columns = |a: Averages| serde_json::to_value(a).unwrap().as_object().unwrap().clone();
            for ((name, a), (_, b)) in columns(ours).iter().zip(columns(theirs).iter()) {
                let place = format!("two-stage case {number} {name}");
                r.close(&place, what, a.as_f64().unwrap(), b.as_f64().unwrap(), SCORE);
            }
        }
    }
    r.finish(10);
}

fn frame(row: &TwoStageRow, scenes: &HashMap<String, Case>) -> Frame {
    let expected = &scenes[&row.scene].expected.proposals[row.proposal];
    let states: [[f64; 3]; STATES] = match row.states.as_str() {
        "sim" => std::array::from_fn(|t| [expected.sim[t][2], expected.sim[t][5], expected.sim[t][6]]),
        _ => std::array::from_fn(|t| expected.prev_sim_heading_ax_ay[t]),
    };
    let of = |name: &str| row.scores[name];
    let raw = RawScores {
        nc: of("no_at_fault_collisions"),
        dac: of("drivable_area_compliance"),
        ddc: of("driving_direction_compliance"),
        tlc: of("traffic_light_compliance"),
        ttc: of("time_to_collision_within_bound"),
        lk: of("lane_keeping"),
        comfort: of("history_comfort"),
        progress: 0.0,
        first_at_fault: None,
        first_ttc: None,
    };
    let combined = aggregate::combine(Version::V2, &Compat::reference(), &raw, 0.0, None, None);
    Frame {
        start_time: row.start_time,
        endpoint: row.endpoint,
        start_point: row.start_point,
        scores: Scores { ep: of("ego_progress"), ..combined },
        ride: (&states).into(),
    }
}

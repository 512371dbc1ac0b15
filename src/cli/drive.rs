//! `reinsman drive`: a policy through the routes of a suite in the simulator, its driving score beside those of the expert
//! and of driving on blindly, and a page that replays every route.

use super::{Shared, parse, print, print_json};
use crate::{
    device::Choice,
    error::{Failure, Kind, Result, io_at},
    files::{RealFs, write_atomic},
    generate::{Look, camera},
    picture::{contact_sheet, save_png},
    policy::{
        Decoding, Planner, TrajectoryPlanner,
        branch_driver::BranchDriver,
        drive::{Asking, VlmDriver},
        planner::{Options, Quant},
        trajectory::{self, Named},
    },
    settings::nearest::nearest,
    train::progress::Progress,
};
use ::eval::{
    driving::{self, DrivingReport, RouteScore, Suite, replay::replay},
    metrics::bootstrap::{Bootstrap, Figure},
    report::{Shown, driving_page},
};
use image::{ExtendedColorType, ImageEncoder, RgbImage, codecs::png::PngEncoder};
use serde_json::{Value, json};
use sim::{
    Batch, World,
    drive::{self as simulator, Episode},
    expert::RuleExpert,
    families, import,
    policy::{ConstantSpeed, IdmOnly, Policy},
    render::{Camera, Frame, Stage},
    scenario::Scenario,
    view,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

const EXAMPLES: &str = "Examples:
  reinsman drive                                          # the embedded planner, three routes
  reinsman drive --suite validation --policy expert       # the rule expert, 80 routes
  reinsman drive --suite validation --policy vlm --model runs/a --json
  reinsman drive --policy pair --branches runs/pair       # trajectory branches (il: the head)
  reinsman drive --suite cut_in --policy idm              # one scenario family
  reinsman drive --suite scene.xml --policy expert        # a CommonRoad or OpenDRIVE scene";

/// Seeds of one family.
const VALIDATION: std::ops::Range<u64> = 2000..2005;

/// Who drives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Who {
    /// A vision-language planner, asked twice a second
    Vlm,
    /// The imitation head of trajectory branches
    Il,
    /// Trajectory branches: imitation head, tree and selector
    Pair,
    /// The rule expert, which knows the whole scene
    Expert,
    /// Follows its route behind the car ahead (intelligent driver model)
    Idm,
    /// Follows its route at the speed it starts with
    Constant,
}

/// What can be typed after `drive`.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Suite (tiny, train, validation, test, occlusion), scenario family, suite file or scene file
    #[arg(long, value_name = "SUITE", default_value = "tiny")]
    pub suite: String,
    /// Who drives
    #[arg(long, value_enum, default_value = "vlm")]
    pub policy: Who,
    /// Model folder, run folder or name on the hub (default: the embedded planner)
    #[arg(long, value_name = "PATH")]
    pub model: Option<PathBuf>,
    /// Trajectory branches of il and pair: a run folder of `reinsman pair` or `il` (default: those of --model)
    #[arg(long, value_name = "DIR")]
    pub branches: Option<PathBuf>,
    /// Take the imitation head from another run folder; tree and selector stay as they are
    #[arg(long, value_name = "DIR")]
    pub il: Option<PathBuf>,
    /// Quantize frozen weights while loading: none, q4_k, q6_k or q8_0 (default: as an adapter was trained)
    #[arg(long, value_name = "KIND", value_parser = parse::quant)]
    pub quant: Option<Quant>,
    /// Where to compute: auto, cpu, cuda or cuda:N; auto takes the first GPU that this binary can use
    #[arg(long, value_name = "DEVICE", default_value = "auto", value_parser = parse::device)]
    pub device: Choice,
    /// Camera of the planner: tiny, mid, vlm, or WIDTHxHEIGHT@DEGREES
    #[arg(long, value_name = "CAMERA", default_value = "288x128@75")]
    pub camera: String,
    /// How the world looks
    #[arg(long, value_enum, default_value = "both")]
    pub look: Look,
    /// Plan without reasoning first (faster)
    #[arg(long)]
    pub no_think: bool,
    /// Answers or trajectories made at the same time
    #[arg(long, value_name = "N", default_value = "16", value_parser = parse::positive)]
    pub batch_size: usize,
    /// Only the first N routes
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub limit: Option<usize>,
    /// Replays in the page that also show the front camera, worst routes first
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub worst: usize,
    /// Do not drive the expert and constant speed beside
    #[arg(long)]
    pub alone: bool,
    /// Result folder (default: out/drive/<policy>-<suite>)
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Exit 1 when a figure is lower, such as driving_score=60; may be given several times
    #[arg(long, value_name = "METRIC=VALUE", value_parser = parse::threshold)]
    pub fail_under: Vec<(String, f64)>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb.
///
/// # Errors
/// Missed thresholds exit 1, unknown suites and flags 2, unwritable results 3, device trouble 4.
pub fn run(args: &Args, shared: &Shared) -> Result<()> {
    let camera = camera(&args.camera)?;
    let (name, mut scenarios) = scenarios(&args.suite)?;
    if scenarios.is_empty() {
        return Err(
            Failure::data(format!("{} holds no route", args.suite)).hint("each [[routes]] has a family and its seeds")
        );
    }
    scenarios.truncate(args.limit.unwrap_or(usize::MAX));
    let worlds: Vec<Arc<World>> = scenarios.into_iter().map(|scenario| Arc::new(World::new(scenario))).collect();
    let mut progress = Progress::new(shared.quiet);
    let mut film = Film::new(camera, args.look, &worlds);
    let (episodes, said) = drive(args, shared, camera, &worlds, &mut film, &mut progress)?;
    let report = score(&label(args), &name, &episodes);
    let mut beside = Vec::new();
    for (who, label, policy) in baselines(args) {
        progress.line(true, || format!("{label}: {} routes", worlds.len()));
        let mut policy = policy;
        let driven = simulator::drive(worlds.clone(), &mut *policy, quick(), |_, _| {});
        beside.push((who, score(label, &name, &driven)));
    }
    progress.finish();
    let out = args.out.clone().unwrap_or_else(|| format!("out/drive/{}-{name}", word(args.policy)).into());
    std::fs::create_dir_all(&out).map_err(io_at(&out))?;
    let value = output(&report, &beside, said);
    let text = serde_json::to_vec_pretty(&value).map_err(|e| Failure::data(format!("the result: {e}")))?;
    write_atomic(&RealFs, &out.join("result.json"), &text)?;
    save_png(&out.join("sheet.png"), &film.sheet(&episodes))?;
    let shown = film.shown(&report, &episodes, args.worst)?;
    let page = driving_page(&report, &shown).map_err(|e| Failure::data(format!("the page: {e}")))?;
    let page_path = out.join("index.html");
    write_atomic(&RealFs, &page_path, page.as_bytes())?;
    if args.json {
        print_json(&value)?;
    } else {
        print(&table(&report, &beside, said, &page_path.display().to_string()))?;
    }
    judge(args, &report)
}

fn word(who: Who) -> &'static str {
    match who {
        Who::Vlm => "vlm",
        Who::Il => "il",
        Who::Pair => "pair",
        Who::Expert => "expert",
        Who::Idm => "idm",
        Who::Constant => "constant",
    }
}

fn label(args: &Args) -> String {
    let of = |who: &str| {
        let from = args.branches.as_ref().or(args.model.as_ref());
        let from = from.map_or_else(String::new, |dir| format!(" {}", dir.display()));
        let other = args.il.as_ref().map_or_else(String::new, |dir| format!(", IL {}", dir.display()));
        format!("{who}{from}{other}")
    };
    match (&args.model, args.policy) {
        (Some(model), Who::Vlm) => model.display().to_string(),
        (None, Who::Vlm) => "embedded planner".into(),
        (_, Who::Il) => of("IL"),
        (_, Who::Pair) => of("PaIR"),
        (_, Who::Expert) => "rule expert".into(),
        (_, Who::Idm) => "IDM".into(),
        (_, Who::Constant) => "constant speed".into(),
    }
}

/// The scenarios of a suite by name or from a file, of one family (its validation seeds), or of one scene file.
fn scenarios(text: &str) -> Result<(String, Vec<Scenario>)> {
    if let Ok(suite) = Suite::named(text) {
        return Ok((text.into(), suite.scenarios()));
    }
    if let Some(family) = families::find(text) {
        return Ok((text.into(), VALIDATION.map(family.make).collect()));
    }
    let path = Path::new(text);
    let name = path.file_stem().map_or_else(|| "scene".into(), |s| s.to_string_lossy().into_owned());
    if path.extension().is_some_and(|e| e == "toml") {
        let content = std::fs::read_to_string(path).map_err(io_at(path))?;
        let suite = Suite::parse(&content)
            .map_err(|e| Failure::data(format!("{text}: {e}")).hint("each [[routes]] has a family and its seeds"))?;
        return Ok((name, suite.scenarios()));
    }
    if path.extension().is_some() {
        let options = import::Options { reactive: true };
        let scenario = import::read(path, &options).map_err(|e| {
            let said = e.to_string();
            let said = if said.contains(text) { said } else { format!("{text}: {said}") };
            Failure::data(said)
                .hint("scenes are .json (ours, GPUDrive), .xml (CommonRoad) or .xodr (OpenDRIVE); suites are .toml")
        })?;
        return Ok((name, vec![scenario]));
    }
    let known = || Suite::names().chain(families::ALL.iter().map(|f| f.name));
    let hint = match nearest(text, known()) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("known are {}, scenario families, and files", Suite::names().collect::<Vec<_>>().join(", ")),
    };
    Err(Failure::usage(format!("no suite and no scenario family is called {text:?}")).hint(hint))
}

type Baseline = (&'static str, &'static str, Box<dyn Policy>);

/// Who else drives: the best and the worst that one can expect.
fn baselines(args: &Args) -> Vec<Baseline> {
    let all: [Baseline; 2] = [
        ("expert", "rule expert", Box::<RuleExpert>::default()),
        ("constant", "constant speed", Box::new(ConstantSpeed)),
    ];
    if args.alone { Vec::new() } else { all.into_iter().filter(|(who, ..)| *who != word(args.policy)).collect() }
}

fn quick() -> simulator::Options {
    simulator::Options { record: false, ..simulator::Options::default() }
}

/// What is known of a driver's plans.
#[derive(Debug, Clone, Copy)]
enum Said {
    /// Nothing.
    Nothing,
    /// Questions asked and answers that could not be read.
    Answers { asked: usize, unread: usize },
    /// Trajectories planned, and those of them that left the reference.
    Plans { made: usize, left: usize },
}

fn drive(
    args: &Args,
    shared: &Shared,
    camera: Camera,
    worlds: &[Arc<World>],
    film: &mut Film,
    progress: &mut Progress,
) -> Result<(Vec<Episode>, Said)> {
    let who = label(args);
    let mut watch = |batch: &Batch, _: &[sim::Action]| {
        film.note(batch);
        let running = || (0..batch.len()).filter(|&i| !batch.scene(i).head.done);
        let time = running().next().map_or(0.0, |i| batch.scene(i).time());
        progress.line(false, || format!("{who}: {} of {} routes at {time:.1} s", running().count(), batch.len()));
    };
    let options = simulator::Options::default();
    let simple: Option<Box<dyn Policy>> = match args.policy {
        Who::Expert => Some(Box::<RuleExpert>::default()),
        Who::Idm => Some(Box::new(IdmOnly)),
        Who::Constant => Some(Box::new(ConstantSpeed)),
        Who::Vlm | Who::Il | Who::Pair => None,
    };
    if let Some(mut policy) = simple {
        return Ok((simulator::drive(worlds.to_vec(), &mut *policy, options, watch), Said::Nothing));
    }
    let (source, named) = trajectory::find(args.model.as_deref(), args.branches.as_deref(), args.il.as_deref())?;
    let named = if args.policy == Who::Vlm { None } else { Some(branches(args, named)?) };
    let mut load = Options::on(args.device)?;
    load.note = shared.note();
    load.quant = args.quant.unwrap_or_default();
    let planner = Planner::load(&source, &load)?;
    if let Some(named) = named {
        let branches = TrajectoryPlanner::new(&planner, named)?;
        let mut driver = BranchDriver::new(&branches, camera, args.look, args.batch_size);
        let episodes = simulator::drive(worlds.to_vec(), &mut driver, options, &mut watch);
        driver.finish()?;
        return Ok((episodes, Said::Plans { made: driver.made, left: driver.left }));
    }
    let asking = Asking {
        camera,
        look: args.look,
        think: !args.no_think,
        decoding: Decoding::greedy(96),
        batch: args.batch_size,
    };
    let mut driver = VlmDriver::new(&planner, asking);
    let episodes = simulator::drive(worlds.to_vec(), &mut driver, options, &mut watch);
    driver.finish()?;
    Ok((episodes, Said::Answers { asked: driver.asked, unread: driver.unread }))
}

/// The branches that drive: with `il` the imitation head alone.
fn branches(args: &Args, named: Option<Named>) -> Result<Named> {
    let who = word(args.policy);
    let Some(mut named) = named else {
        return Err(Failure::usage(format!("--policy {who} drives with trajectory branches, and there are none"))
            .hint("give --branches DIR: a run folder of `reinsman pair` or `reinsman il`"));
    };
    if args.policy == Who::Il {
        (named.branches.tree, named.branches.selector) = (None, None);
    } else if named.branches.tree.is_none() || named.branches.selector.is_none() {
        return Err(Failure::usage(
            "--policy pair needs a tree and a selector, and these branches are an imitation head",
        )
        .hint("give --branches DIR: a run folder of `reinsman pair`, or drive with --policy il"));
    }
    Ok(named)
}

fn score(who: &str, suite: &str, episodes: &[Episode]) -> DrivingReport {
    let routes: Vec<RouteScore> = episodes.iter().map(driving::route).collect();
    driving::report(who, suite, routes, Bootstrap::default())
}

/// Front-camera frames of every route, once a second, compressed.
struct Film {
    camera: Camera,
    look: Look,
    stages: Vec<Stage>,
    frames: Vec<Vec<(f64, Vec<u8>)>>,
    buffer: Frame,
}

/// Simulator steps between frames of the film.
const FILMED: u32 = 10;
/// Seconds at which the sheet looks.
const SHOWN: f64 = 3.0;

impl Film {
    fn new(camera: Camera, look: Look, worlds: &[Arc<World>]) -> Film {
        let stages = worlds.iter().map(|w| Stage::new(&w.scenario.map)).collect();
        Film { camera, look, stages, frames: vec![Vec::new(); worlds.len()], buffer: Frame::new(false) }
    }

    fn note(&mut self, batch: &Batch) {
        for i in 0..batch.len() {
            let scene = batch.scene(i);
            if scene.head.done || !scene.head.step.is_multiple_of(FILMED) {
                continue;
            }
            let style = self.look.style(scene.world.scenario.seed).steady();
            view::look(&scene, 0, &self.stages[i], &self.camera, &style, &mut Vec::new(), &mut self.buffer);
            let (width, height) = (self.buffer.width as u32, self.buffer.height as u32);
            let mut png = Vec::new();
            let written =
                PngEncoder::new(&mut png).write_image(&self.buffer.rgb, width, height, ExtendedColorType::Rgb8);
            if written.is_ok() {
                self.frames[i].push((f64::from(scene.time()), png));
            }
        }
    }

    /// One frame of the first route of each family.
    fn sheet(&self, episodes: &[Episode]) -> RgbImage {
        let mut families: Vec<&str> = Vec::new();
        let mut frames: Vec<(RgbImage, &str)> = Vec::new();
        for (episode, film) in episodes.iter().zip(&self.frames) {
            let family = episode.world.scenario.family.as_str();
            let shown = film.iter().find(|(time, _)| *time >= SHOWN).or(film.last());
            let decoded = shown.and_then(|(_, png)| image::load_from_memory(png).ok());
            if let (false, Some(picture)) = (families.contains(&family), decoded) {
                families.push(family);
                frames.push((picture.to_rgb8(), family));
            }
        }
        let cells: Vec<(&RgbImage, &str)> = frames.iter().map(|(picture, family)| (picture, *family)).collect();
        contact_sheet(&cells, 4, 288)
    }

    /// Replays of all routes, the worst with their frames.
    fn shown(mut self, report: &DrivingReport, episodes: &[Episode], worst: usize) -> Result<Vec<Shown>> {
        let name = |e: &Episode| e.world.scenario.name.clone();
        let filmed: Vec<&str> = report.routes.iter().take(worst).map(|r| r.name.as_str()).collect();
        let show = |(i, episode): (usize, &Episode)| {
            let wanted = filmed.contains(&name(episode).as_str());
            let camera = if wanted { std::mem::take(&mut self.frames[i]) } else { Vec::new() };
            Shown { replay: replay(episode), camera }
        };
        Ok(episodes.iter().enumerate().map(show).collect())
    }
}

fn output(report: &DrivingReport, beside: &[(&str, DrivingReport)], said: Said) -> Value {
    let mut value = json!(report);
    if let Some(map) = value.as_object_mut() {
        for (who, other) in beside {
            map.insert(
                (*who).into(),
                json!({ "driving_score": other.driving_score, "success_rate": other.success_rate }),
            );
        }
        match said {
            Said::Nothing => None,
            Said::Answers { asked, unread } => {
                map.insert("answers".into(), json!({ "asked": asked, "unread": unread }))
            }
            Said::Plans { made, left } => {
                map.insert("trajectories".into(), json!({ "planned": made, "left_the_reference": left }))
            }
        };
    }
    value
}

/// What is printed.
fn table(report: &DrivingReport, beside: &[(&str, DrivingReport)], said: Said, page: &str) -> String {
    // One route has no interval.
    let several = report.routes.len() > 1;
    let figure = |f: Option<Figure>| match f {
        Some(f) if several => format!("{:.1} ±{:.1}", f.value, f.half_width()),
        Some(f) => format!("{:.1}", f.value),
        None => "-".into(),
    };
    let row = |cells: [&str; 6]| {
        let [who, score, success, completion, efficiency, comfort] = cells;
        format!("{who:<20}{score:>15}{success:>15}{completion:>15}{efficiency:>15}{comfort:>15}\n")
    };
    let plural = if several { "s" } else { "" };
    let mut text =
        format!("{} route{plural} of {}, {:.1} km\n\n", report.routes.len(), report.suite, report.kilometres);
    text += &row(["", "driving score", "success %", "completion %", "efficiency %", "comfort %"]);
    for r in std::iter::once(report).chain(beside.iter().map(|(_, r)| r)) {
        let cells = [r.driving_score, r.success_rate, r.completion, r.efficiency, r.comfort].map(figure);
        text += &row([&r.policy, &cells[0], &cells[1], &cells[2], &cells[3], &cells[4]]);
    }
    let abilities: Vec<String> = report
        .abilities
        .iter()
        .filter_map(|a| Some(format!("{} {:.0}", driving::ability::name(a.ability), a.success?.value)))
        .collect();
    text += &format!("\nabilities, % solved: {}\n", abilities.join(" · "));
    let events = report.infractions.iter().filter(|i| i.count > 0);
    let infractions: Vec<String> = events.map(|i| format!("{} {}", i.kind, i.count)).collect();
    if !infractions.is_empty() {
        text += &format!("infractions: {}\n", infractions.join(" · "));
    }
    if let Some(worst) = report.routes.first().filter(|r| r.driving_score < 100.0) {
        let costly = worst.infractions.iter().find(|i| i.coefficient.is_some());
        let why = costly.map_or_else(|| worst.end.clone(), |i| format!("{} at {:.1} s", i.kind, i.time));
        text += &format!("worst: {} ({why})\n", worst.name);
    }
    text += &match said {
        Said::Nothing => String::new(),
        Said::Answers { asked, unread } => format!("{asked} plans asked for, {unread} answers unreadable\n"),
        Said::Plans { made, left } => format!("{made} trajectories planned, {left} of them left the reference\n"),
    };
    text + &format!("replay {page}, a frame of each family in sheet.png beside it\n")
}

/// Exit 1 for missed thresholds.
fn judge(args: &Args, report: &DrivingReport) -> Result<()> {
    let value = json!(report);
    let figures: Vec<(&String, f64)> =
        value.as_object().into_iter().flatten().filter_map(|(k, v)| Some((k, v.get("value")?.as_f64()?))).collect();
    let mut missed = Vec::new();
    for (metric, least) in &args.fail_under {
        match figures.iter().find(|(name, _)| *name == metric) {
            Some((_, found)) if found < least => missed.push(format!("{metric} is {found:.2}, below {least}")),
            Some(_) => {}
            None => {
                let known: Vec<&str> = figures.iter().map(|(name, _)| name.as_str()).collect();
                return Err(Failure::usage(format!("--fail-under: unknown figure {metric:?}"))
                    .hint(format!("known are {}", known.join(", "))));
            }
        }
    }
    if missed.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::Threshold, missed.join("; "))
        .hint("the page lists the routes, worst first, and replays them"))
}

//! Questions and answers about a frame in DriveLM's four kinds (Sima et al., ECCV 2024) and its file layout: perception,
//! prediction, planning and behavior, objects named by `<c1,CAM_FRONT,x,y>` with the middle of their box in pixels.

use super::facts::{Facts, Other};
use super::reason::{Reason, STANDING};
use super::reasoning::{noun, reasoning};
use super::sight::Sight;
use crate::rng::Rng;
use crate::scenario::{AgentKind, Lamp};
use scene::{MetaAction, PathAction, SpeedAction};
use serde_json::{Map, Value, json};

/// Objects named in a frame at most.
const MOST: usize = 4;

/// What a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What is there.
    Perception,
    /// What it will do.
    Prediction,
    /// What ego should do.
    Planning,
    /// What ego does.
    Behaviour,
}

impl Kind {
    /// Every kind, in the order of the layout.
    pub const ALL: [Kind; 4] = [Kind::Perception, Kind::Prediction, Kind::Planning, Kind::Behaviour];

    /// Its key in the layout.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Perception => "perception",
            Kind::Prediction => "prediction",
            Kind::Planning => "planning",
            Kind::Behaviour => "behavior",
        }
    }
}

/// A question with its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qa {
    /// What it is about.
    pub kind: Kind,
    /// The question.
    pub question: String,
    /// The answer.
    pub answer: String,
}

/// An object that questions name.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyObject {
    /// `<c1,CAM_FRONT,x,y>`.
    pub tag: String,
    /// Which agent.
    pub agent: usize,
    /// What it is.
    pub category: &'static str,
    /// What it does.
    pub status: &'static str,
    /// In words.
    pub description: String,
    /// Left, top, right, bottom, pixels.
    pub bbox: [u16; 4],
}

/// Objects, questions and answers of a moment with its label. `told` is the driver's own cause, where it is known.
pub fn qa(
    facts: &Facts,
    sight: &Sight,
    action: MetaAction,
    told: Option<Reason>,
    seed: u64,
) -> (Vec<KeyObject>, Vec<Qa>) {
    let mut rng = Rng::new(seed, "questions");
    let others = important(facts);
    let objects: Vec<KeyObject> =
        others.iter().enumerate().map(|(i, other)| key_object(i, other, facts, sight)).collect();
    let mut out = Vec::new();
    let mut ask = |kind, wordings: &[&str], answer: String, object: &str| {
        let question = rng.pick(wordings).copied().unwrap_or_default().replace("{object}", object);
        out.push(Qa { kind, question, answer });
    };
    ask(Kind::Perception, IMPORTANT, present(&objects), "");
    ask(Kind::Perception, LIGHT, light(facts), "");
    if let Some((lanes, own)) = facts.road.lanes {
        ask(Kind::Perception, LANES, lane(lanes, own), "");
    }
    for (other, object) in others.iter().zip(&objects) {
        ask(Kind::Perception, STATUS, format!("It {}.", object.status), &object.tag);
        let comes = enters(facts, other);
        let answer = match comes {
            _ if in_lane(facts, other) => "It is in the way already.",
            true => "Yes, it moves into the way of the ego vehicle.",
            false => "No, it stays out of the way of the ego vehicle.",
        };
        ask(Kind::Prediction, IN_WAY, answer.to_owned(), &object.tag);
    }
    if objects.is_empty() {
        ask(Kind::Prediction, NOBODY, "No, nobody is near the way of the ego vehicle.".to_owned(), "");
    }
    ask(Kind::Planning, PLAN, reasoning(facts, action, told, seed), "");
    let faster = match action.speed {
        SpeedAction::Accelerate => "Yes.",
        SpeedAction::Keep => "No, the speed is right as it is.",
        SpeedAction::Decelerate => "No, it should slow down.",
        SpeedAction::Stop => "No, it should stop.",
    };
    ask(Kind::Planning, FASTER, faster.to_owned(), "");
    ask(Kind::Behaviour, BEHAVIOUR, behaviour(facts, action), "");
    (objects, out)
}

/// A key frame of the layout: picture, objects, questions by kind.
pub fn key_frame(image: &str, objects: &[KeyObject], pairs: &[Qa]) -> Value {
    let infos: Map<String, Value> = objects
        .iter()
        .map(|o| {
            let info = json!({
                "Category": o.category, "Status": o.status, "Visual_description": o.description, "2d_bbox": o.bbox,
            });
            (o.tag.clone(), info)
        })
        .collect();
    let by_kind: Map<String, Value> = Kind::ALL
        .iter()
        .map(|kind| {
            let of = pairs.iter().filter(|p| p.kind == *kind);
            (kind.as_str().to_owned(), of.map(|p| json!({ "Q": p.question, "A": p.answer })).collect())
        })
        .collect();
    json!({ "image_paths": { "CAM_FRONT": image }, "key_object_infos": infos, "QA": by_kind })
}

const IMPORTANT: &[&str] = &[
    "Which objects matter for driving in this frame?",
    "Name the objects that the ego vehicle has to regard.",
    "What should the ego vehicle pay attention to?",
];
const LIGHT: &[&str] = &[
    "What does the traffic light for the ego vehicle show?",
    "Which colour is the traffic light ahead?",
    "Is there a traffic light for the ego vehicle, and what does it show?",
];
const LANES: &[&str] = &[
    "How many lanes lead in the direction of the ego vehicle, and which one is it in?",
    "In which lane does the ego vehicle drive?",
    "Describe the lanes of the ego vehicle's direction.",
];
const STATUS: &[&str] = &["What does {object} do?", "How does {object} move?", "What is {object} doing now?"];
const IN_WAY: &[&str] = &[
    "Will {object} come into the way of the ego vehicle?",
    "Does {object} get in the way of the ego vehicle?",
    "Is {object} going to cross the way of the ego vehicle?",
];
const NOBODY: &[&str] = &[
    "Will anybody come into the way of the ego vehicle?",
    "Is anybody about to get in the way of the ego vehicle?",
    "Does anybody move toward the lane of the ego vehicle?",
];
const PLAN: &[&str] = &[
    "You drive the ego vehicle. What do you do next, and why?",
    "As the driver of the ego vehicle, what do you decide?",
    "What is your plan for the next three seconds at the wheel of the ego vehicle?",
];
const FASTER: &[&str] = &[
    "Should the ego vehicle go faster now?",
    "Is it a good moment for the ego vehicle to speed up?",
    "Can the ego vehicle drive faster here?",
];
const BEHAVIOUR: &[&str] = &[
    "How does the ego vehicle behave?",
    "What does the ego vehicle do in the next three seconds?",
    "Say how the ego vehicle drives on.",
];

/// Who matters, nearest first, each once.
fn important(facts: &Facts) -> Vec<Other> {
    let wanted = |agent: usize| {
        let is = |o: Option<Other>| o.is_some_and(|o| o.agent == agent);
        is(facts.lead)
            || is(facts.crossing)
            || is(facts.cut_in)
            || is(facts.oncoming)
            || is(facts.emergency)
            || is(facts.beside[0])
            || is(facts.beside[1])
            || facts.person.is_some_and(|p| p.agent == agent)
            || facts.obstacle.and_then(|o| o.vehicle).is_some_and(|v| v.0 == agent)
    };
    facts.seen.iter().filter(|o| wanted(o.agent)).take(MOST).copied().collect()
}

/// Whether it is ahead in ego's lane.
fn in_lane(facts: &Facts, other: &Other) -> bool {
    facts.lead.is_some_and(|l| l.agent == other.agent)
        || facts.person.is_some_and(|p| p.agent == other.agent && p.in_way)
        || facts.obstacle.and_then(|o| o.vehicle).is_some_and(|v| v.0 == other.agent)
}

/// Whether it is about to be there.
fn enters(facts: &Facts, other: &Other) -> bool {
    let is = |o: Option<Other>| o.is_some_and(|o| o.agent == other.agent);
    is(facts.crossing)
        || is(facts.cut_in)
        || is(facts.oncoming)
        || facts.person.is_some_and(|p| p.agent == other.agent && p.toward)
}

fn key_object(i: usize, other: &Other, facts: &Facts, sight: &Sight) -> KeyObject {
    let bbox = sight.boxes.get(other.agent).copied().unwrap_or_default();
    let middle = |a: u16, b: u16| 0.5 * (f32::from(a) + f32::from(b) + 1.0);
    let tag = format!("<c{},CAM_FRONT,{:.1},{:.1}>", i + 1, middle(bbox[0], bbox[2]), middle(bbox[1], bbox[3]));
    let place = if in_lane(facts, other) {
        "ahead in the lane of the ego vehicle".to_owned()
    } else {
        format!("ahead on the {}", other.side.as_str())
    };
    KeyObject {
        tag,
        agent: other.agent,
        category: match other.kind {
            AgentKind::Pedestrian => "Pedestrian",
            AgentKind::Cyclist => "Cyclist",
            _ => "Vehicle",
        },
        status: status(facts, other),
        description: format!("a {} {place}", noun(other.kind)),
        bbox,
    }
}

fn status(facts: &Facts, other: &Other) -> &'static str {
    match other {
        o if o.parked => "is parked",
        o if o.speed < STANDING => "stands still",
        o if facts.crossing.is_some_and(|c| c.agent == o.agent) => "crosses the way",
        o if facts.cut_in.is_some_and(|c| c.agent == o.agent) => "moves into the lane of the ego vehicle",
        o if facts.oncoming.is_some_and(|c| c.agent == o.agent) => "comes toward the ego vehicle",
        o if facts.person.is_some_and(|p| p.agent == o.agent && p.toward) => "moves toward the lane of the ego vehicle",
        o if o.braking => "brakes",
        o if o.kind == AgentKind::Pedestrian => "walks",
        _ => "drives on",
    }
}

fn present(objects: &[KeyObject]) -> String {
    let things: Vec<&str> = objects.iter().map(|o| o.description.as_str()).collect();
    let tags: Vec<&str> = objects.iter().map(|o| o.tag.as_str()).collect();
    match things.as_slice() {
        [] => "Nobody matters here.".to_owned(),
        [one] => format!("There is {one}: {}.", tags[0]),
        [first @ .., last] => format!("There are {} and {last}: {}.", first.join(", "), tags.join(", ")),
    }
}

fn light(facts: &Facts) -> String {
    match facts.light {
        Some((Lamp::Red, _)) => "The traffic light is red.",
        Some((Lamp::Yellow, _)) => "The traffic light is yellow.",
        Some((Lamp::Green, _)) => "The traffic light is green.",
        _ => "No traffic light for the ego vehicle is in view.",
    }
    .to_owned()
}

fn lane(lanes: usize, own: usize) -> String {
    let which = match own {
        0 => "left",
        k if k + 1 == lanes => "right",
        _ => "middle",
    };
    match lanes {
        1 => "There is one lane, and the ego vehicle is in it.".to_owned(),
        n => {
            let n = ["", "", "two", "three", "four"].get(n).copied().unwrap_or("several");
            format!("There are {n} lanes, and the ego vehicle is in the {which} lane.")
        }
    }
}

/// `The ego vehicle is <path>. The ego vehicle is <speed>.`, as the layout's readers take it apart.
fn behaviour(facts: &Facts, action: MetaAction) -> String {
    let path = match action.path {
        PathAction::Straight => "going straight",
        PathAction::LeftTurn => "turning left",
        PathAction::RightTurn => "turning right",
        PathAction::LeftChange => "changing to the left lane",
        PathAction::RightChange => "changing to the right lane",
    };
    let stands = facts.speed < STANDING;
    let speed = match action.speed {
        SpeedAction::Keep => "driving at a steady speed",
        SpeedAction::Accelerate if stands => "driving off",
        SpeedAction::Accelerate => "driving faster",
        SpeedAction::Decelerate => "driving slower",
        SpeedAction::Stop if stands => "not moving",
        SpeedAction::Stop => "driving to a stop",
    };
    format!("The ego vehicle is {path}. The ego vehicle is {speed}.")
}

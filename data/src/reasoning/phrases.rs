//! The clauses reasoning is put together from. Each pool says one thing in at least twelve ways: causes with their
//! subject, decisions as verbs after "I". `{side}` is left or right. Nothing here may name what nobody annotated.

/// STRAIGHT, heading kept.
pub const ROAD_STRAIGHT: &[&str] = &[
    "the road runs straight ahead",
    "the road ahead is straight",
    "my lane leads straight on",
    "the road goes on without a bend",
    "the way ahead is straight",
    "the lane in front of me goes straight",
    "the road keeps its direction",
    "the road stretches straight in front of me",
    "ahead of me the road runs straight",
    "the next stretch of road is straight",
    "the lane runs on in a straight line",
    "I see a straight piece of road",
    "nothing in the road's course turns me off my line",
];

/// STRAIGHT, heading nearly kept.
pub const ROAD_LEAN: &[&str] = &[
    "the road leans a little to the {side} but stays almost straight",
    "the road drifts slightly to the {side}",
    "my lane eases a touch to the {side}",
    "the road has only a faint curve to the {side}",
    "the road curves barely to the {side}",
    "the lane ahead bows slightly to the {side}",
    "a slight curve to the {side} lies ahead",
    "the road is nearly straight with a hint of {side}",
    "the way ahead turns very little to the {side}",
    "the lane swings only a touch to the {side}",
    "the road pulls softly to the {side} but hardly bends",
    "I see hardly more than a slight lean to the {side}",
];

/// STRAIGHT within the horizon, but the heading already changes.
pub const ROAD_BEGINS: &[&str] = &[
    "a bend to the {side} begins ahead",
    "the road starts to bend to the {side} farther on",
    "farther ahead the road turns to the {side}",
    "the lane begins to curve to the {side}",
    "I am coming up to a bend to the {side}",
    "the road opens into a curve to the {side}",
    "the first part of a curve to the {side} is in front of me",
    "the road will bend to the {side} but not yet by much",
    "a curve to the {side} is just starting",
    "the road is about to swing to the {side}",
    "some way ahead the lane swings to the {side}",
    "I see the start of a bend to the {side}",
];

/// A turn that is a bend of the road; `{gently }` and `{gentle }` give its strength.
pub const ROAD_BEND: &[&str] = &[
    "the road bends {gently }to the {side}",
    "the road curves {gently }to the {side}",
    "the road ahead turns {gently }to the {side}",
    "my lane bends {gently }to the {side}",
    "a {gentle }bend to the {side} lies ahead",
    "a {gentle }curve to the {side} is in front of me",
    "I am in a {gentle }bend to the {side}",
    "the lane swings {gently }to the {side}",
    "the road sweeps {gently }to the {side}",
    "ahead of me the road bends {gently }to the {side}",
    "I see a {gentle }curve to the {side}",
    "the way ahead leads {gently }round to the {side}",
    "the road goes into a {gentle }bend to the {side}",
];

/// A turn the navigation asks for.
pub const ROAD_TURN: &[&str] = &[
    "my route turns {side} here",
    "I am to turn {side}",
    "the command is to turn {side}",
    "the way I have to take goes {side}",
    "my way leads off to the {side}",
    "I have been told to turn {side}",
    "my next turn is to the {side}",
    "the route takes me to the {side}",
    "the turn to the {side} is the one I need",
    "I need to go {side} here",
    "the navigation sends me {side}",
    "my turn to the {side} has come",
];

/// A lane change.
pub const ROAD_CHANGE: &[&str] = &[
    "my path leads into the lane on the {side}",
    "I need the lane on the {side}",
    "the lane I want is on the {side}",
    "I am set to leave my lane to the {side}",
    "my way goes over to the {side}",
    "the next lane to the {side} is where I am going",
    "I am drifting over to the {side}",
    "I mean to continue one lane farther {side}",
    "my place is the lane on the {side}",
    "my line moves across to the {side}",
    "my course crosses into the lane on the {side}",
    "I am on my way over to the {side}",
];

/// How fast, in a frame for one of the paces below.
pub const PACE: &[&str] = &[
    "I am driving {pace}",
    "I travel {pace}",
    "I am moving {pace}",
    "I come along {pace}",
    "I approach {pace}",
    "I am under way {pace}",
    "my car moves {pace}",
    "I go {pace} at the moment",
    "just now I drive {pace}",
    "I am going {pace}",
    "I head on {pace}",
    "for now I am travelling {pace}",
];

/// Under 3 m/s.
pub const CRAWL: &[&str] = &[
    "at a crawl",
    "at walking pace",
    "very slowly",
    "barely faster than a walk",
    "at a creep",
    "with hardly any speed",
    "at very low speed",
    "at barely any speed",
    "inch by inch",
    "at a snail's pace",
    "at next to no speed",
    "as slowly as it gets",
];

/// Under 8 m/s.
pub const SLOW: &[&str] = &[
    "slowly",
    "at low speed",
    "at an easy pace",
    "at a slow pace",
    "without hurry",
    "with little speed",
    "at a gentle pace",
    "rather slowly",
    "at a low pace",
    "at town pace",
    "at a leisurely pace",
    "in no hurry",
];

/// Under 14 m/s.
pub const MODERATE: &[&str] = &[
    "at a moderate speed",
    "at a medium pace",
    "neither fast nor slowly",
    "at a measured speed",
    "at an even, moderate pace",
    "at a middling speed",
    "at a moderate pace",
    "with moderate speed",
    "at a reasonable speed",
    "at a steady, medium speed",
    "at an ordinary speed",
    "at a comfortable speed",
];

/// Under 20 m/s.
pub const BRISK: &[&str] = &[
    "briskly",
    "at a brisk pace",
    "at a good speed",
    "quite fast",
    "with good speed",
    "at country-road speed",
    "at a lively pace",
    "at a brisk speed",
    "rather fast",
    "at a fair speed",
    "at a quick pace",
    "quickly",
];

/// 20 m/s and more.
pub const FAST: &[&str] = &[
    "fast",
    "at high speed",
    "at a high pace",
    "very fast",
    "with a lot of speed",
    "at a fast pace",
    "at great speed",
    "at motorway speed",
    "at full pace",
    "at a very high speed",
    "really fast",
    "with much speed",
];

/// Under 0.5 m/s.
pub const STANDING: &[&str] = &[
    "I am standing still",
    "my car is at rest",
    "I am not moving",
    "my speed is zero",
    "the car stands",
    "I am at a standstill",
    "I am stopped",
    "I stand still at the moment",
    "for now I am not rolling",
    "the wheels are not turning",
    "I have no speed",
    "I have come to rest",
];

/// KEEP.
pub const STEADY: &[&str] = &[
    "my speed is steady",
    "my speed hardly changes",
    "I am neither gaining nor losing speed",
    "the car rolls evenly",
    "my speed stays level",
    "my pace is even",
    "I am holding an even speed",
    "the car runs at a constant speed",
    "nothing about my speed is changing",
    "my speed suits the road",
    "I have settled at this speed",
    "the pace I have fits",
];

/// ACCELERATE.
pub const GAINING: &[&str] = &[
    "my speed is picking up",
    "I am gaining speed",
    "the car is getting faster",
    "my speed is rising",
    "the car is pulling forward",
    "I have started to gather speed",
    "I mean to go faster",
    "my speed is climbing",
    "the pace is growing",
    "the car pushes ahead",
    "I am slower than I want to be",
    "I want more speed here",
];

/// DECELERATE.
pub const LOSING: &[&str] = &[
    "my speed is falling",
    "I am losing speed",
    "the car is getting slower",
    "my speed is dropping",
    "I have started to slow",
    "the car is rolling out",
    "the pace is easing",
    "I am faster than I want to be",
    "my speed is going down",
    "I carry more speed than I need",
    "the car is holding back",
    "I need less speed here",
];

/// STOP while still rolling.
pub const STOPPING: &[&str] = &[
    "my speed is falling towards zero",
    "I am almost out of speed",
    "the car is rolling to a halt",
    "the last of my speed is going",
    "I cannot go on for now",
    "I am about to stand",
    "this is as far as I go for now",
    "there is no going on for the moment",
    "the car has nearly come to rest",
    "my speed is running out",
    "I am braking",
    "I need to be at rest soon",
];

/// KEEP, decided.
pub const KEEP: &[&str] = &[
    "keep my speed",
    "hold my speed",
    "stay at this speed",
    "keep the pace",
    "carry on at the same speed",
    "leave my speed as it is",
    "maintain my speed",
    "hold this pace",
    "keep the same speed",
    "keep my pace even",
    "stay at the speed I have",
    "hold the speed steady",
];

/// ACCELERATE, decided.
pub const ACCELERATE: &[&str] = &[
    "speed up",
    "accelerate",
    "go faster",
    "pick up speed",
    "add some speed",
    "press on faster",
    "gather speed",
    "build up speed",
    "increase my speed",
    "let the car go faster",
    "raise my speed",
    "gain some speed",
];

/// DECELERATE, decided.
pub const DECELERATE: &[&str] = &[
    "slow down",
    "brake gently",
    "ease off",
    "reduce my speed",
    "lower my speed",
    "let the speed drop",
    "take some off the speed",
    "go slower",
    "shed some speed",
    "lift off and slow down",
    "bring my speed down",
    "lose some speed",
];

/// STOP, decided while rolling.
pub const STOP: &[&str] = &[
    "come to a stop",
    "brake to a standstill",
    "stop the car",
    "bring the car to rest",
    "come to a halt",
    "halt",
    "stop",
    "brake until I stand",
    "stop here",
    "let the car come to rest",
    "bring the car to a halt",
    "brake to a stop",
];

/// STOP, decided while standing.
pub const STAY: &[&str] = &[
    "stay where I am",
    "remain stopped",
    "keep standing",
    "wait here",
    "hold the car still",
    "stay stopped",
    "do not move yet",
    "wait",
    "stay at a standstill",
    "remain where I stand",
    "keep the car at rest",
    "wait without moving",
];

/// STRAIGHT, decided.
pub const STRAIGHT: &[&str] = &[
    "keep straight on",
    "stay in my lane",
    "go straight ahead",
    "hold my line",
    "drive straight on",
    "follow my lane ahead",
    "stay on my line",
    "continue straight",
    "keep to my lane",
    "carry on straight",
    "steer straight",
    "keep the wheel straight",
];

/// STRAIGHT with STOP.
pub const STRAIGHT_STOPPING: &[&str] = &[
    "stay in my lane",
    "keep the wheel straight",
    "keep to my lane",
    "stay on my line",
    "hold my line",
    "keep the car straight",
    "leave the wheel straight",
    "stay straight in my lane",
    "keep to my line",
    "stay in line with the lane",
    "do not leave my lane",
    "hold the wheel straight",
];

/// A bend, decided.
pub const BEND: &[&str] = &[
    "follow the bend",
    "steer {side} with the road",
    "follow the curve to the {side}",
    "take the bend to the {side}",
    "steer through the bend",
    "turn the wheel {side} with the road",
    "stay in my lane through the bend",
    "let the car follow the curve",
    "guide the car {side} through the bend",
    "follow the road to the {side}",
    "keep to the lane as it bends {side}",
    "steer {side} along the curve",
];

/// A commanded turn, decided.
pub const TURN: &[&str] = &[
    "turn {side}",
    "make the turn to the {side}",
    "take the turn to the {side}",
    "steer into the turn to the {side}",
    "turn off to the {side}",
    "go through the turn to the {side}",
    "turn the car to the {side}",
    "begin the turn to the {side}",
    "swing round the corner to the {side}",
    "turn into the road on the {side}",
    "take the corner to the {side}",
    "follow the turn to the {side}",
];

/// A lane change, decided.
pub const CHANGE: &[&str] = &[
    "move into the lane on the {side}",
    "change to the lane on the {side}",
    "change lanes to the {side}",
    "go over to the lane on the {side}",
    "steer into the lane on the {side}",
    "cross into the lane on the {side}",
    "take the lane on the {side}",
    "slide over into the lane on the {side}",
    "shift to the lane on the {side}",
    "ease over to the lane on the {side}",
    "move across to the lane on the {side}",
    "pull over into the lane on the {side}",
];

/// Every pool with its name, for the test that each is large enough.
#[cfg(test)]
pub const ALL: &[(&str, &[&str])] = &[
    ("road straight", ROAD_STRAIGHT),
    ("road lean", ROAD_LEAN),
    ("road begins", ROAD_BEGINS),
    ("road bend", ROAD_BEND),
    ("road turn", ROAD_TURN),
    ("road change", ROAD_CHANGE),
    ("pace", PACE),
    ("crawl", CRAWL),
    ("slow", SLOW),
    ("moderate", MODERATE),
    ("brisk", BRISK),
    ("fast", FAST),
    ("standing", STANDING),
    ("steady", STEADY),
    ("gaining", GAINING),
    ("losing", LOSING),
    ("stopping", STOPPING),
    ("keep", KEEP),
    ("accelerate", ACCELERATE),
    ("decelerate", DECELERATE),
    ("stop", STOP),
    ("stay", STAY),
    ("straight", STRAIGHT),
    ("straight stopping", STRAIGHT_STOPPING),
    ("bend", BEND),
    ("turn", TURN),
    ("change", CHANGE),
];

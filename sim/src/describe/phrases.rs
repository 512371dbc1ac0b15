//! The clauses that reasoning is put together from: causes with their subject, decisions as verbs after "I". Few and
//! short words, because they train a tokenizer and a model of a few million parameters. `{side}` is left or right and
//! appears in no other sense (mirroring exchanges the words), `{thing}` a road user, `{far}` how far ahead.

/// A pool of wordings of one clause.
pub type Pool = &'static [&'static str];

/// Brake lights of the vehicle ahead.
pub const LEAD_BRAKES: Pool = &[
    "the {thing} {far} is braking",
    "the brake lights of the {thing} {far} are on",
    "I see the brake lights of the {thing} {far}",
    "the {thing} {far} shows its brake lights",
    "the {thing} {far} brakes",
    "brake lights are on at the {thing} {far}",
];
/// A small gap.
pub const LEAD_CLOSE: Pool = &[
    "the gap to the {thing} {far} is small",
    "a {thing} is {far} and the gap is small",
    "I am close to the {thing} {far}",
    "I come close to the {thing} {far}",
    "there is little room to the {thing} {far}",
    "the {thing} {far} is slower than I am",
];
/// A vehicle that drives along ahead.
pub const LEAD_FOLLOW: Pool = &[
    "a {thing} drives {far} in my lane",
    "I follow the {thing} {far}",
    "the {thing} {far} keeps its gap",
    "a {thing} is {far} in my lane",
    "there is a {thing} {far} that I follow",
    "the gap to the {thing} {far} is good",
];
/// A vehicle that leaves room.
pub const LEAD_ROOM: Pool = &[
    "the {thing} {far} leaves me room",
    "there is room to the {thing} {far}",
    "the gap to the {thing} {far} is large",
    "the {thing} {far} moves on",
    "I have room to the {thing} {far}",
    "the {thing} {far} drives on",
];
/// A vehicle that stands in the lane.
pub const LEAD_STANDS: Pool = &[
    "a {thing} stands {far}",
    "the {thing} {far} stands still",
    "the {thing} {far} is not moving",
    "a {thing} waits {far}",
    "the {thing} {far} has stopped",
    "there is a standing {thing} {far}",
];
/// Someone in the way.
pub const PERSON_IN_WAY: Pool = &[
    "a {thing} is on the road {far}",
    "a {thing} crosses the road {far}",
    "a {thing} is in my way {far}",
    "I see a {thing} on the road {far}",
    "a {thing} is crossing {far}",
    "there is a {thing} in my lane {far}",
];
/// Someone who comes.
pub const PERSON_COMES: Pool = &[
    "a {thing} comes onto the road from the {side}",
    "a {thing} on the {side} moves to the road",
    "a {thing} from the {side} is about to cross",
    "a {thing} on the {side} wants to cross",
    "I see a {thing} coming from the {side}",
    "a {thing} comes from the {side} {far}",
];
/// Someone who goes away.
pub const PERSON_LEAVES: Pool = &[
    "the {thing} {far} leaves my way",
    "the {thing} leaves the road to the {side}",
    "the {thing} moves out of my way to the {side}",
    "the {thing} is nearly out of my way",
    "the {thing} on the {side} leaves my lane",
    "the {thing} {far} moves off to the {side}",
];
/// Someone beside the road.
pub const PERSON_BESIDE: Pool = &[
    "a {thing} is beside the road on the {side}",
    "I see a {thing} on the {side} of the road",
    "there is a {thing} on the {side} of the road",
    "a {thing} stays on the {side} of my lane",
    "a {thing} is on the {side}",
    "a {thing} on the {side} is near the road",
];
/// Red.
pub const RED: Pool = &[
    "the traffic light {far} is red",
    "the light {far} is red",
    "I see a red light {far}",
    "there is a red light {far}",
    "a red traffic light is {far}",
    "the light for my lane is red",
];
/// Yellow.
pub const YELLOW: Pool = &[
    "the traffic light {far} is yellow",
    "the light {far} is yellow",
    "I see a yellow light {far}",
    "there is a yellow light {far}",
    "a yellow traffic light is {far}",
    "the light for my lane is yellow",
];
/// Green.
pub const GREEN: Pool = &[
    "the traffic light {far} is green",
    "the light {far} is green",
    "I see a green light {far}",
    "there is a green light {far}",
    "a green traffic light is {far}",
    "the light for my lane is green",
];
/// Stop sign.
pub const STOP_SIGN: Pool = &[
    "there is a stop sign {far}",
    "I see a stop sign {far}",
    "a stop sign is {far}",
    "the stop sign {far} holds me",
    "the sign {far} says stop",
    "I come to a stop sign",
];
/// Yield sign.
pub const YIELD_SIGN: Pool = &[
    "there is a yield sign {far}",
    "I see a yield sign {far}",
    "a yield sign is {far}",
    "the yield sign {far} holds me",
    "the sign {far} says yield",
    "I come to a yield sign",
];
/// A stop line.
pub const LINE: Pool = &[
    "I come to the stop line",
    "the stop line is {far}",
    "there is a stop line {far}",
    "I see the stop line {far}",
    "a stop line is {far}",
    "the stop line is near",
];
/// A lower limit.
pub const LIMIT: Pool = &[
    "a sign shows a lower limit",
    "the limit sign {far} asks for less speed",
    "I see a limit sign {far}",
    "there is a speed limit sign {far}",
    "the speed limit sign {far} is lower than my speed",
    "the sign {far} shows a speed limit",
];
/// A bend.
pub const CURVE: Pool = &[
    "the road bends to the {side}",
    "the road ahead bends {side}",
    "a bend to the {side} is ahead",
    "there is a bend to the {side}",
    "my lane bends to the {side}",
    "I see a bend to the {side}",
];
/// A turn of the route.
pub const TURNING: Pool = &[
    "I turn {side} at the junction",
    "the route turns {side} at the junction",
    "my way turns {side} here",
    "I come to my turn to the {side}",
    "the junction is here and I turn {side}",
    "my turn to the {side} is ahead",
];
/// A junction that is crossed.
pub const JUNCTION: Pool = &[
    "a junction is ahead",
    "I come to a junction",
    "there is a junction ahead",
    "I see a junction ahead",
    "the junction is ahead",
    "my way goes over a junction",
];
/// A parked vehicle in the lane.
pub const PARKED: Pool = &[
    "a parked {thing} blocks my lane {far}",
    "a {thing} is parked in my lane {far}",
    "the parked {thing} {far} is in my way",
    "a parked {thing} stands in my lane {far}",
    "I see a parked {thing} in my lane {far}",
    "there is a parked {thing} in my way {far}",
];
/// Cones and barriers.
pub const WORKS: Pool = &[
    "road works block my lane {far}",
    "cones stand in my lane {far}",
    "I see cones in my lane {far}",
    "there are road works {far}",
    "my lane is closed by cones {far}",
    "the road works {far} are in my way",
];
/// Someone comes the wrong way.
pub const ONCOMING: Pool = &[
    "a {thing} comes toward me {far}",
    "a {thing} comes toward me in my lane",
    "the {thing} {far} comes toward me",
    "I see a {thing} coming toward me",
    "there is a {thing} coming toward me {far}",
    "a {thing} drives toward me {far}",
];
/// Someone crosses.
pub const CROSSING: Pool = &[
    "a {thing} crosses from the {side}",
    "a {thing} crosses my way {far}",
    "a {thing} comes from the {side} {far}",
    "I see a {thing} crossing from the {side}",
    "the {thing} from the {side} crosses my way",
    "there is a {thing} coming from the {side}",
];
/// Someone moves into the lane.
pub const CUT_IN: Pool = &[
    "a {thing} moves into my lane from the {side}",
    "the {thing} on the {side} comes into my lane",
    "a {thing} on the {side} changes into my lane",
    "a {thing} comes over from the {side}",
    "I see a {thing} coming into my lane from the {side}",
    "the {thing} on the {side} moves in front of me",
];
/// Blue lights.
pub const EMERGENCY: Pool = &[
    "I see blue lights ahead",
    "a van with blue lights is near",
    "blue lights are on the road",
    "there are blue lights on the road",
    "a van with blue lights needs room",
    "the blue lights need room",
];
/// A view that is blocked.
pub const OCCLUDER: Pool = &[
    "a parked {thing} on the {side} blocks my view",
    "the parked {thing} on the {side} may hide someone",
    "I cannot see behind the parked {thing} on the {side}",
    "someone may come from behind the parked {thing} on the {side}",
    "a parked {thing} on the {side} hides a part of the road",
    "the view past the parked {thing} on the {side} is blocked",
];
/// A free road.
pub const CLEAR: Pool = &[
    "the road ahead is clear",
    "nothing is in my way",
    "my lane is free ahead",
    "the way ahead is free",
    "nobody is ahead in my lane",
    "I see a free road ahead",
];
/// A free road and enough speed.
pub const CLEAR_FAST: Pool = &[
    "the road is clear and my speed fits",
    "my lane is free and I am fast enough",
    "nothing is in my way and my speed is good",
    "the way is free at a good speed",
    "my speed fits this free road",
    "I am fast enough on this clear road",
];
/// Someone who is not in the way, but matters.
pub const NEAR: Pool = &[
    "a {thing} is {far} on the {side}",
    "I see a {thing} {far} on the {side}",
    "there is a {thing} {far} on the {side}",
    "a {thing} on the {side} is {far}",
    "the {thing} {far} is on the {side}",
    "I see a {thing} on the {side}",
];
/// The same when it is given room.
pub const NEAR_SLOWS: Pool = &[
    "a {thing} on the {side} may come into my way",
    "I give way to the {thing} on the {side}",
    "the {thing} on the {side} needs room",
    "I leave room for the {thing} on the {side}",
    "the {thing} {far} on the {side} may cross my way",
    "a {thing} is {far} on the {side}",
];
/// Something is about, but there is room.
pub const ROOM: Pool = &[
    "I still have room ahead",
    "there is still room ahead",
    "I have some room in front of me",
    "there is room in front of me",
    "there is room in my lane",
    "I have room in my lane",
];
/// The reason cannot be seen.
pub const UNSEEN: Pool = &[
    "I cannot see all of the road ahead",
    "something may be ahead that I cannot see yet",
    "I am not sure that the way stays free",
    "the way ahead may not stay free",
    "I may not see everything ahead",
    "it is not sure what comes next",
];
/// The same at a junction.
pub const UNSEEN_JUNCTION: Pool = &[
    "I cannot see all of the junction ahead",
    "someone may come at the junction",
    "I am not sure who comes at the junction",
    "I may not see everyone at the junction",
    "the junction ahead may not stay free",
    "I come to a junction and cannot see all of it",
];

/// KEEP.
pub const KEEP: Pool = &[
    "keep my speed",
    "hold my speed",
    "keep this speed",
    "hold this speed",
    "stay at this speed",
    "drive on at the same speed",
];
/// ACCELERATE.
pub const ACCELERATE: Pool = &["speed up", "accelerate", "go faster", "pick up speed", "gain speed", "drive faster"];
/// ACCELERATE from a standstill.
pub const START: Pool = &["set off", "start to drive", "start moving", "drive off", "start and speed up", "get going"];
/// DECELERATE.
pub const DECELERATE: Pool = &["slow down", "brake", "brake gently", "go slower", "reduce my speed", "take off speed"];
/// STOP while rolling.
pub const STOP: Pool =
    &["stop", "come to a stop", "brake to a stop", "brake until I stand", "stop the car", "brake and stop"];
/// STOP while standing.
pub const STAY: Pool = &["wait", "stay stopped", "wait here", "keep standing", "stand still", "keep waiting"];

/// STRAIGHT.
pub const STRAIGHT: Pool =
    &["stay in my lane", "keep straight", "keep my lane", "go straight", "stay on my line", "keep to my lane"];
/// STRAIGHT with STOP.
pub const HOLD: Pool =
    &["stay in my lane", "keep my lane", "keep to my lane", "stay on my line", "keep in the lane", "stay in the lane"];
/// STRAIGHT along a bend that is too gentle to be a turn, or before a turn begins.
pub const LANE: Pool =
    &["stay in my lane", "keep my lane", "follow my lane", "keep to my lane", "stay on my line", "keep in the lane"];
/// A bend of the road.
pub const BEND: Pool = &[
    "follow the bend to the {side}",
    "follow the road to the {side}",
    "steer {side} with the road",
    "go {side} with the bend",
    "steer {side} along the bend",
    "follow the lane to the {side}",
];
/// A turn at a junction.
pub const TURN: Pool = &[
    "turn {side}",
    "make the turn to the {side}",
    "turn to the {side}",
    "turn {side} at the junction",
    "take the turn to the {side}",
    "steer {side} into the turn",
];
/// A lane change.
pub const CHANGE: Pool = &[
    "change to the {side} lane",
    "move to the {side} lane",
    "go over to the {side} lane",
    "change lanes to the {side}",
    "move over to the {side} lane",
    "steer into the {side} lane",
];
/// A way back to the own lane.
pub const BACK: Pool = &[
    "move back to the {side} lane",
    "go back into the {side} lane",
    "change back to the {side} lane",
    "come back to the lane on the {side}",
    "steer back into the {side} lane",
    "move back to the lane on the {side}",
];
/// Why a lane is changed: what stands or drives there.
pub const PASS: Pool = &["to pass the {thing}", "to get past the {thing}", "to go around the {thing}"];
/// Why a lane is changed: the route.
pub const ROUTE: Pool = &["for my route", "as my route goes there", "where my route goes on"];

/// Every pool with its name, for tests.
#[cfg(test)]
pub const ALL: &[(&str, Pool)] = &[
    ("lead brakes", LEAD_BRAKES),
    ("lead close", LEAD_CLOSE),
    ("lead follow", LEAD_FOLLOW),
    ("lead room", LEAD_ROOM),
    ("lead stands", LEAD_STANDS),
    ("person in way", PERSON_IN_WAY),
    ("person comes", PERSON_COMES),
    ("person leaves", PERSON_LEAVES),
    ("person beside", PERSON_BESIDE),
    ("red", RED),
    ("yellow", YELLOW),
    ("green", GREEN),
    ("stop sign", STOP_SIGN),
    ("yield sign", YIELD_SIGN),
    ("line", LINE),
    ("limit", LIMIT),
    ("curve", CURVE),
    ("turning", TURNING),
    ("junction", JUNCTION),
    ("parked", PARKED),
    ("works", WORKS),
    ("oncoming", ONCOMING),
    ("crossing", CROSSING),
    ("cut in", CUT_IN),
    ("emergency", EMERGENCY),
    ("occluder", OCCLUDER),
    ("clear", CLEAR),
    ("clear fast", CLEAR_FAST),
    ("near", NEAR),
    ("near slows", NEAR_SLOWS),
    ("room", ROOM),
    ("unseen", UNSEEN),
    ("unseen junction", UNSEEN_JUNCTION),
    ("keep", KEEP),
    ("accelerate", ACCELERATE),
    ("start", START),
    ("decelerate", DECELERATE),
    ("stop", STOP),
    ("stay", STAY),
    ("straight", STRAIGHT),
    ("hold", HOLD),
    ("lane", LANE),
    ("bend", BEND),
    ("turn", TURN),
    ("change", CHANGE),
    ("back", BACK),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn pools_are_varied_small_in_words_and_safe_to_mirror() {
        let mut words = BTreeSet::new();
        for (name, pool) in ALL {
            assert!(pool.len() >= 6, "{name}");
            assert_eq!(pool.iter().collect::<BTreeSet<_>>().len(), pool.len(), "{name}");
            for text in pool.iter() {
                assert!(!text.contains("left") && !text.contains("right"), "{text}");
                words.extend(text.split(' '));
            }
        }
        assert!(words.len() < 300, "{}", words.len());
    }
}

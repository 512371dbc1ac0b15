//! Every prompt against its golden render in `prompts/golden/`.
//!
//! `REINSMAN_BLESS=1 cargo test --release --test prompts` writes the files anew; read the difference before committing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use data::{Ego, Part, Role, Turn};
use reinsman::vlm::{
    chat::{ChatTemplate, text_of},
    prompt::{Prompts, Style},
};
use scene::{Command, MetaAction, PathAction, SpeedAction};
use std::{collections::BTreeMap, path::PathBuf};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("prompts/golden")
}

fn renders() -> BTreeMap<&'static str, String> {
    let full = Prompts::builtin();
    let short = Prompts::builtin().with_style(Style::Short);
    let several = |prompts: &Prompts, n: usize| prompts.clone().with_answers(n);
    for prompts in [&full, &short] {
        let one = several(prompts, 1);
        assert_eq!(one.version(), prompts.version());
        assert_ne!(several(prompts, 2).version(), several(prompts, 3).version());
    }
    let ego = Ego { speed_mps: 12.44, command: Command::default() };
    let left = Ego { speed_mps: 0.0, command: Command("turn left in 50 m".into()) };
    let ask = |prompts: &Prompts, ego: &Ego, images: usize, think: bool| {
        let turns = prompts.plan_turns(ego, images, think).unwrap();
        let [Turn { role: Role::User, parts }] = &turns[..] else { panic!("one user turn") };
        assert_eq!(parts.iter().filter(|part| **part == Part::Image).count(), images);
        assert!(parts[..images].iter().all(|part| *part == Part::Image), "pictures come first");
        text_of(&turns[0])
    };
    let action = MetaAction { speed: SpeedAction::Keep, path: PathAction::Straight };
    let reasoning = "The lane is clear and straight, so I hold my speed.";
    let answer = full.answer_text(Some(reasoning), action).unwrap();
    let mut conversation = full.plan_turns(&ego, 1, true).unwrap();
    conversation.push(Turn { role: Role::Assistant, parts: vec![Part::Text(answer.clone())] });
    let chatml = ChatTemplate::jinja(include_str!("../prompts/chatml.jinja")).unwrap();
    BTreeMap::from([
        ("version.txt", format!("{}\n{}", full.version(), short.version())),
        ("plan.txt", ask(&full, &ego, 1, true)),
        ("plan_clip.txt", ask(&full, &left, 4, true)),
        ("plan_blind.txt", ask(&full, &ego, 0, true)),
        ("plan_no_think.txt", ask(&full, &ego, 1, false)),
        ("plan_several.txt", ask(&several(&full, 3), &ego, 1, true)),
        ("plan_short.txt", ask(&short, &ego, 1, true)),
        ("plan_short_several.txt", ask(&several(&short, 2), &ego, 1, true)),
        ("plan_short_no_think.txt", ask(&short, &left, 1, false)),
        ("answer.txt", answer),
        ("answer_no_think.txt", full.answer_text(None, action).unwrap()),
        ("chatml.txt", chatml.render(&conversation, false).unwrap()),
        ("chatml_prompt.txt", chatml.render(&conversation[..1], true).unwrap()),
    ])
}

#[test]
fn golden_renders() {
    let renders = renders();
    if std::env::var_os("REINSMAN_BLESS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        for (name, text) in &renders {
            std::fs::write(folder().join(name), format!("{text}\n")).unwrap();
        }
    }
    for (name, text) in &renders {
        let path = folder().join(name);
        let want = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(format!("{text}\n"), want, "{name}: if the change is meant, raise the version line and bless");
    }
    let files = std::fs::read_dir(folder()).unwrap().count();
    assert_eq!(files, renders.len(), "a golden file without a render");
}

#[test]
fn questions_name_everything_an_answer_needs() {
    let renders = renders();
    for name in ["plan.txt", "plan_clip.txt", "plan_no_think.txt", "plan_several.txt"] {
        let text = &renders[name];
        let words = SpeedAction::ALL.iter().map(|a| a.as_str()).chain(PathAction::ALL.iter().map(|a| a.as_str()));
        for word in words.chain(["m/s", "three seconds", "<answer>", "</answer>"]) {
            assert!(text.contains(word), "{name} does not say {word}");
        }
        assert_eq!(text.contains("<think>"), name != "plan_no_think.txt");
    }
    assert!(renders["plan.txt"].contains("12.4 m/s") && renders["plan.txt"].contains("follow the road"));
    assert!(renders["plan_short.txt"].len() < 60);
}

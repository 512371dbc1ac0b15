//! `data show`: what is marked is what the encoder labels.

use super::{drive, fixture, json, model, read, says, write};
use data::Content;
use reinsman::{
    policy::{Language, Source},
    train::examples::{lesson, pictures},
    vlm::{chat::text_of, encode::IGNORED},
};

/// What `data show` marks is what [`reinsman::vlm::encode::Encoder::encode`] labels, for one picture and several, known
/// and unknown axes, plans and conversations.
#[test]
fn the_shown_mask_is_the_trained_one() {
    let language = Language::load(&Source::Folder(model().into()), None, None).unwrap();
    let (encoder, prompts) = (&language.encoder, &language.prompts);
    let mut unknown = 0;
    for file in [fixture("record.jsonl"), drive("train.jsonl"), fixture("llava.json"), fixture("metaad.json")] {
        let shown = json(&["data", "show", &file, "--n", "3", "--model", &model()]);
        let text = says(0, &["data", "show", &file, "--n", "3", "--model", &model()]);
        let mut marked = text.split("\nsample ").skip(1);
        for (sample, shown) in read(&file).iter().zip(shown.as_array().unwrap()) {
            let taught = lesson(prompts, sample, true).unwrap().unwrap();
            let encoded = encoder.encode(&taught.turns, &pictures(sample).unwrap(), &taught.unscored).unwrap();
            let numbers = |key: &str| -> Vec<i64> { serde_json::from_value(shown[key].clone()).unwrap() };
            assert_eq!(numbers("labels"), encoded.labels, "{}", sample.id);
            assert_eq!(numbers("ids"), encoded.ids.iter().map(|id| i64::from(*id)).collect::<Vec<_>>());
            let scored: Vec<u32> =
                encoded.ids.iter().zip(&encoded.labels).filter(|(_, l)| **l != IGNORED).map(|(id, _)| *id).collect();
            assert_eq!(shown["tokens_with_loss"], scored.len());
            assert!(!scored.is_empty() && scored.len() < encoded.ids.len());
            let loss = encoder.tokenizer.decode(&scored, false);
            let page = marked.next().unwrap();
            let between: String = page.split('«').skip(1).map(|part| part.split('»').next().unwrap()).collect();
            assert_eq!(between, loss, "{page}");
            for (grid, tokens) in encoded.grids.iter().zip(encoded.images.iter().map(ExactSizeIterator::len)) {
                assert!(page.contains(&format!("[image {}x{} = {tokens} tokens]", grid[1], grid[2])), "{page}");
            }
            let answer = text_of(taught.turns.last().unwrap());
            if sample.labels.speed.is_none() && matches!(sample.content, Content::Planning { .. }) {
                unknown += 1;
                assert!(answer.contains("KEEP") && !loss.contains("KEEP"), "{loss}");
            } else {
                assert!(loss.contains(&answer), "{loss}\n{answer}");
            }
        }
    }
    assert!(unknown >= 2);
}

#[test]
fn show_chooses_draws_and_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let (train, model) = (drive("train.jsonl"), model());
    let picture = dir.path().join("new/show.png").display().to_string();
    let two = ["--id", "udacity_04_007", "--id", "udacity_01_003"];
    let text =
        says(0, &[&["data", "show", &train, "--model", &model, "--ids", "--picture", &picture], &two[..]].concat());
    assert!(text.contains("sample udacity_04_007") && text.contains("sample udacity_01_003"), "{text}");
    assert_eq!((text.matches("\nsample ").count(), text.matches("\nids ").count()), (2, 2), "{text}");
    assert!(text.contains(" pixels  [image") && text.contains("480x360"), "{text}");
    let sheet = image::open(&picture).unwrap();
    assert!(sheet.width() > 480 && sheet.height() > 360);
    let wrong = says(3, &["data", "show", &train, "--model", &model, "--id", "udacity_04_7"]);
    assert!(
        wrong.contains("no sample has the id udacity_04_7") && wrong.contains("did you mean udacity_04_"),
        "{wrong}"
    );
    // Reasoning is left out on request, and then not asked for.
    let short = says(0, &["data", "show", &train, "--n", "1", "--model", &model, "--no-think"]);
    assert!(!short.contains("<think>") && short.contains("«<answer> »KEEP«, STRAIGHT </answer>"), "{short}");
    // A sample without labels has a question but no loss; a bare frame has neither.
    let open = write(
        dir.path(),
        "open.jsonl",
        format!("{{\"images\":[{:?}],\"ego\":{{\"speed_mps\":4}}}}", drive("frames/udacity_00_000.jpg")),
    );
    let text = says(0, &["data", "show", &open, "--model", &model]);
    assert!(text.contains("0 with loss") && text.contains("teaches nothing") && text.contains("4.0 m/s"), "{text}");
    let bare = says(3, &["data", "show", &drive("unlabelled.jsonl"), "--model", &model]);
    assert!(bare.contains("carnd_highway_000: a frame without a question") && bare.contains("data label"), "{bare}");
    says(0, &["data", "show", &drive("unlabelled.jsonl"), "--model", &model, "--skip-bad"]);
    // What a file says cannot command the terminal.
    let text = "{\"messages\":[{\"role\":\"user\",\"content\":\"a\\u001b[2Jb <|im_end|>\"},{\"role\":\"assistant\",\"content\":\"c\"}]}";
    let text = says(0, &["data", "show", &write(dir.path(), "esc.jsonl", text), "--model", &model]);
    assert!(text.contains("a\\u{1b}[2Jb <|im_end|>") && !text.contains('\u{1b}'), "{text}");
}

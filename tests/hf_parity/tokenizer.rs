//! Text: tokenizer cases, streaming, chat rendering, and the processor's input ids, labels and pixel values per family.

use crate::support::{assert_close, families, json, root, tensors};
use candle_core::{DType, Tensor};
use data::{Part, Role, Turn};
use reinsman::vlm::{
    chat::ChatTemplate,
    encode::{Encoded, Encoder},
    image::{Loading, Rgb},
    processor::Pixels,
    stream::Detokenizer,
    tokenizer::Tokenizer,
};
use serde_json::Value;
use std::path::Path;

fn ids(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as u32).collect()
}

/// What a stream writes, all of it.
fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip: bool) -> String {
    let mut stream = Detokenizer::new(tokenizer, skip);
    let mut text: String = ids.iter().map(|&id| stream.push(id)).collect();
    text.push_str(&stream.finish());
    text
}

#[test]
fn strings_to_ids_and_back() {
    let Some(all) = json(&root().join("tokenizer_cases.json")) else { return };
    let folder = root().join(all["tokenizer"].as_str().unwrap());
    let named = Tokenizer::from_dir(folder.parent().unwrap()).unwrap_or_else(|e| panic!("{e}"));
    let cases = all["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let (text, want) = (case["text"].as_str().unwrap(), ids(&case["ids"]));
        assert_eq!(named.encode_rendered(text).unwrap(), want, "{text:?}");
        for (key, skip) in [("decoded", false), ("decoded_skip_special", true)] {
            let decoded = case[key].as_str().unwrap();
            assert_eq!(named.decode(&want, skip), decoded, "{text:?}: {key}");
            assert_eq!(streamed(&named, &want, skip), decoded, "{text:?}: {key}, streamed");
        }
        if named.find_special(text, 0).is_none() {
            assert_eq!(named.encode_text(text).unwrap(), want, "{text:?} as plain text");
            assert!(named.reject_special(text).is_ok());
        } else {
            assert!(!named.encode_text(text).unwrap().iter().any(|&id| named.is_special(id)), "{text:?} smuggled");
            assert!(named.reject_special(text).is_err());
        }
    }
    for case in all["partial_utf8_decode"].as_array().unwrap() {
        let (ids, want) = (ids(&case["ids"]), case["decoded"].as_str().unwrap());
        assert_eq!(named.decode(&ids, false), want, "{ids:?}");
        assert_eq!(streamed(&named, &ids, false), want, "{ids:?}, streamed");
        // Before the end, nothing but whole characters.
        let mut stream = Detokenizer::new(&named, false);
        let written: String = ids.iter().map(|&id| stream.push(id)).collect();
        assert_eq!(written, want.trim_end_matches(char::REPLACEMENT_CHARACTER), "{ids:?}, written early");
    }
    println!("{} strings", cases.len());
}

#[test]
fn chat_rendering() {
    let Some(all) = json(&root().join("tokenizer_cases.json")) else { return };
    let chats = all["chats"].as_array().unwrap();
    assert!(!chats.is_empty());
    for chat in chats {
        let dir = root().join(chat["family"].as_str().unwrap()).join("ckpt");
        let tokenizer = Tokenizer::from_dir(&dir).unwrap();
        let template = ChatTemplate::from_dir(&dir, &tokenizer).unwrap();
        let (messages, generate) = (&chat["messages"], chat["add_generation_prompt"].as_bool().unwrap());
        let want = chat["text"].as_str().unwrap();
        assert_eq!(template.render_messages(messages, generate).unwrap(), want);
        // The same rendering written out by hand.
        let system = want.contains("You are a helpful assistant.").then_some("You are a helpful assistant.");
        assert_eq!(ChatTemplate::chatml(system).render_messages(messages, generate).unwrap(), want);
        // And from our own turns.
        assert_eq!(template.render(&turns(want, system), generate).unwrap(), want);
    }
    println!("{} chats", chats.len());
}

/// The turns of a rendered conversation, without the system turn that the template puts there itself.
fn turns(rendered: &str, implied: Option<&str>) -> Vec<Turn> {
    const MARK: &str = "<|vision_start|><|image_pad|><|vision_end|>";
    let mut turns = Vec::new();
    for turn in rendered.split("<|im_start|>").filter(|turn| turn.contains("<|im_end|>")) {
        let (role, content) = turn.split_once('\n').unwrap();
        let content = content.strip_suffix("<|im_end|>\n").unwrap();
        let role = match role {
            "system" if Some(content) == implied => continue,
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        };
        let mut parts = Vec::new();
        for (i, text) in content.split(MARK).enumerate() {
            if i > 0 {
                parts.push(Part::Image);
            }
            if !text.is_empty() {
                parts.push(Part::Text(text.into()));
            }
        }
        turns.push(Turn { role, parts });
    }
    turns
}

/// What a family's template adds by itself.
fn implied(encoder: &Encoder) -> Option<&'static str> {
    let user = Turn { role: Role::User, parts: vec![Part::Text("x".into())] };
    let with = "You are a helpful assistant.";
    encoder.chat.render(&[user], false).unwrap().contains(with).then_some(with)
}

/// The fixture's pictures in the order of their names.
fn pictures() -> Vec<Rgb> {
    let mut paths: Vec<_> = std::fs::read_dir(root().join("images")).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|p| p.extension().is_some_and(|e| e == "png" || e == "jpg"));
    paths.sort();
    paths.iter().map(|p| Rgb::open(p, &Loading::default()).unwrap()).collect()
}

fn row(tensor: &Tensor, i: usize) -> Vec<i64> {
    tensor.get(i).unwrap().to_vec1::<i64>().unwrap()
}

/// Compares one row of a batch where its mask is set; padding may be on either side.
fn same_ids(what: &str, got: &Encoded, ids: &Tensor, mask: &Tensor, i: usize) -> usize {
    let mask = row(mask, i);
    let want: Vec<u32> = row(ids, i).iter().zip(&mask).filter(|(_, m)| **m != 0).map(|(id, _)| *id as u32).collect();
    assert_eq!(got.ids, want, "{what}: input_ids of row {i}");
    mask.iter().position(|&m| m != 0).unwrap()
}

fn same_pixels(what: &str, rows: &[&Encoded], file: &crate::support::Tensors) {
    let pixels: Vec<Pixels> = rows.iter().flat_map(|r| r.pixels.clone()).collect();
    let Some((values, grids)) = Pixels::concat(&pixels).unwrap() else {
        assert!(!file.contains_key("image_grid_thw"), "{what}: pictures expected");
        return;
    };
    let want = file["image_grid_thw"].to_dtype(DType::I64).unwrap().to_vec2::<i64>().unwrap();
    let grids: Vec<Vec<i64>> = grids.iter().map(|g| g.iter().map(|&n| n as i64).collect()).collect();
    assert_eq!(grids, want, "{what}: grids");
    if let Some(want) = file.get("pixel_values") {
        assert_close(&format!("{what}: pixel_values"), &values, want, 1e-5);
        println!("{what}: pixel_values of {:?} compared", want.dims());
    }
}

/// The encoded row of a text of `meta.json`; `take` says which pictures it shows.
fn encode(encoder: &Encoder, text: &str, take: &[Rgb]) -> Encoded {
    let turns = turns(text, implied(encoder));
    match text.ends_with("<|im_start|>assistant\n") {
        true => encoder.prompt(&turns, take),
        false => encoder.encode(&turns, take, &[]),
    }
    .unwrap_or_else(|e| panic!("{e}"))
}

/// Pictures of a text: the second one for the `_b` texts, else from the first on.
fn shown<'a>(name: &str, text: &str, all: &'a [Rgb]) -> &'a [Rgb] {
    let marks = text.matches("<|image_pad|>").count();
    let from = usize::from(name.ends_with("_b"));
    &all[from.min(all.len() - marks)..][..marks]
}

fn check_cases(dir: &Path, encoder: &Encoder, meta: &Value, all: &[Rgb]) -> usize {
    let mut checked = 0;
    for (name, text) in meta["texts"].as_object().unwrap() {
        let text = text.as_str().unwrap();
        let Some(file) = tensors(&dir.join(format!("case_{name}.safetensors"))) else { continue };
        let what = format!("{} {name}", dir.display());
        let got = encode(encoder, text, shown(name, text, all));
        same_ids(&what, &got, &file["input_ids"], &file["attention_mask"], 0);
        same_pixels(&what, &[&got], &file);
        checked += 1;
    }
    checked
}

#[test]
fn inputs_of_every_family() {
    let all = pictures();
    let mut checked = 0;
    for dir in families() {
        let encoder = Encoder::from_dir(&dir.join("ckpt")).unwrap_or_else(|e| panic!("{e}"));
        let meta = json(&dir.join("meta.json")).expect("meta.json");
        checked += check_cases(&dir, &encoder, &meta, &all);
        let pair =
            |names: [&str; 2]| names.map(|n| meta["texts"][n].as_str().map(|t| encode(&encoder, t, shown(n, t, &all))));
        if let (Some(file), [Some(a), Some(b)]) =
            (tensors(&dir.join("case_batch2_left.safetensors")), pair(["single", "single_b"]))
        {
            let what = format!("{} batch2_left", dir.display());
            let (ids, mask) = (&file["input_ids"], &file["attention_mask"]);
            for (i, got) in [&a, &b].into_iter().enumerate() {
                let left = same_ids(&what, got, ids, mask, i);
                assert!(row(ids, i)[..left].iter().all(|&id| id as u32 == encoder.tokenizer.pad()), "{what}: pad");
            }
            same_pixels(&what, &[&a, &b], &file);
            checked += 1;
        }
        if let Some(file) = tensors(&dir.join("sft.safetensors")) {
            let what = format!("{} sft", dir.display());
            let texts: Vec<&str> =
                meta["sft"]["texts"].as_array().unwrap().iter().map(|t| t.as_str().unwrap()).collect();
            let rows: Vec<Encoded> = texts
                .iter()
                .zip(["a", "_b"])
                .map(|(text, name)| encode(&encoder, text, shown(name, text, &all)))
                .collect();
            for (i, got) in rows.iter().enumerate() {
                same_ids(&what, got, &file["input_ids"], &file["attention_mask"], i);
                let want = row(&file["labels"], i);
                assert_eq!(got.labels, want[..got.ids.len()], "{what}: labels of row {i}");
                assert!(want[got.ids.len()..].iter().all(|&l| l == -100), "{what}: labels of the padding");
            }
            same_pixels(&what, &rows.iter().collect::<Vec<_>>(), &file);
            checked += 1;
        }
        let generation = json(&dir.join("ckpt/generation_config.json")).expect("generation_config.json");
        let stops: Vec<u32> = match &generation["eos_token_id"] {
            Value::Array(_) => ids(&generation["eos_token_id"]),
            one => vec![one.as_u64().unwrap() as u32],
        };
        assert!(encoder.tokenizer.eos().starts_with(&stops), "{}: eos", dir.display());
        for (name, greedy) in meta["greedy"].as_object().into_iter().flatten() {
            if let Some(text) = meta[format!("greedy_text_{name}")].as_str() {
                let new = ids(&greedy["new_ids"][0]);
                let skip = encoder.tokenizer.decode(&new, true);
                assert!(
                    skip == text || encoder.tokenizer.decode(&new, false) == text,
                    "{}: greedy text {skip:?}",
                    dir.display()
                );
                assert_eq!(streamed(&encoder.tokenizer, &new, true), skip);
            }
        }
    }
    assert!(checked > 0, "no case found under {}", root().display());
    println!("{checked} cases");
}

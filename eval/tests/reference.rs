//! Against the field's own tools: values in `tests/fixtures/eval` (see the README there).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use eval::metrics::Truth;
use eval::released::released;
use eval::text::{Pair, bleu, cider_d, meteor_one, rouge_l, stem};
use serde::Deserialize;
use std::collections::BTreeMap;

fn fixture<T: serde::de::DeserializeOwned>(name: &str) -> T {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/eval").join(name);
    serde_json::from_str(&std::fs::read_to_string(&path).expect(name)).expect(name)
}

#[derive(Deserialize)]
struct Texts {
    pairs: Vec<(String, Vec<String>)>,
    bleu: [f64; 4],
    rouge_l: f64,
    cider_d: f64,
    meteor: Vec<(usize, f64)>,
    stems: BTreeMap<String, String>,
}

#[test]
fn text_scores_are_those_of_the_coco_scripts() {
    let f: Texts = fixture("text.json");
    let words = |t: &String| t.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let pairs: Vec<Pair> =
        f.pairs.iter().map(|(c, r)| Pair { candidate: words(c), references: r.iter().map(words).collect() }).collect();
    for (got, want) in bleu(&pairs).into_iter().zip(f.bleu) {
        assert!((got - want).abs() < 1e-12, "{got} {want}");
    }
    assert!((rouge_l(&pairs) - f.rouge_l).abs() < 1e-12);
    assert!((cider_d(&pairs) - f.cider_d).abs() < 1e-9);
    assert!(f.meteor.len() > 25);
    for (i, want) in f.meteor {
        let got = meteor_one(&pairs[i]);
        assert!((got - want).abs() < 1e-9, "pair {i}: {got} {want}");
    }
    for (word, want) in f.stems {
        assert_eq!(stem(&word), want, "{word}");
    }
}

#[derive(Deserialize)]
struct Published {
    samples: Vec<(String, String, String)>,
    expected: serde_json::Value,
}

#[test]
fn the_released_scorer_writes_the_published_file() {
    let f: Published = fixture("released.json");
    let got = released(f.samples.iter().map(|(speed, path, reply)| {
        let truth = Truth { speed: speed.parse().ok(), path: path.parse().ok() };
        assert!(truth.both().is_some());
        (truth, reply.as_str())
    }));
    assert_eq!(serde_json::to_string(&got).unwrap(), f.expected.to_string());
}

//! Logits processors against transformers: every case of `rl/sampling_warpers.json`.

use super::support::{json, root};
use reinsman::vlm::sampling::{SamplingParams, probabilities};

/// The order in which both sides apply the steps.
const ORDER: [&str; 6] = ["repetition_penalty", "no_repeat_ngram_size", "temperature", "top_k", "top_p", "min_p"];

#[test]
fn warpers() {
    let path = root().join("rl/sampling_warpers.json");
    let all = json(&path).unwrap_or_else(|| panic!("{} is missing", path.display()));
    let rows: Vec<Vec<f32>> = serde_json::from_value(all["logits"].clone()).unwrap();
    let contexts: Vec<Vec<u32>> = serde_json::from_value(all["context_ids"].clone()).unwrap();
    let cases = all["cases"].as_array().unwrap();
    assert!(!cases.is_empty() && !rows.is_empty() && rows.len() == contexts.len());
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut options = serde_json::json!({"do_sample": true});
        let mut place = 0;
        for step in case["chain"].as_array().unwrap() {
            let key = step[0].as_str().unwrap();
            let at = ORDER.iter().position(|known| *known == key);
            let at = at.unwrap_or_else(|| panic!("{name}: unknown step {key}"));
            assert!(at >= place, "{name}: {key} comes before {}", ORDER[place]);
            place = at;
            options[key] = step[1].clone();
        }
        let params: SamplingParams = serde_json::from_value(options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let wanted: Vec<Vec<f64>> = serde_json::from_value(case["probs"].clone()).unwrap();
        assert_eq!(wanted.len(), rows.len(), "{name}");
        for (row, want) in wanted.iter().enumerate() {
            let got = probabilities(&params.process(&rows[row], &contexts[row]).unwrap());
            assert_eq!(got.len(), want.len(), "{name}");
            for (token, (got, want)) in got.iter().zip(want).enumerate() {
                // The reference works in f32: 1e-5 relative, and what it drops must be dropped.
                let fine = if *want == 0. { *got == 0. } else { (got - want).abs() <= 1e-5 * want };
                assert!(fine, "{name} row {row} token {token}: {got} instead of {want}");
            }
        }
    }
}

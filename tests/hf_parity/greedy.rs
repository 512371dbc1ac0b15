//! Cached generation: greedy ids of every entry, dropped rows, recorded log-probabilities, scored continuations.

use crate::{case::Case, support};
use reinsman::vlm::{
    Batch, Flow, GenerateOptions, Generated, LoadOptions, Row, Targets, Vlm, generate::Finish, generate::greedy,
};
use std::collections::BTreeSet;

/// `(case, repetition penalty, with adapter)` of an entry such as `single_repetition_penalty_1.05`.
fn parse_entry(name: &str) -> (&str, f32, bool) {
    match name.split_once("_repetition_penalty_") {
        Some((case, penalty)) => (case, penalty.parse().unwrap(), false),
        None => match name.strip_suffix("_lora") {
            Some(case) => (case, 1., true),
            None => (name, 1., false),
        },
    }
}

fn run(vlm: &Vlm, case: &Case, options: &GenerateOptions, penalty: f32) -> Vec<Generated> {
    // Each id seen so far, prompt and image tokens included, counts once.
    let mut seen: Vec<BTreeSet<u32>> = case.rows.iter().map(|row| row.iter().copied().collect()).collect();
    let mut choose = |row: usize, logits: &mut [f32]| {
        for id in &seen[row] {
            let logit = &mut logits[*id as usize];
            *logit = if *logit > 0. { *logit / penalty } else { *logit * penalty };
        }
        let id = greedy(row, logits)?;
        seen[row].insert(id);
        Ok(id)
    };
    let images = case.images(vlm, None);
    let rows: Vec<Row> = case.rows.iter().zip(&case.visuals).map(|(ids, visuals)| Row::new(ids, visuals)).collect();
    let batch = Batch::left_padded(vlm.config(), &rows, 0).unwrap();
    vlm.generate(&batch, images.as_ref(), options, &mut choose, &mut |_| Flow::Continue).unwrap()
}

/// Plain greedy continuations, several times per row.
fn run_samples(vlm: &Vlm, case: &Case, options: &GenerateOptions, samples: usize) -> Vec<Generated> {
    let options = GenerateOptions { samples, ..options.clone() };
    let mut seen = BTreeSet::new();
    let mut count = |token: reinsman::vlm::Token| {
        assert!(seen.insert((token.row, token.index)));
        Flow::Continue
    };
    let out = vlm.generate(&case_batch(vlm, case), None, &options, &mut greedy, &mut count).unwrap();
    assert_eq!(out.iter().map(|row| row.ids.len()).sum::<usize>(), seen.len());
    out
}

#[test]
fn greedy_ids() {
    for family in support::families() {
        let Some(meta) = support::json(&family.join("meta.json")) else { continue };
        let mut vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
        let generation = support::json(&family.join("ckpt/generation_config.json"));
        let eos: Vec<u64> = generation
            .iter()
            .flat_map(|g| g["eos_token_id"].as_array().unwrap())
            .map(|v| v.as_u64().unwrap())
            .collect();
        let mut compared = 0;
        for (entry, expected) in meta["greedy"].as_object().unwrap() {
            let Some(want) = expected["new_ids"].as_array() else { continue };
            let want: Vec<Vec<u32>> = want
                .iter()
                .map(|row| row.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect())
                .collect();
            let (name, penalty, lora) = parse_entry(entry);
            let what = format!("{} {entry}", family.display());
            let Some(case) = Case::read(&family, &format!("case_{name}.safetensors"), vlm.config()) else {
                continue;
            };
            if lora {
                vlm.load_adapter(&family.join("lora_adapter"), false).unwrap();
            }
            let options =
                GenerateOptions { max_new_tokens: want.iter().map(Vec::len).max().unwrap(), ..Default::default() };
            let got = run(&vlm, &case, &options, penalty);
            for (row, (got, want)) in got.iter().zip(&want).enumerate() {
                // A row that ended early in the reference is filled up with one padding id.
                let end = want.iter().position(|id| eos.contains(&u64::from(*id))).map_or(want.len(), |at| at + 1);
                let filled = want[end..].windows(2).all(|pair| pair[0] == pair[1]) && want.len() > end;
                let n = if filled { end } else { want.len() };
                assert_eq!(got.ids[..n], want[..n], "{what}: row {row}");
            }
            compared += 1;
            if lora {
                vlm.remove_adapter().unwrap();
            }
        }
        assert!(compared > 0, "{}: no greedy entry compared", family.display());
    }
}

/// Rows that finish leave the batch without changing the others; the limit, an eos and the callback are told apart.
#[test]
fn finished_rows_leave() {
    for family in support::families() {
        let vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
        let mut case = Case::read(&family, "case_text_only.safetensors", vlm.config()).unwrap();
        // Three rows of different length: the prompt, its end, its middle.
        let row = case.rows[0].clone();
        case.rows = vec![row.clone(), row[row.len() / 2..].to_vec(), row[3..].to_vec()];
        case.visuals = vec![Vec::new(); 3];
        let options = GenerateOptions { max_new_tokens: 12, ..Default::default() };
        let all = run(&vlm, &case, &options, 1.3);
        for (i, row) in case.rows.clone().into_iter().enumerate() {
            let mut alone = Case::read(&family, "case_text_only.safetensors", vlm.config()).unwrap();
            alone.rows = vec![row];
            assert_eq!(run(&vlm, &alone, &options, 1.3)[0].ids, all[i].ids, "{} row {i} alone", family.display());
        }
        let twice = run_samples(&vlm, &case, &options, 2);
        for (row, one) in run(&vlm, &case, &options, 1.).iter().enumerate() {
            let pair = &twice[2 * row..2 * row + 2];
            assert!(pair.iter().all(|got| got.ids == one.ids), "{} row {row} twice", family.display());
        }
        let eos = all[1].ids[2];
        let stopped = run(&vlm, &case, &GenerateOptions { eos: vec![eos], ..options.clone() }, 1.3);
        for (row, (short, long)) in stopped.iter().zip(&all).enumerate() {
            let end = long.ids.iter().position(|id| *id == eos).map_or(long.ids.len(), |at| at + 1);
            assert_eq!(short.ids, long.ids[..end], "{} row {row}", family.display());
            assert_eq!(short.finish == Finish::Eos, long.ids.contains(&eos));
        }
        let batch = case_batch(&vlm, &case);
        let mut count = 0;
        let mut stop = |token: reinsman::vlm::Token| {
            count += 1;
            if token.index == 4 { Flow::StopAll } else { Flow::Continue }
        };
        let out = vlm.generate(&batch, None, &options, &mut greedy, &mut stop).unwrap();
        assert!(out.iter().all(|row| row.ids.len() == 5 && row.finish == Finish::Stopped));
        assert_eq!(count, 15);
    }
}

fn case_batch(vlm: &Vlm, case: &Case) -> Batch {
    let rows: Vec<Row> = case.rows.iter().zip(&case.visuals).map(|(ids, visuals)| Row::new(ids, visuals)).collect();
    Batch::left_padded(vlm.config(), &rows, 0).unwrap()
}

/// Recorded and continued log-probabilities equal those of a plain forward pass over the whole text.
#[test]
fn cached_logps_are_the_uncached_ones() {
    for family in support::families() {
        let vlm = Vlm::load(&family.join("ckpt"), &LoadOptions::default()).unwrap();
        let cases = ["case_single.safetensors", "case_text_only.safetensors"];
        for file in cases {
            let what = format!("{} {file}", family.display());
            let Some(case) = Case::read(&family, file, vlm.config()) else {
                continue;
            };
            let prompt = &case.rows[0];
            let images = case.images(&vlm, None);
            let score = |ids: &[u32], temperature: f64| {
                let whole = [prompt.as_slice(), ids].concat();
                let row = Row::new(&whole, &case.visuals[0]).written(ids.len());
                let batch = Batch::right_padded(vlm.config(), &[row], 0).unwrap();
                let hidden = vlm.forward(&batch, images.as_ref(), None, None).unwrap();
                let targets = Targets::select(&batch, |_, token| token >= prompt.len());
                vlm.token_logps(&hidden, &targets.rows, &targets.ids, temperature).unwrap().0.to_vec1::<f32>().unwrap()
            };
            let close = |a: &[f32], b: &[f32]| {
                assert_eq!(a.len(), b.len(), "{what}");
                a.iter().zip(b).for_each(|(a, b)| assert!((a - b).abs() < 5e-5, "{what}: {a} and {b}"));
            };
            let options = GenerateOptions { max_new_tokens: 9, logp_temperature: 0.7, ..Default::default() };
            let generated = &run(&vlm, &case, &options, 1.)[0];
            close(&generated.logps, &score(&generated.ids, 0.7));

            let continuations = vec![generated.ids.clone(), vec![5], vec![7, 3, 9], generated.ids[..4].to_vec()];
            let logps = vlm.continuation_logps(&case_batch(&vlm, &case), images.as_ref(), &continuations, 1.).unwrap();
            for (ids, logps) in continuations.iter().zip(&logps) {
                close(logps, &score(ids, 1.));
            }
        }
    }
}

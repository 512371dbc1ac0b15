//! Learning-rate schedules against transformers: every case of `rl/lr_schedules.json`.

use super::support::{json, root};
use reinsman::train::schedule::ScheduleOptions;

#[test]
fn schedules() {
    let path = root().join("rl/lr_schedules.json");
    let all = json(&path).unwrap_or_else(|| panic!("{} is missing", path.display()));
    let cases = all["cases"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let mut options = serde_json::json!({
            "lr_scheduler_type": name,
            "learning_rate": case["base_lr"],
            "warmup_steps": case["warmup"],
        });
        if let Some(kwargs) = case.get("scheduler_specific_kwargs").filter(|kwargs| !kwargs.is_null()) {
            options["lr_scheduler_kwargs"] = kwargs.clone();
        }
        let options: ScheduleOptions = serde_json::from_value(options).unwrap_or_else(|e| panic!("{name}: {e}"));
        let schedule = options.resolve(case["total"].as_u64().unwrap()).unwrap();
        let rates = case["lr_used_at_step"].as_array().unwrap();
        assert!(!rates.is_empty(), "{name}");
        for (step, want) in rates.iter().enumerate() {
            let (got, want) = (schedule.lr(step as u64), want.as_f64().unwrap());
            // Values are printed with 10 digits; what should be 0 may be the cosine of pi / 2.
            let allowed = 1e-5 * want.abs() + 1e-12 * options.learning_rate;
            assert!((got - want).abs() <= allowed, "{name} step {step}: {got} instead of {want}");
        }
    }
}

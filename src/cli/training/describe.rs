//! What every trainer tells before it trains: the model, what of it is trained, and the data.

use crate::{cli::millions, policy::Planner, train::survey::Survey};
use data::error::thousands;
use std::path::PathBuf;

/// Parameters that are trained.
pub(in crate::cli) fn trained(planner: &Planner) -> usize {
    planner.vlm.vars().values().map(|v| v.as_tensor().elem_count()).sum()
}

/// The model and what is trained, one line each.
pub(in crate::cli) fn model_lines(planner: &Planner) -> String {
    let training = match planner.vlm.adapter_spec() {
        Some(spec) => {
            let (layers, dropout) = (planner.vlm.vars().len() / 2, spec.dropout);
            let dropout = if dropout > 0.0 { format!(", dropout {dropout}") } else { String::new() };
            format!(
                "adapter    LoRA r {} on {layers} linears{dropout}, {} trainable",
                spec.r,
                millions(trained(planner))
            )
        }
        None => format!("training   {} parameters of the model itself", millions(trained(planner))),
    };
    format!("model      {}, {} parameters\n{training}\n", planner.name(), millions(planner.vlm.parameter_count()))
}

/// Names of data files.
pub(in crate::cli) fn files(paths: &[PathBuf]) -> String {
    paths.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
}

/// Shortest, median and longest sample in tokens.
pub(in crate::cli) fn spread(survey: &Survey) -> [usize; 3] {
    let order = survey.by_length();
    let at = |i: usize| order.get(i).map_or(0, |i| survey.lengths[*i].tokens);
    [at(0), at(order.len() / 2), at(order.len().saturating_sub(1))]
}

/// What there is to train on, and what was left out; `what` names them.
pub(in crate::cli) fn data_line(survey: &Survey, what: &str) -> String {
    let number = |n: usize| thousands(n as u64);
    let [least, median, most] = spread(survey).map(number);
    let images: usize = survey.lengths.iter().map(|l| l.images).sum();
    let mut text = format!(
        "{} {what}, {} images, tokens {least}..{most} (median {median})",
        number(survey.usable.len()),
        number(images)
    );
    if let (Some(least), Some(most)) = (survey.too_long.iter().min(), survey.too_long.iter().max()) {
        let (n, least, most) = (number(survey.too_long.len()), number(*least), number(*most));
        text.push_str(&format!(", {n} dropped: too long by {least}..{most}"));
    }
    if survey.nothing > 0 {
        text.push_str(&format!(", {} without anything to teach", number(survey.nothing)));
    }
    if let Some(first) = survey.bad.first() {
        text.push_str(&format!(", {} bad left out (first: {first})", number(survey.bad.len())));
    }
    text
}

//! Preference losses of the DPO family on per-token log-probabilities, with gradients and the metrics that TRL logs.
//!
//! With `c` and `l` the sums over the completion of `logp - ref` of a chosen and its rejected completion (see
//! [`DpoLossType`] for the formulas of the variants): DPO is `-ln sigmoid(beta (c - l))` (Rafailov et al. 2023).
//! Rows are the chosen completions, then the rejected ones in the same order, as in TRL 1.16.
